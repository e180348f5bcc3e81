"""A run that stands still says in its row what it waits for and until when, and then goes on."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from services.errors import DatabaseUnavailable, DiskFull, NotAllowed
from services.knowledge.knowledge_base import File
from services.models import TrainingRun, Waiting
from services.runs.lease import RunLease
from services.runs.states import RunStatus
from services.runs.store import RunStore
from services.workspace import Workspace
from tests.fakes.openai_server import FakeOpenAI, rate_limited
from tests.runs import Script

LONG_S = 30  # a bound for what happens within seconds
LIMIT = Waiting("OpenAI's rate limit", datetime(2030, 1, 1, 14, 32, tzinfo=UTC))


@pytest.fixture
def script(user, service) -> Script:
    return Script(user, service)


def note(lease: RunLease, waiting: Waiting | None) -> None:
    with lease.watching(lambda: waiting):
        lease.note_waiting()


def until(seen: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LONG_S
    while not seen():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("waiting", [LIMIT, Waiting("a place in DeepLake Cloud")])
def test_row_says_what_its_run_waits_for_until_it_goes_on(script, waiting):
    script.to(RunStatus.GENERATING)
    note(script.lease, waiting)
    assert script.now.waiting == waiting
    assert script.store.page(limit=1)[0][0].waiting == waiting
    note(script.lease, None)
    assert script.now.waiting is None


MOVES: dict[str, Callable[[Script], object]] = {
    "stop": lambda script: script.store.stop(script.run.id, by="ann"),
    "fail": lambda script: script.lease.fail("The model did not answer."),
    "finish": lambda script: script.lease.finish_generation(),
}


@pytest.mark.parametrize("move", MOVES)
def test_run_that_was_moved_waits_for_nothing(script, move):
    script.to(RunStatus.GENERATING)
    note(script.lease, LIMIT)
    MOVES[move](script)
    assert script.now.waiting is None


@pytest.mark.parametrize("value", [None, {"what": "nothing at all", "until": None}])
def test_person_cannot_change_what_the_worker_says(script, value):
    script.to(RunStatus.GENERATING)
    note(script.lease, LIMIT)
    with pytest.raises(NotAllowed):
        script.user.database.execute(
            lambda c: (
                c.table("deep_memory_training_runs")
                .update({"waiting": value})
                .eq("id", script.run.id)
            )
        )
    assert script.now.waiting == LIMIT


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (DatabaseUnavailable("It does not answer."), "the database"),
        (DiskFull("It takes no writes."), "room on the disk, which is full"),
    ],
)
def test_worker_that_cannot_write_knows_what_it_waits_for(script, error, what):
    """Where the row cannot say it, the process that works on the run does."""
    script.to(RunStatus.GENERATING)
    seen = []

    def statement() -> None:
        if len(seen) < 2:
            seen.append(script.lease.waiting)
            raise error

    script.lease.retrying(statement)
    assert seen == [None, Waiting(what)]
    assert script.lease.waiting is None


def test_worker_whose_hold_is_not_confirmed_waits_for_the_database(script, monkeypatch):
    script.to(RunStatus.GENERATING)
    monkeypatch.setattr("services.runs.lease._GOOD_NEWS_LASTS_S", 0)
    assert script.lease.waiting == Waiting("the database")


def test_what_this_process_knows_counts_before_the_row(script):
    script.to(RunStatus.GENERATING)
    note(script.lease, LIMIT)
    here = RunStore(script.user.database, lambda run_id: Waiting("the database"))
    assert here.get(script.run.id).waiting == Waiting("the database")
    script.lease.fail("The model did not answer.")
    assert here.get(script.run.id).waiting is None


@pytest.fixture
def fake():
    with FakeOpenAI() as server:
        yield server


@pytest.fixture
def space(fake, new_studio, new_user) -> Workspace:
    studio = new_studio(
        openai_api_key=fake.key,
        openai_base_url=fake.base_url,
        embedding_model="wordllama",
        generation_concurrency=2,
    )
    space = Workspace(studio, new_user())
    space.documents.add([document(number) for number in range(6)])
    return space


def document(number: int) -> File:
    return f"Quay {number}.txt", f"Quay {number} moors vessels of {number} metres.".encode()


def test_limit_of_an_hour_is_said_waited_for_and_stopped_at_once(fake, space, service):
    fake.fail(rate_limited(3600), times=1000)
    run_id = space.runs.generate().id

    def row() -> TrainingRun:
        return RunStore(service).get(run_id)

    until(lambda: row().waiting is not None)
    waiting = row().waiting
    assert waiting.what.endswith("'s rate limit")
    assert abs(waiting.until - datetime.now(UTC) - timedelta(hours=1)) < timedelta(minutes=1)
    assert space.runs.get(run_id).waiting == waiting
    assert len(fake.calls()) == 2  # one for each thread, and no more

    space.runs.stop(run_id)
    fake.forgive()
    space.runs.proceed(run_id)
    until(lambda: not row().status.is_active)
    assert row().status is RunStatus.GENERATED
    assert row().waiting is None
