"""An app killed around the submit of a cloud training: Proceed completes the run, and the service
is never asked to train the same pairs twice."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from services.runs.states import RunStatus
from tests.crash.faults import Act, until
from tests.crash.scene import TIMEOUT_S, Scene
from tests.crash.test_faults import rescue_at_once
from tests.fakes.activeloop_server import FakeActiveloop
from tests.fakes.wire import Answer, Reply, Request

TRAIN = "/api/deepmemory/v1/train"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory) -> Iterator[FakeActiveloop]:
    with FakeActiveloop(tmp_path_factory.mktemp("cloud")) as fake:
        yield fake


@pytest.fixture(scope="module")
def scene(supabase_stack, cloud) -> Iterator[Scene]:
    with Scene(supabase_stack, cloud) as scene:
        yield scene


class KilledAt:
    """A submit that nobody is there any more to hear of: it has landed at the service, or not."""

    def __init__(self, *, landed: bool) -> None:
        self._landed = landed
        self.reached, self.killed = threading.Event(), threading.Event()

    def __call__(self, request: Request, answer: Answer) -> Reply:
        reply = answer(request) if self._landed else Reply(0, "", cut=0.0)
        self.reached.set()
        assert self.killed.wait(TIMEOUT_S)
        return reply


@pytest.mark.parametrize("landed", [False, True], ids=["before the submit", "after the submit"])
def test_killed_around_the_submit_trains_once(scene, cloud, landed):
    act = Act(scene, scene.new_app(), scene.new_person(), outage_s=0)
    act.in_review()
    submit = KilledAt(landed=landed)
    cloud.fail(submit, matching=TRAIN)
    jobs_before = set(cloud.jobs)
    act.app.train(act.person)
    assert submit.reached.wait(TIMEOUT_S)
    act.kill()
    submit.killed.set()
    rescue_at_once(scene, act.person)
    kept = scene.pairs_of(act.person)
    scene.survivor.proceed(act.person)
    until(act.person, RunStatus.COMPLETED)
    assert len(set(cloud.jobs) - jobs_before) == 1
    assert scene.pairs_of(act.person) == kept
