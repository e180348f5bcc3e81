"""Worker threads: each run ends in words, whatever happens to its job or to the app."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from services.accounts.database import Database
from services.errors import GenerationError, TrainingError
from services.models import TrainingRun
from services.runs.lease import RunLease, RunLost
from services.runs.states import RunStatus
from services.runs.store import RunStore
from services.runs.worker import JobRunner
from tests.runs import Script, finished, let_lease_run_out

LONG_S = 20  # a bound for what happens within moments


@pytest.fixture
def store(user) -> RunStore:
    return RunStore(user.database)


@pytest.fixture
def work(store, service) -> Iterator[Callable[..., JobRunner]]:
    """Starts a run whose job is as given; returns the runner. What still works is stopped after."""
    runners = []

    def start(generate, *, database: Database = service, train=None) -> JobRunner:
        runner = JobRunner(
            database, {RunStatus.GENERATING: generate, RunStatus.TRAINING: train or generate}
        )
        runners.append(runner)
        runner.launch(store.start(total_chunks=1, settings={}))
        return runner

    yield start
    for runner in runners:
        runner.drain()


@pytest.fixture
def newest(store) -> Callable[[], TrainingRun]:
    return lambda: store.page(limit=1)[0][0]


def settled(newest: Callable[[], TrainingRun]) -> TrainingRun:
    """The newest run, once nobody works on it."""
    deadline = time.monotonic() + LONG_S
    while (run := newest()).status.is_active:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return run


def names_of_threads() -> set[str]:
    return {thread.name for thread in threading.enumerate()}


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LONG_S
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def until_lost(lease: RunLease, run: TrainingRun) -> None:
    assert lease.lost.wait(LONG_S)
    raise RunLost


def write_questions(lease: RunLease, run: TrainingRun) -> None:
    lease.save_pairs(*finished(["c1"]), {})
    lease.finish_generation()


def test_job_that_ends_leaves_the_run_as_it_said(work, newest):
    work(write_questions)
    assert settled(newest).status is RunStatus.GENERATED


def test_error_ends_the_run_in_its_phase_with_words_and_the_next_step(work, newest):
    def job(lease: RunLease, run: TrainingRun) -> None:
        raise GenerationError("The quota is used up.", next_step="Add credit, then proceed.")

    work(job)
    run = settled(newest)
    assert run.status is RunStatus.GENERATING_FAILED
    assert run.error_message == "The quota is used up. Add credit, then proceed."


def test_error_in_training_ends_in_training_failed(user, service, store):
    def job(lease: RunLease, run: TrainingRun) -> None:
        raise TrainingError("Too few pairs.")

    script = Script(user, service).to(RunStatus.GENERATED)
    JobRunner(service, {RunStatus.TRAINING: job}).launch(store.start_training(script.run.id))
    run = settled(lambda: script.now)
    assert (run.status, run.pair_count) == (RunStatus.TRAINING_FAILED, 2)


def test_error_that_nobody_foresaw_is_told_without_its_cause_which_is_logged(work, newest, caplog):
    def job(lease: RunLease, run: TrainingRun) -> None:
        raise ZeroDivisionError("secret detail")

    work(job)
    run = settled(newest)
    assert run.status is RunStatus.GENERATING_FAILED
    assert "unexpected" in run.error_message and "secret" not in run.error_message
    assert "ZeroDivisionError" in caplog.text


def test_stop_pressed_in_another_process_is_noticed_within_5_seconds(work, store, newest):
    """The runner is not told: it learns of it by looking."""
    noticed = threading.Event()

    def job(lease: RunLease, run: TrainingRun) -> None:
        working.set()
        assert lease.lost.wait(LONG_S)
        noticed.set()

    working = threading.Event()
    work(job)
    assert working.wait(LONG_S)
    store.stop(newest().id, by="ann")
    assert noticed.wait(5)
    assert newest().error_message == "Stopped by ann"


def test_stop_pressed_here_is_told_to_the_worker_at_once(work, store, newest):
    leases: list[RunLease] = []
    working = threading.Event()

    def job(lease: RunLease, run: TrainingRun) -> None:
        leases.append(lease)
        working.set()
        until_lost(lease, run)

    runner = work(job)
    assert working.wait(LONG_S)
    runner.stop_here(store.stop(newest().id, by="ann"))
    assert leases[0].lost.is_set()


def test_late_word_of_a_stop_does_not_stop_the_next_attempt(work, store, service, newest):
    """Ann stops; before her tab has told the worker, Ben's tab has proceeded with the run."""
    leases: list[RunLease] = []
    began = threading.Semaphore(0)

    def job(lease: RunLease, run: TrainingRun) -> None:
        leases.append(lease)
        began.release()
        until_lost(lease, run)

    runner = work(job)
    assert began.acquire(timeout=LONG_S)
    stopped = store.stop(newest().id, by="ann")
    runner.launch(store.proceed(stopped.id))
    assert began.acquire(timeout=LONG_S)
    runner.stop_here(stopped)
    first, second = leases
    assert first.lost.is_set()
    assert not second.lost.is_set()


def test_worker_of_a_stopped_run_keeps_its_name_until_it_leaves(work, store, newest):
    working, go_on = threading.Event(), threading.Event()

    def job(lease: RunLease, run: TrainingRun) -> None:
        working.set()
        assert go_on.wait(LONG_S)
        lease.check()

    runner = work(job)
    assert working.wait(LONG_S)
    worker = newest().worker_id
    runner.stop_here(store.stop(newest().id, by="ann"))
    assert newest().worker_id == worker
    go_on.set()
    deadline = time.monotonic() + LONG_S
    while newest().worker_id is not None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert newest().status is RunStatus.GENERATING_FAILED


def test_shut_down_says_so_in_the_row(work, newest):
    working = threading.Event()

    def job(lease: RunLease, run: TrainingRun) -> None:
        working.set()
        until_lost(lease, run)

    runner = work(job)
    assert working.wait(LONG_S)
    runner.drain()
    run = newest()
    assert run.status is RunStatus.GENERATING_FAILED
    assert run.error_message == "The app was shut down during this run. What was made is kept."


def test_shut_down_does_not_wait_for_a_job_that_hangs(work, newest):
    working, never = threading.Event(), threading.Event()

    def job(lease: RunLease, run: TrainingRun) -> None:
        working.set()
        never.wait()

    runner = work(job)
    assert working.wait(LONG_S)
    began = time.monotonic()
    runner.drain()
    assert time.monotonic() - began < 5
    assert newest().status is RunStatus.GENERATING_FAILED
    never.set()


def test_shut_down_does_not_wait_for_a_database_that_hangs(work, endpoint):
    working, never = threading.Event(), threading.Event()

    class Hangs(Database):
        def rpc(self, function, **parameters):
            if working.is_set():
                never.wait()
            return super().rpc(function, **parameters)

    def job(lease: RunLease, run: TrainingRun) -> None:
        working.set()
        until_lost(lease, run)

    runner = work(job, database=Hangs(endpoint.url, endpoint.secret_key))
    assert working.wait(LONG_S)
    began = time.monotonic()
    runner.drain()
    assert time.monotonic() - began < 5
    never.set()


def test_app_that_shuts_down_begins_nothing_new(service, store):
    began = threading.Event()
    runner = JobRunner(service, {RunStatus.GENERATING: lambda lease, run: began.set()})
    runner.drain()
    run = store.start(total_chunks=1, settings={})
    runner.launch(run)
    assert f"run-{run.id}" not in names_of_threads()
    assert not began.is_set()
    assert store.get(run.id).worker_id is None


def test_heartbeats_end_with_the_job(work, newest, monkeypatch):
    monkeypatch.setattr("services.runs.worker.POLL_S", 0.02)
    beating = threading.Event()

    def job(lease: RunLease, run: TrainingRun) -> None:
        assert f"heartbeat-{run.id}" in names_of_threads()
        beating.set()
        write_questions(lease, run)

    work(job)
    run = settled(newest)
    assert beating.is_set()
    wait_until(lambda: f"heartbeat-{run.id}" not in names_of_threads())


def test_the_sweep_rescues_what_nobody_holds_until_the_app_ends(service, owner, user, monkeypatch):
    monkeypatch.setattr("services.runs.worker.SWEEP_S", 0.02)
    lost = Script(user, service).to(RunStatus.GENERATING)
    let_lease_run_out(owner, lost.run.id)
    runner = JobRunner(service, {})
    runner.start_sweeping()
    wait_until(lambda: lost.now.status is RunStatus.GENERATING_FAILED)
    assert "The app stopped while" in lost.now.error_message
    runner.drain()
    wait_until(lambda: "sweep" not in names_of_threads())


def test_work_of_many_users_goes_on_side_by_side(new_user, service):
    meeting = threading.Barrier(4, timeout=LONG_S)

    def job(lease: RunLease, run: TrainingRun) -> None:
        meeting.wait()
        write_questions(lease, run)

    runner = JobRunner(service, {RunStatus.GENERATING: job})
    stores = [RunStore(new_user().database) for _ in range(4)]
    runs = [store.start(total_chunks=1, settings={}) for store in stores]
    for run in runs:
        runner.launch(run)
    for store, run in zip(stores, runs, strict=True):
        found = settled(lambda store=store, run=run: store.get(run.id))
        assert found.status is RunStatus.GENERATED
