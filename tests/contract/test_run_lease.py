"""Only the worker that holds a run's attempt writes to it, and each write is safe to send twice."""

from __future__ import annotations

import threading
from collections.abc import Callable
from uuid import uuid4

import pytest

from services.deep_memory.cloud_jobs import Submission, record_submission
from services.errors import DatabaseUnavailable
from services.generation.batch_ledger import BatchLedger
from services.models import Waiting
from services.runs.lease import RunLease, RunLost
from services.runs.states import RunStatus
from services.runs.store import RunStore
from tests.runs import METRICS, Script, finished, keep_watch, let_lease_run_out

WRITES: dict[str, Callable[[RunLease], object]] = {
    "begin generation": lambda lease: lease.begin_generation(["c1"]),
    "save pairs": lambda lease: lease.save_pairs(*finished(["late"]), {}),
    "intend batch": lambda lease: BatchLedger(lease).intend(str(uuid4()), ["c3"]),
    "record batch": lambda lease: BatchLedger(lease).record(str(uuid4()), "late-batch"),
    "note batch": lambda lease: BatchLedger(lease).note(str(uuid4()), 9),
    "save waited pairs": lambda lease: BatchLedger(lease).save_pairs([], *finished(["late"]), {}),
    "forget batch": lambda lease: BatchLedger(lease).forget(str(uuid4()), "late"),
    "finish generation": lambda lease: lease.finish_generation(),
    "record a job": lambda lease: record_submission(lease, Submission("late", "late-job")),
    "note training": lambda lease: lease.note_training("late", 0.9),
    "finish training": lambda lease: lease.finish_training({"late": 1}, activate=True),
    "fail": lambda lease: lease.fail("late"),
    "note waiting": lambda lease: noted_waiting(lease),
    "heartbeat": lambda lease: lease.heartbeat(),
    "claim": lambda lease: lease.claim(),
}


def noted_waiting(lease: RunLease) -> None:
    with lease.watching(lambda: Waiting("an answer that came too late")):
        lease.note_waiting()


SAVES = {"save pairs", "save waited pairs"}


@pytest.fixture
def script(user, service) -> Script:
    return Script(user, service)


def questions(script: Script) -> list[str]:
    rows = script.user.database.execute(
        lambda c: (
            c.table("deep_memory_training_pairs")
            .select("question_text")
            .eq("training_run_id", script.run.id)
            .order("question_text")
        )
    ).data
    return [row["question_text"] for row in rows]


def test_pairs_progress_and_usage_of_a_batch_are_one_write(script):
    script.start()
    script.lease.begin_generation(["c1", "c2", "c3"])
    run = script.save("c1", "c2", questions=3)
    assert (run.processed_chunks, run.pair_count, run.usage) == (2, 6, {"input_tokens": 10})


def test_batch_sent_twice_changes_nothing(script):
    script.start()
    script.lease.begin_generation(["c1", "c2", "c3"])
    once = script.save("c1", "c2")
    assert script.save("c1", "c2") == once
    assert questions(script) == ["What is 0 of c1?", "What is 0 of c2?"]


def test_same_question_stands_once_in_a_run_whatever_its_case_and_spacing(script):
    script.start()
    chunks, pairs = finished(["c1", "c2"])
    pairs[0]["question_text"], pairs[1]["question_text"] = "How warm is it?", " how  WARM is it?"
    run = script.lease.save_pairs(chunks, pairs, {})
    assert (run.processed_chunks, run.pair_count) == (2, 1)
    assert script.store.problems(script.run.id) == {"only duplicate questions": 1}


def test_same_question_may_stand_in_another_run(script, user, service):
    script.to(RunStatus.COMPLETED)
    again = Script(user, service).start()
    assert again.save("c1").pair_count == 1


def test_chunk_that_yields_nothing_is_counted_and_named(script):
    script.start()
    script.lease.save_pairs([{"chunk_id": "c9", "problem": "refused"}], [], {})
    assert script.now.processed_chunks == 1
    assert script.store.problems(script.run.id) == {"refused": 1}
    assert script.store.chunks_with_problem(script.run.id) == [("c9", "refused")]


def test_progress_after_proceed_reads_over_the_whole(script):
    chunks = [f"c{number:02}" for number in range(80)]
    script.start(80)
    script.lease.begin_generation(chunks)
    script.save(*chunks[:50])
    script.lease.fail("The model did not answer.")
    run = script.store.proceed(script.run.id)
    assert (run.processed_chunks, run.total_chunks) == (50, 80)
    script.lease = RunLease(script.service, run)
    script.lease.claim()
    assert script.lease.begin_generation(chunks) == set(chunks[:50])
    run = script.save(chunks[50])
    assert (run.processed_chunks, run.total_chunks) == (51, 80)


def test_chunks_without_a_stored_pair_are_asked_again_after_proceed(script):
    script.start()
    script.lease.begin_generation(["c1", "c2", "c3"])
    script.save("c1")
    script.lease.save_pairs([{"chunk_id": "c2", "problem": "refused"}], [], {})
    script.lease.fail("The model did not answer.")
    script.proceed()
    assert script.lease.begin_generation(["c1", "c2", "c3"]) == {"c1"}
    assert script.now.processed_chunks == 1


def test_documents_that_went_and_came_are_handled_and_told(script):
    script.start(3)
    script.lease.begin_generation(["c1", "c2", "c3"])
    script.save("c1", "c2", questions=2)
    script.lease.fail("The model did not answer.")
    script.proceed()
    assert script.lease.begin_generation(["c2", "c3", "c4", "c5"]) == {"c2"}
    run = script.now
    assert (run.processed_chunks, run.total_chunks, run.pair_count) == (1, 4, 2)
    told = script.store.events(run.id)[-1]
    assert told.kind == "documents_changed"
    assert told.counts == {"chunks_before": 3, "chunks": 4, "pairs_dropped": 2}


def test_unchanged_documents_are_not_told_as_changed(script):
    script.start(2)
    script.lease.begin_generation(["c1", "c2"])
    assert [event.kind for event in script.store.events(script.run.id)] == ["started"]


def test_more_chunks_than_a_page_holds_are_all_known_as_done(script):
    chunks = [f"c{number:04}" for number in range(2_100)]
    script.start(len(chunks))
    script.lease.begin_generation(chunks)
    script.save(*chunks)
    assert script.lease.begin_generation(chunks) == set(chunks)


def test_second_worker_can_not_claim_a_run_that_one_works_on(script, service):
    script.start()
    with pytest.raises(RunLost):
        RunLease(service, script.run).claim()
    script.lease.claim()  # its own claim, sent twice because the first answer was lost


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
@pytest.mark.parametrize("status", [RunStatus.GENERATING, RunStatus.TRAINING])
def test_late_worker_changes_nothing_of_a_run_that_was_handed_on(script, owner, write, status):
    script.to(status)
    late = script.lease
    let_lease_run_out(owner, script.run.id)
    script.service.rpc("rescue_runs")
    script.proceed()
    before = script.now
    with pytest.raises(RunLost):
        write(late)
    assert late.lost.is_set()
    assert script.now == before


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_late_worker_changes_nothing_of_a_run_that_was_rescued(script, owner, write):
    script.to(RunStatus.GENERATING)
    let_lease_run_out(owner, script.run.id)
    script.service.rpc("rescue_runs")
    before = script.now
    with pytest.raises(RunLost):
        write(script.lease)
    assert script.now == before


@pytest.mark.parametrize("write", [WRITES[name] for name in sorted(set(WRITES) - SAVES)])
def test_worker_of_a_stopped_run_changes_nothing_but_the_answers_under_way(script, write):
    script.to(RunStatus.GENERATING)
    script.store.stop(script.run.id, by="ann")
    before = script.now
    with pytest.raises(RunLost):
        write(script.lease)
    assert script.now == before


@pytest.mark.parametrize("save", [WRITES[name] for name in sorted(SAVES)], ids=sorted(SAVES))
def test_answers_under_way_of_a_stopped_run_are_stored_and_it_stays_stopped(script, save):
    script.to(RunStatus.GENERATING)
    script.store.stop(script.run.id, by="ann")
    save(script.lease)
    assert script.lease.lost.is_set()
    assert (script.now.status, script.now.pair_count) == (RunStatus.GENERATING_FAILED, 1)
    assert script.now.error_message == "Stopped by ann"
    script.proceed()
    assert script.lease.begin_generation(["c1", "late"]) == {"late"}


def test_a_poll_learns_of_a_stop_without_writing(script):
    script.start()
    script.lease.poll()
    script.store.stop(script.run.id, by="ann")
    with pytest.raises(RunLost):
        script.lease.poll()
    with pytest.raises(RunLost):
        script.lease.check()


def test_silent_run_is_rescued_in_the_open_and_keeps_what_it_has(script, owner):
    script.to(RunStatus.TRAINING)
    let_lease_run_out(owner, script.run.id)
    script.service.rpc("rescue_runs")
    assert script.now.status is RunStatus.TRAINING_FAILED
    assert script.now.error_message.startswith("The app stopped while Deep Memory was training.")
    assert script.now.pair_count == 2
    assert script.store.events(script.run.id)[-1].kind == "rescued"


def test_run_whose_process_died_before_claiming_it_is_rescued_too(user, service, owner):
    run = RunStore(user.database).start(total_chunks=1, settings={})
    let_lease_run_out(owner, run.id)
    service.rpc("rescue_runs")
    assert RunStore(user.database).get(run.id).status is RunStatus.GENERATING_FAILED


def test_run_with_a_heartbeat_is_not_rescued(script, owner):
    script.start()
    let_lease_run_out(owner, script.run.id)
    script.lease.heartbeat()
    script.service.rpc("rescue_runs")
    assert script.now.status is RunStatus.GENERATING


@pytest.mark.parametrize("status", [s for s in RunStatus if not s.is_active])
def test_run_that_nobody_works_on_needs_no_rescue(script, owner, status):
    script.to(status)
    keep_watch(owner)
    assert script.run.id not in [row["id"] for row in script.service.rpc("rescue_runs")]
    assert script.now.status is status


def test_worker_gets_time_for_a_heartbeat_after_the_database_was_away(script, owner):
    """An outage is a gap between two sweeps: a lease that ran out in it does not count yet."""
    script.start()
    let_lease_run_out(owner, script.run.id)
    owner.execute("update deep_memory_watch set swept_at = now() - interval '1 minute'")
    assert script.service.rpc("rescue_runs") == []
    assert script.service.rpc("rescue_runs") == []  # the grace does not end with the gap
    script.lease.heartbeat()
    owner.execute("update deep_memory_watch set grace_until = now()")
    script.service.rpc("rescue_runs")
    assert script.now.status is RunStatus.GENERATING


def test_worker_that_never_comes_back_from_an_outage_is_given_up(script, owner):
    script.start()
    let_lease_run_out(owner, script.run.id)
    owner.execute("update deep_memory_watch set swept_at = now() - interval '1 minute'")
    script.service.rpc("rescue_runs")
    grace = owner.execute(
        "select grace_until - now() < interval '20 seconds' from deep_memory_watch"
    )
    assert grace.fetchone() == (True,)
    owner.execute("update deep_memory_watch set grace_until = now()")
    script.service.rpc("rescue_runs")
    assert script.now.status is RunStatus.GENERATING_FAILED


class AwayThenBack:
    """A database whose every statement fails `times` times first, half of them after landing."""

    def __init__(self, database, times: int) -> None:
        self._database, self._times, self.failed = database, times, 0

    def rpc(self, function, **parameters):
        return self._sometimes(lambda: self._database.rpc(function, **parameters))

    def execute(self, query):
        return self._sometimes(lambda: self._database.execute(query))

    def _sometimes(self, statement):
        if self.failed < self._times:
            self.failed += 1
            if self.failed % 2:
                statement()
            raise DatabaseUnavailable("The database does not answer just now.")
        self.failed = 0
        return statement()


def test_writes_go_on_where_they_were_when_the_database_comes_back(script):
    run = script.store.start(total_chunks=2, settings={})
    lease = RunLease(AwayThenBack(script.service, times=2), run)
    script.run = lease.claim()
    assert lease.begin_generation(["c1", "c2"]) == set()
    run = lease.save_pairs(*finished(["c1", "c2"], 2), {"input_tokens": 7})
    assert (run.processed_chunks, run.pair_count, run.usage) == (2, 4, {"input_tokens": 7})
    assert len(questions(script)) == 4


def test_waiting_for_the_database_ends_at_once_when_the_run_is_stopped(script):
    run = script.store.start(total_chunks=2, settings={})
    lease = RunLease(AwayThenBack(script.service, times=10**6), run)
    outcome: list[Exception] = []

    def work() -> None:
        try:
            lease.claim()
        except RunLost as lost:
            outcome.append(lost)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    lease.lost.set()
    thread.join(10)
    assert len(outcome) == 1


def test_completing_twice_is_told_as_lost_and_keeps_the_first_figures(script):
    script.to(RunStatus.TRAINING)
    script.lease.finish_training(METRICS, activate=True)
    with pytest.raises(RunLost):
        script.lease.finish_training({"other": 1}, activate=True)
    assert script.now.metrics == METRICS


def test_run_with_50_000_pairs_begins_again_and_is_removed_in_time(script, owner):
    """The database ends a person's statement after 8 seconds."""
    script.start(10_000)
    owner.execute(
        "insert into deep_memory_training_pairs (training_run_id, question_text, chunk_id)"
        " select %s, 'Question ' || n, 'c' || n %% 10000 from generate_series(1, 50000) n",
        (script.run.id,),
    )
    script.lease.fail("The model did not answer.")
    script.proceed()
    # Every second document is gone.
    assert len(script.lease.begin_generation([f"c{n}" for n in range(0, 10_000, 2)])) == 5_000
    assert script.now.pair_count == 25_000
    script.lease.fail("The model did not answer.")
    assert script.store.remove(script.run.id) == 25_000


@pytest.mark.parametrize("removed", [False, True])
def test_worker_of_a_run_that_a_person_ended_learns_that_it_was_a_person(script, removed):
    script.to(RunStatus.GENERATED).train()
    assert not script.lease.was_stopped()
    script.store.stop(script.run.id, by="ana@example.com")
    if removed:
        script.store.remove(script.run.id)
    assert script.lease.was_stopped()


def test_worker_whose_run_was_shut_down_rescued_or_proceeded_with_was_not_stopped(script, owner):
    script.to(RunStatus.TRAINING_FAILED)
    assert not script.lease.was_stopped()
    script.proceed()
    let_lease_run_out(owner, script.run.id)
    script.service.rpc("rescue_runs")
    assert not script.lease.was_stopped()
    stopped = script.proceed().lease
    script.store.stop(script.run.id, by="ana@example.com")
    script.proceed()
    assert not stopped.was_stopped()


def test_progress_is_stored_to_a_tenth_of_a_percent(user, service):
    script = Script(user, service).to(RunStatus.TRAINING)
    script.lease.note_training("Training", 0.12345)
    assert script.now.metrics["progress"] == {"step": "Training", "share": 0.123}
