"""Screens and HTTP go through the same guarded operations, so the same rules hold on both."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest
from starlette.testclient import TestClient

from services.accounts.auth import SignedInUser
from services.deep_memory.model_in_cloud import REPLACED_IN_CLOUD
from services.errors import DocumentRejected, NotFound, RunMoved
from services.http.api import create_api
from services.models import Review
from services.runs.states import RunStatus
from services.studio import Studio
from services.workspace import Workspace
from tests.imports import StandInReaders
from tests.runs import METRICS, Script

S = RunStatus
IN_CLOUD = {**METRICS, "trainer": "cloud"}


@pytest.fixture(scope="module")
def studio(new_studio) -> Studio:
    return new_studio()


@pytest.fixture
def user(studio) -> SignedInUser:
    """Signed up in earnest, because the routes have tokens verified."""
    return studio.accounts.sign_up(f"{uuid4().hex}@example.com", "a long password")


@pytest.fixture
def space(studio, user) -> Workspace:
    return Workspace(studio, user)


@pytest.fixture
def api(studio, user: SignedInUser, monkeypatch) -> Iterator[TestClient]:
    """The routes in this process, as this person calls them."""
    monkeypatch.setattr("services.studio._current", studio)
    headers = {"Authorization": f"Bearer {user.access_token()}"}
    with TestClient(create_api(), headers=headers) as client:
        yield client


def test_an_upload_over_http_waits_its_turn_like_one_on_the_screen(studio, space, api, monkeypatch):
    readers = StandInReaders()
    gate = readers.hold("screen.txt")
    files = [("files", ("dues.txt", b"Ships pay harbour dues when they berth."))]
    with monkeypatch.context() as patched:
        patched.setattr(studio.importer, "_readers", readers)
        on_screen = space.documents.start_import([("screen.txt", b"Soup on Fridays.")])
        assert readers.reached.wait(60)

        refused = api.post("/documents", files=files)
        assert (refused.status_code, refused.json()["detail"]) == (
            400,
            "Another import of yours is not finished.",
        )
        assert space.documents.all() == []

        gate.set()
        assert space.documents.wait_for_import(on_screen.id, 60).status == "done"
    assert api.post("/documents", files=files).status_code == 201
    # What it reports is still to be read; what was told in the answer is not told again.
    assert space.documents.current_import.id == on_screen.id


def test_a_search_over_http_says_that_its_model_was_replaced_in_the_cloud(
    space, api, user, service
):
    space.documents.add([("dues.txt", b"Ships pay harbour dues when they berth.")])
    for activate in (True, False):
        script = Script(user, service).to(S.TRAINING)
        script.lease.finish_training(IN_CLOUD, activate=activate)
        if activate:
            space.models.set_enabled(True)

    for body in ({}, {"deep_memory": True}):
        found = api.post("/search", json={"query": "Who pays dues?", **body}).json()
        assert (found["deep_memory"], len(found["hits"])) == (False, 1)
        assert found["notice"] == f"{REPLACED_IN_CLOUD} Search works without it."
    without = api.post("/search", json={"query": "Who pays dues?", "deep_memory": False}).json()
    assert without["notice"] is None


def test_no_screen_changes_pairs_of_a_run_that_is_not_in_review(space, user, service):
    run = Script(user, service).to(S.COMPLETED).run
    first, second = space.pairs.page(run.id, limit=5)
    with pytest.raises(RunMoved, match="completed now"):
        space.pairs.edit(run.id, first, "Something else?")
    with pytest.raises(RunMoved, match="completed now"):
        space.pairs.put(run.id, first.id, Review.KEPT)
    with pytest.raises(RunMoved, match="completed now"):
        space.pairs.decide(run.id, [first, second], Review.KEPT)
    with pytest.raises(RunMoved, match="completed now"):
        space.pairs.drop(run.id, [first.id, second.id])
    assert space.pairs.page(run.id, limit=5) == [first, second]


def test_a_pair_is_changed_under_its_own_run_alone(space, user, service):
    run = Script(user, service).to(S.GENERATED).run
    [pair, _] = space.pairs.page(run.id, limit=5)
    for elsewhere in (str(uuid4()), pair.id):
        with pytest.raises(NotFound):
            space.pairs.put(elsewhere, pair.id, Review.KEPT, "Something else?")
        assert space.pairs.drop(elsewhere, [pair.id]) == 0
    assert space.pairs.count(run.id) == 2
    assert space.pairs.drop(run.id, [pair.id, str(uuid4())]) == 1  # the other is gone already


def test_pairs_go_out_in_the_forms_that_come_in_and_no_other(space, user, service):
    run = Script(user, service).to(S.GENERATED).run
    assert space.pairs.export(run.id, "jsonl").count(b"\n") == 2
    with pytest.raises(DocumentRejected, match="go out as"):
        space.pairs.export(run.id, "exe")
