"""Search with a reranker: which list it orders, what it is not asked, and what a failure costs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from services.local_supabase.stack import LocalSupabase
from services.ranking.untrained import Untrained
from services.runs.states import RunStatus
from services.workspace import Workspace
from tests.behind_the_door import models_of
from tests.contract.conftest import Caller
from tests.fakes.rerank_server import MODEL, FakeReranker
from tests.fakes.wire import Reply
from tests.running_app import RunningApp, run_app
from tests.runs import Script
from tests.trained_models import ranking_by

QUERY = "Who pays harbour dues?"
DOCUMENTS = {"dues.txt": "Ships owe money at berth.", "who.txt": "Soup: who pays harbour dues?"}


def out_of_order(request, answer) -> Reply:
    return Reply(503, {"message": "no model loaded"})


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeReranker]:
    with FakeReranker() as server:
        yield server


@pytest.fixture(scope="module")
def studio(new_studio, fake):
    return new_studio(rerank_url=fake.base_url, rerank_model=MODEL, rerank_api_key=fake.key)


@pytest.fixture
def workspace(studio, user, fake) -> Workspace:
    workspace = Workspace(studio, user)
    workspace.documents.add([(name, text.encode()) for name, text in DOCUMENTS.items()])
    fake.log.clear()
    return workspace


@pytest.fixture
def trained(workspace, service):
    """A run in use, whose model turns plain cosine round."""
    run = Script(workspace.user, service).to(RunStatus.COMPLETED).now
    models_of(workspace).save(run, ranking_by(turn=-1.0))
    workspace.models.use(run.id)
    return run


def names(hits) -> list[str]:
    return [hit.document for hit in hits]


def test_without_deep_memory_the_only_list_is_ordered_anew(workspace, fake):
    found = workspace.search.as_chosen(QUERY, 1)
    assert names(found.without) == ["who.txt"]
    assert found.without[0].score == 1.0
    assert found.reranking is not None
    assert not found.reranking.is_of_trained
    assert len(fake.calls()[0].request.json()["documents"]) == 2


def test_with_deep_memory_its_list_is_ordered_anew_and_the_other_stays(workspace, trained):
    plain = workspace.search.compare(QUERY, 2, trained)
    assert names(plain.with_) == names(plain.without)[::-1] == ["dues.txt", "who.txt"]
    found = workspace.search.as_chosen(QUERY, 2)
    assert found.run_id == trained.id
    assert names(found.with_) == ["who.txt", "dues.txt"]
    assert found.without == plain.without
    assert set(found.moved.values()) == {0}


def test_deep_memory_switched_off_has_the_other_list_ordered_anew(workspace, trained):
    found = workspace.search.compare(QUERY, 2, trained, uses_trained=False)
    assert found.reranking is not None
    assert not found.reranking.is_of_trained
    assert found.without[0].score == 1.0
    assert names(found.with_) == ["dues.txt", "who.txt"]


def test_a_model_that_is_gone_leaves_the_other_list_to_order(workspace, trained):
    models_of(workspace).remove(trained.id)
    found = workspace.search.as_chosen(QUERY, 2)
    assert "gone" in found.problem
    assert found.reranking is not None
    assert (found.reranking.is_of_trained, found.without[0].score) == (False, 1.0)


def test_lists_that_show_what_training_brings_are_not_sent(workspace, trained, fake):
    found = workspace.search.compare(QUERY, 2, trained, untrained=Untrained.COSINE)
    also = workspace.search.as_chosen(QUERY, 2, is_to_rerank=False)
    assert (found.reranking, also.reranking, fake.calls()) == (None, None, [])


def test_a_reranker_that_fails_leaves_the_hits_as_they_were(workspace, trained, fake):
    fake.fail(out_of_order)
    found = workspace.search.as_chosen(QUERY, 2)
    assert found.with_ == workspace.search.compare(QUERY, 2, trained).with_
    assert found.reranking is not None
    assert f"{MODEL} at 127.0.0.1 refused or failed (status 503)" in found.reranking.problem


# Over HTTP --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def app(supabase_stack: LocalSupabase, fake: FakeReranker) -> Iterator[RunningApp]:
    settings = {"RERANK_URL": fake.base_url, "RERANK_MODEL": MODEL, "RERANK_API_KEY": fake.key}
    with run_app(supabase_stack.data_dir, **settings) as running:
        yield running


def test_over_http_the_time_is_told_or_why_there_is_none(caller: Caller, app, fake) -> None:
    files = [("files", (name, text.encode())) for name, text in DOCUMENTS.items()]
    assert caller.api.post("/documents", files=files).is_success
    assert caller.api.get("/account").json()["reranker"] == MODEL
    fake.log.clear()

    found = caller.api.post("/search", json={"query": QUERY, "k": 1}).json()
    assert [hit["document"] for hit in found["hits"]] == ["who.txt"]
    assert (found["hits"][0]["score"], found["notice"]) == (1.0, None)
    assert found["reranked_ms"] >= 0

    fake.fail(out_of_order)
    kept = caller.api.post("/search", json={"query": QUERY}).json()
    assert (len(kept["hits"]), kept["reranked_ms"]) == (2, None)
    assert kept["notice"] == (
        f"The reranker {MODEL} at 127.0.0.1 refused or failed (status 503). "
        "The hits stand in search's own order."
    )
    asked = len(fake.calls())
    assert caller.api.post("/search/compare", json={"query": QUERY}).is_success
    assert len(fake.calls()) == asked == 2

    said = app.log.read_text()
    assert not any(secret in said for secret in (fake.key, QUERY, *DOCUMENTS.values()))
