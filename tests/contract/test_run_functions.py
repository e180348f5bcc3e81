"""The database's functions: who holds a run is let in, nobody else is, and no other run is touched.

Past the services, by the names of the parameters, so that each condition stands on its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from services.errors import RunMoved
from services.generation.batch_ledger import BatchLedger
from services.runs.lease import RunLease, RunLost
from services.runs.states import RunStatus
from services.runs.store import RunStore
from tests.runs import METRICS, Script, finished, keep_watch, let_lease_run_out

S = RunStatus
BATCH = str(uuid4())
SENT = {"questions": "abc", "known": ["j1"]}  # to DeepLake Cloud, whose job is not known yet
SAVED = dict(zip(("p_chunks", "p_pairs"), finished(["c3"]), strict=True)) | {"p_usage": {}}
# What only the holder may call: the status it is called in, and what it says besides who it is.
HELD: dict[str, tuple[RunStatus, dict[str, Any]]] = {
    "claim_run": (S.TRAINING, {}),
    "heartbeat_run": (S.GENERATING, {}),
    "beat_run": (S.GENERATING, {}),  # by workers of the app of the day before
    "note_waiting": (S.GENERATING, {"p_waiting": {"what": "OpenAI", "until": None}}),
    "begin_generation": (S.GENERATING, {"p_chunk_ids": ["c1", "c2", "c3"]}),
    "save_pairs": (S.GENERATING, SAVED),
    "intend_batch": (S.GENERATING, {"p_batch": BATCH, "p_chunk_ids": ["c3"]}),
    "record_batch": (S.GENERATING, {"p_batch": BATCH, "p_openai_id": "batch_1"}),
    "note_batch": (S.GENERATING, {"p_batch": BATCH, "p_answered": 1}),
    "save_waited_pairs": (S.GENERATING, {"p_answered": ["c3"], **SAVED}),
    "forget_batch": (S.GENERATING, {"p_batch": BATCH, "p_how": "expired"}),
    "finish_generation": (S.GENERATING, {}),
    "record_cloud_submission": (S.TRAINING, {"p_submission": SENT, "p_job_id": None}),
    "record_training_job": (S.TRAINING, {"p_job": "submitting:j1 for questions abc"}),
    "note_training": (S.TRAINING, {"p_progress": {"step": "Training", "share": 0.5}}),
    "finish_training": (S.TRAINING, {"p_metrics": METRICS, "p_activate": True}),
    "fail_run": (S.TRAINING, {"p_message": "It broke."}),
}
# Called for a run that a person stopped.
AFTER_A_STOP = {"leave_run": {}, "save_pairs": SAVED}
CALLS = [
    *(pytest.param(name, *call, False, id=name) for name, call in HELD.items()),
    *(
        pytest.param(name, S.GENERATING, said, True, id=f"{name}-after-a-stop")
        for name, said in AFTER_A_STOP.items()
    ),
]
OTHERS = {"p_user": str(uuid4()), "p_worker": str(uuid4()), "p_attempt": 99, "p_run": str(uuid4())}


@pytest.fixture
def script(user, service) -> Script:
    return Script(user, service)


@pytest.fixture
def call(script) -> Callable[..., Any]:
    """Calls a function as the holder of the script's run does, but for what is said otherwise."""
    return lambda function, **said: script.service.rpc(function, **{**script.lease._key, **said})


def everything_of(owner: psycopg.Connection, run_id: str) -> dict[str, list[Any]]:
    """All that the database holds of a run."""
    tables = {
        "deep_memory_training_runs": "id",
        "deep_memory_training_pairs": "training_run_id",
        "deep_memory_run_chunks": "training_run_id",
        "deep_memory_run_events": "training_run_id",
        "deep_memory_generation_batches": "training_run_id",
        "deep_memory_waiting_chunks": "training_run_id",
        "deep_memory_cloud_jobs": "training_run_id",
    }
    return {
        table: sorted(
            map(str, owner.execute(f"select * from {table} where {key} = %s", (run_id,)).fetchall())
        )
        for table, key in tables.items()
    }


def ready_for(script: Script, status: RunStatus, *, is_stopped: bool) -> None:
    """A run with a batch that waits, in `status`."""
    script.to(S.GENERATING)
    script.lease.begin_generation(["c1", "c2", "c3"])
    script.save("c1", "c2")
    if status is S.GENERATING:
        BatchLedger(script.lease).intend(BATCH, ["c3"])
    else:
        script.lease.finish_generation()
        script.train()
    if is_stopped:
        script.store.stop(script.run.id, by="ann")


@pytest.fixture(autouse=True)
def no_batch_is_left(owner):
    """Batches of these tests share an id, which is theirs alone."""
    yield
    owner.execute("delete from deep_memory_generation_batches where id = %s", (BATCH,))


@pytest.mark.parametrize(("function", "status", "said", "is_stopped"), CALLS)
def test_whoever_holds_the_run_is_let_in(script, call, function, status, said, is_stopped):
    ready_for(script, status, is_stopped=is_stopped)
    assert call(function, **said)


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize(("function", "status", "said", "is_stopped"), CALLS)
def test_who_is_not_this_person_worker_and_attempt_changes_nothing(
    script, call, owner, function, status, said, is_stopped, other
):
    if function == "leave_run" and other == "p_run":
        other = "p_worker"  # of a run that is not there nothing is left either way
    ready_for(script, status, is_stopped=is_stopped)
    before = everything_of(owner, script.run.id)
    assert not call(function, **{**said, other: OTHERS[other]})
    assert everything_of(owner, script.run.id) == before


@pytest.mark.parametrize(("function", "status", "said", "is_stopped"), CALLS)
def test_no_other_run_is_touched(
    script, call, owner, new_user, service, function, status, said, is_stopped
):
    bystander = Script(new_user(), service).start()
    bystander.lease.begin_generation(["c3", "x1", "x2"])
    bystander.save("x1")
    bystander.lease.save_pairs([{"chunk_id": "x2", "problem": "refused"}], [], {})
    BatchLedger(bystander.lease).intend(str(uuid4()), ["c3"])
    owner.execute("delete from deep_memory_training_pairs where chunk_id = 'x1'")
    ready_for(script, status, is_stopped=is_stopped)
    before = everything_of(owner, bystander.run.id)
    call(function, **said)
    assert everything_of(owner, bystander.run.id) == before


@pytest.fixture
def older(user, service) -> Script:
    """A completed run of the same person, of which a chunk had a problem."""
    script = Script(user, service)
    of_a_person(script, S.COMPLETED)
    return script


ACTS = {
    "start_training": S.GENERATED,
    "proceed": S.GENERATING_FAILED,
    "stop": S.GENERATED,
    "retry_problems": S.GENERATED,
    "remove": S.GENERATING_FAILED,
}


@pytest.mark.parametrize(("act", "status"), ACTS.items())
def test_what_a_person_asks_for_touches_no_other_run_of_theirs(older, script, owner, act, status):
    of_a_person(script, status)
    extra = {"by": "ann"} if act == "stop" else {}
    both = [everything_of(owner, run.run.id) for run in (older, script)]
    with pytest.raises(RunMoved):
        getattr(script.store, act)(older.run.id, **extra)
    assert [everything_of(owner, run.run.id) for run in (older, script)] == both
    getattr(script.store, act)(script.run.id, **extra)
    assert everything_of(owner, older.run.id) == both[0]


PERSONS = {
    "start_training": S.GENERATED,
    "proceed_run": S.TRAINING_FAILED,
    "stop_run": S.TRAINING,
    "remove_run": S.GENERATING_FAILED,
    "retry_problem_chunks": S.GENERATED,
    "use_model": S.COMPLETED,
    "remove_completed_run": S.COMPLETED,
}


def of_a_person(script: Script, status: RunStatus) -> None:
    """A run with a chunk that had a problem, in `status`."""
    script.to(S.GENERATING)
    script.save("c1")
    script.lease.save_pairs([{"chunk_id": "c3", "problem": "refused"}], [], {})
    if status is not S.GENERATING_FAILED:
        script.lease.finish_generation()
    if status in (S.TRAINING, S.TRAINING_FAILED, S.COMPLETED):
        script.train()
    if status.is_failed:
        script.lease.fail("It broke.")
    elif status is S.COMPLETED:
        script.lease.finish_training(METRICS, activate=True)


@pytest.mark.parametrize(("function", "status"), PERSONS.items())
def test_what_a_person_asks_for_is_done_for_that_person_even_where_no_policy_holds(
    script, service, owner, function, status
):
    """With the secret key, too: whoever is not signed in owns no run."""
    of_a_person(script, status)
    before = everything_of(owner, script.run.id)
    said = {"p_by": "nobody"} if function == "stop_run" else {}
    assert not service.rpc(function, p_run=script.run.id, **said)
    assert everything_of(owner, script.run.id) == before


@pytest.mark.parametrize(("function", "status"), PERSONS.items())
def test_what_is_asked_for_a_run_that_is_not_there_is_not_done_to_the_one_that_is(
    script, user, owner, function, status
):
    of_a_person(script, status)
    before = everything_of(owner, script.run.id)
    said = {"p_by": "ann"} if function == "stop_run" else {}
    assert not user.database.rpc(function, p_run=str(uuid4()), **said)
    assert everything_of(owner, script.run.id) == before


def test_the_state_of_deep_memory_is_that_of_who_asks(script, service, user):
    script.to(S.COMPLETED)
    Script(user, service).to(S.GENERATING_FAILED)
    state = user.database.rpc("deep_memory_state")
    assert state["active"]["id"] == state["settings"]["active_run_id"] == script.run.id
    assert state["blocking"]["status"] == "generating_failed"
    assert service.rpc("deep_memory_state") == dict.fromkeys(("settings", "active", "blocking"))
    assert service.rpc("model_in_cloud") is None


# Leaving ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [S.GENERATING, S.TRAINING])
def test_a_worker_leaves_a_run_that_was_stopped_and_no_other(script, call, status):
    ready_for(script, status, is_stopped=False)
    assert call("leave_run") is False
    assert script.now.worker_id == script.lease._key["p_worker"]
    script.store.stop(script.run.id, by="ann")
    assert script.now.worker_id == script.lease._key["p_worker"]
    assert call("leave_run") is True
    assert script.now.worker_id is None
    assert script.now.error_message == "Stopped by ann"


# Saving ----------------------------------------------------------------------------------------


def pair_of(chunk_id: str, question: str) -> dict[str, Any]:
    [pair] = finished([chunk_id])[1]
    return {**pair, "question_text": question}


def pairs_of(owner: psycopg.Connection, run_id: str) -> list[tuple[str, str]]:
    return owner.execute(
        "select chunk_id, question_text from deep_memory_training_pairs"
        " where training_run_id = %s order by 1, 2",
        (run_id,),
    ).fetchall()


@pytest.mark.parametrize("order", [("c1", "c2"), ("c2", "c1")])
def test_of_the_same_question_in_one_batch_the_first_chunk_has_it(script, owner, order):
    script.start()
    pairs = [pair_of(chunk, "Why " + chunk.upper()) for chunk in order]
    pairs += [pair_of(chunk, f"{' ' * n}How  warm?") for n, chunk in enumerate(order)]
    run = script.lease.save_pairs(finished(order)[0], pairs, {})
    assert (order[0], "How  warm?") in pairs_of(owner, run.id)
    assert run.pair_count == 3
    assert script.store.problems(run.id) == {}


def test_a_chunk_that_repeats_its_own_question_in_one_batch_has_it_once(script, owner):
    script.start()
    chunks, _ = finished(["c1"])
    questions = ("Why?", "why?", " Why? ", "How?")
    run = script.lease.save_pairs(chunks, [pair_of("c1", text) for text in questions], {})
    assert pairs_of(owner, run.id) == [("c1", "How?"), ("c1", "Why?")]


def test_a_question_of_an_earlier_batch_is_not_stored_again_for_another_chunk(script, owner):
    script.start()
    script.lease.save_pairs(finished(["c1"])[0], [pair_of("c1", "How warm?")], {})
    later = [pair_of("c2", "how  WARM?"), pair_of("c2", "Why?"), pair_of("c3", "How warm?")]
    run = script.lease.save_pairs(finished(["c2", "c3"])[0], later, {})
    assert pairs_of(owner, run.id) == [("c1", "How warm?"), ("c2", "Why?")]
    assert script.store.chunks_with_problem(run.id) == [("c3", "only duplicate questions")]


def test_a_chunk_that_is_stored_gets_no_other_questions_by_a_late_answer(script, owner):
    script.start()
    script.save("c1")
    script.lease.save_pairs(finished(["c1"])[0], [pair_of("c1", "Another?")], {})
    assert pairs_of(owner, script.run.id) == [("c1", "What is 0 of c1?")]
    assert script.now.processed_chunks == 1


def test_pairs_of_a_chunk_that_is_not_among_the_finished_are_not_stored(script, owner):
    script.start()
    script.lease.save_pairs(finished(["c1"])[0], [pair_of("c2", "Whose?")], {})
    assert pairs_of(owner, script.run.id) == []


def test_a_problem_that_was_told_is_not_called_a_duplicate(script):
    script.start()
    script.lease.save_pairs([{"chunk_id": "c1", "problem": "refused"}], [], {})
    script.save("c2")
    assert script.store.problems(script.run.id) == {"refused": 1}


def test_a_chunk_whose_pairs_were_dropped_is_no_problem_of_a_later_batch(script, owner):
    script.start()
    script.save("c1")
    owner.execute(
        "delete from deep_memory_training_pairs where training_run_id = %s", (script.run.id,)
    )
    script.save("c2")
    assert script.store.problems(script.run.id) == {}


# Batches ---------------------------------------------------------------------------------------


def batches_of(script: Script) -> list[dict[str, Any]]:
    return script.service.rpc("waiting_batches", p_run=script.run.id)


def test_a_batch_keeps_the_id_that_it_was_recorded_with_and_is_told_once(script):
    script.start()
    BatchLedger(script.lease).intend(BATCH, ["c1", "c2"])
    BatchLedger(script.lease).record(BATCH, "batch_first")
    BatchLedger(script.lease).record(BATCH, "batch_second")
    [batch] = batches_of(script)
    assert batch["openai_id"] == "batch_first"
    told = [event for event in script.store.events(script.run.id) if "batch" in event.kind]
    assert [(event.message, event.counts) for event in told] == [
        ("Submitted to OpenAI as batch_first", {"chunks": 2})
    ]


def test_a_batch_that_was_intended_twice_waits_once(script):
    script.start()
    for _ in range(2):
        BatchLedger(script.lease).intend(BATCH, ["c1", "c2"])
    [batch] = batches_of(script)
    assert sorted(batch["chunk_ids"]) == ["c1", "c2"]


def test_of_two_batches_only_the_one_that_is_named_is_recorded_noted_and_forgotten(script):
    script.start()
    other = str(uuid4())
    BatchLedger(script.lease).intend(BATCH, ["c1"])
    BatchLedger(script.lease).intend(other, ["c2"])
    BatchLedger(script.lease).record(BATCH, "batch_1")
    BatchLedger(script.lease).note(BATCH, 1)
    assert {b["id"]: (b["openai_id"], b["answered"]) for b in batches_of(script)} == {
        BATCH: ("batch_1", 1),
        other: (None, 0),
    }
    BatchLedger(script.lease).forget(BATCH, "expired")
    [left] = batches_of(script)
    assert (left["id"], left["chunk_ids"]) == (other, ["c2"])


@pytest.mark.parametrize(
    "act",
    [
        lambda lease: BatchLedger(lease).record(BATCH, "batch_of_another"),
        lambda lease: BatchLedger(lease).note(BATCH, 9),
        lambda lease: BatchLedger(lease).forget(BATCH, "of another"),
        lambda lease: BatchLedger(lease).save_pairs(["c1"], [], [], {}),
    ],
    ids=["record", "note", "forget", "save"],
)
def test_the_batch_of_another_run_stays_as_it_is(script, new_user, service, act):
    script.start()
    BatchLedger(script.lease).intend(BATCH, ["c1"])
    before = batches_of(script)
    act(Script(new_user(), service).start().lease)
    assert batches_of(script) == before


def test_answers_leave_the_chunks_waiting_that_they_do_not_name(script):
    script.start()
    BatchLedger(script.lease).intend(BATCH, ["c1", "c2"])
    BatchLedger(script.lease).save_pairs(["c1"], *finished(["c1"]), {})
    [batch] = batches_of(script)
    assert batch["chunk_ids"] == ["c2"]


def test_the_end_of_a_batch_is_told_if_it_was_ever_submitted(script):
    script.start()
    for batch_id, openai_id in ((BATCH, "batch_1"), (str(uuid4()), None)):
        BatchLedger(script.lease).intend(batch_id, [f"c{openai_id}"])
        if openai_id:
            BatchLedger(script.lease).record(batch_id, openai_id)
        BatchLedger(script.lease).forget(batch_id, "expired")
    told = [event for event in script.store.events(script.run.id) if event.kind == "batch_ended"]
    assert [(event.message, event.counts) for event in told] == [
        ("batch_1 ended: expired", {"chunks_without_answer": 1})
    ]
    assert batches_of(script) == []


def test_what_waits_is_counted_for_its_run_alone(script, user, service, new_user):
    script.start()
    BatchLedger(script.lease).intend(BATCH, ["c1", "c2"])
    BatchLedger(script.lease).note(BATCH, 1)
    other = Script(new_user(), service).start()
    theirs = str(uuid4())
    BatchLedger(other.lease).intend(theirs, ["c1"])
    BatchLedger(other.lease).note(theirs, 1)
    for database in (user.database, service):  # row-level security hides nothing from the second
        [waiting] = database.rpc("waiting_progress", p_run=script.run.id)
        assert waiting == {"chunks": 2, "answered": 1}
    [mine] = batches_of(script)
    assert mine["id"] == BATCH


def test_a_generation_that_begins_leaves_what_other_runs_have_done(script, service, new_user):
    script.start()
    script.lease.begin_generation(["c1", "c2"])
    script.save("c1")
    other = Script(new_user(), service).start()
    other.lease.begin_generation(["c2"])
    assert script.lease.begin_generation(["c1", "c2"]) == {"c1"}
    assert script.now.pair_count == 1


# Leases and their rescue -----------------------------------------------------------------------


def lease_left(owner: psycopg.Connection, run_id: str) -> float | None:
    row = owner.execute(
        "select extract(epoch from lease_expires_at - now())::float"
        " from deep_memory_training_runs where id = %s",
        (run_id,),
    ).fetchone()
    return row[0]


@pytest.mark.parametrize(
    "extend",
    [
        pytest.param(lambda lease: lease.claim(), id="claim"),
        pytest.param(lambda lease: lease.heartbeat(), id="heartbeat"),
        pytest.param(lambda lease: lease.save_pairs(*finished(["c9"]), {}), id="save"),
    ],
)
def test_each_sign_of_life_is_good_for_28_seconds(script, owner, extend):
    script.start()
    owner.execute(
        "update deep_memory_training_runs set lease_expires_at = now() where id = %s",
        (script.run.id,),
    )
    extend(script.lease)
    assert 20 < lease_left(owner, script.run.id) <= 28


def test_a_run_is_watched_from_its_start_and_no_longer_than_it_is_worked_on(script, owner):
    run = script.store.start(total_chunks=1, settings={})
    assert 20 < lease_left(owner, run.id) <= 28
    script._claimed(run)
    script.store.stop(run.id, by="ann")
    script.lease.save_pairs(*finished(["c1"]), {})  # paid for; nobody watches a stopped run
    assert lease_left(owner, run.id) is None


@pytest.mark.parametrize("status", [S.GENERATING, S.TRAINING])
def test_a_run_without_a_lease_is_rescued(script, owner, status):
    script.to(status)
    owner.execute(
        "update deep_memory_training_runs set lease_expires_at = null where id = %s",
        (script.run.id,),
    )
    keep_watch(owner)
    script.service.rpc("rescue_runs")
    assert script.now.status.is_failed
    assert script.now.worker_id is None


@pytest.mark.parametrize(("silent_s", "is_rescued"), [(10, True), (20, False)])
def test_a_sweep_that_was_away_for_15_seconds_gives_workers_time(
    script, owner, silent_s, is_rescued
):
    script.start()
    owner.execute(
        "update deep_memory_training_runs set lease_expires_at = now() - interval '1 second'"
        " where id = %s",
        (script.run.id,),
    )
    owner.execute(
        "update deep_memory_watch set grace_until = now() - interval '1 hour',"
        " swept_at = now() - make_interval(secs => %s)",
        (silent_s,),
    )
    script.service.rpc("rescue_runs")
    assert script.now.status.is_failed is is_rescued


def test_what_a_rescued_run_says_names_what_it_was_doing(script, owner):
    script.to(S.GENERATING)
    let_lease_run_out(owner, script.run.id)
    script.service.rpc("rescue_runs")
    assert script.now.error_message == (
        "The app stopped while it was generating questions. What was made is kept."
    )


# What is read ----------------------------------------------------------------------------------


def test_problems_are_counted_most_frequent_first_for_their_run_alone(script, new_user, service):
    other = Script(new_user(), service).start()
    other.lease.save_pairs([{"chunk_id": "c1", "problem": "of another"}], [], {})
    script.start()
    problems = {"c1": "cut off", "c2": "refused", "c3": "refused", "c4": None}
    chunks = [{"chunk_id": id_, "problem": problem} for id_, problem in problems.items()]
    script.lease.save_pairs(chunks, [pair_of("c4", "Why?")], {})
    assert list(script.store.problems(script.run.id).items()) == [("refused", 2), ("cut off", 1)]
    assert script.store.chunks_with_problem(script.run.id, limit=2) == [
        ("c1", "cut off"),
        ("c2", "refused"),
    ]


def test_the_run_that_blocks_is_the_one_that_was_not_set_aside(user, service, owner):
    script = Script(user, service).to(S.GENERATING_FAILED)
    owner.execute("alter table deep_memory_training_runs disable trigger check_run_move")
    try:
        owner.execute(
            "insert into deep_memory_training_runs (user_id, status, set_aside)"
            " values (%s, 'generating_failed', true)",
            (user.identity.user_id,),
        )
    finally:
        owner.execute("alter table deep_memory_training_runs enable trigger check_run_move")
    store = RunStore(user.database)
    assert store.blocking().id == script.run.id
    assert user.database.rpc("deep_memory_state")["blocking"]["id"] == script.run.id


# The lease's own clock -------------------------------------------------------------------------


class Clock:
    """Time that passes only while a statement is on its way."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr("services.runs.lease.time.monotonic", lambda: self.now)


class Slow:
    """A database that answers, and whose answer is read late: the process slept in between."""

    def __init__(self, clock: Clock, sleeps_s: float) -> None:
        self._clock, self._sleeps_s = clock, sleeps_s

    def rpc(self, function: str, **said: Any) -> Any:
        self._clock.now += self._sleeps_s
        return True


@pytest.mark.parametrize(("slept_s", "is_confirmed"), [(4.9, True), (5.1, False)])
def test_a_hold_counts_from_the_question_and_not_from_when_its_answer_was_read(
    script, monkeypatch, slept_s, is_confirmed
):
    """Meanwhile the run may have been rescued: what costs money waits for news that are fresh."""
    run = script.store.start(total_chunks=1, settings={})
    clock = Clock(monkeypatch)
    lease = RunLease(Slow(clock, slept_s), run)
    lease.heartbeat()
    assert lease.is_confirmed is is_confirmed
    lease.note_training("Training", 0.5)
    assert lease.is_confirmed is is_confirmed


def test_a_hold_that_is_not_heard_of_is_not_confirmed_until_it_is(script, monkeypatch):
    run = script.store.start(total_chunks=1, settings={})
    clock = Clock(monkeypatch)
    lease = RunLease(Slow(clock, 0.0), run)
    assert lease.is_confirmed
    clock.now += 6
    assert not lease.is_confirmed
    lease.heartbeat()
    assert lease.is_confirmed


def test_a_statement_that_fails_is_no_news_of_the_hold(script, monkeypatch):
    class Refusing(Slow):
        def rpc(self, function: str, **said: Any) -> Any:
            super().rpc(function)
            return False

    run = script.store.start(total_chunks=1, settings={})
    lease = RunLease(Refusing(Clock(monkeypatch), 0.0), run)
    with pytest.raises(RunLost):
        lease.heartbeat()
    assert lease.lost.is_set()
