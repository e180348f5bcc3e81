"""A run moves as the diagram says, once, for its own user, and for nobody else."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from services.errors import NotAllowed, NotFound, RunBlocked, RunMoved
from services.runs.lease import RunLost
from services.runs.states import RunStatus
from services.runs.store import RunStore
from tests.moves import MOVES
from tests.runs import METRICS, Script

S = RunStatus
Move = Callable[[Script], object]
BY_PERSON: dict[str, tuple[Move, dict[RunStatus, RunStatus | None]]] = {
    "start training": (lambda s: s.store.start_training(s.run.id), {S.GENERATED: S.TRAINING}),
    "proceed": (
        lambda s: s.store.proceed(s.run.id),
        {S.GENERATING_FAILED: S.GENERATING, S.TRAINING_FAILED: S.TRAINING},
    ),
    "stop": (
        lambda s: s.store.stop(s.run.id, by="ann"),
        {
            S.GENERATING: S.GENERATING_FAILED,
            S.GENERATED: S.GENERATING_FAILED,
            S.TRAINING: S.TRAINING_FAILED,
        },
    ),
    "remove": (
        lambda s: s.store.remove(s.run.id),
        {S.GENERATING_FAILED: None, S.TRAINING_FAILED: None},
    ),
}
BY_WORKER: dict[str, tuple[Move, dict[RunStatus, RunStatus | None]]] = {
    "finish generation": (
        lambda s: (s.save("c1"), s.lease.finish_generation()),
        {S.GENERATING: S.GENERATED},
    ),
    "finish training": (
        lambda s: s.lease.finish_training(METRICS, activate=True),
        {S.TRAINING: S.COMPLETED},
    ),
    "fail": (
        lambda s: s.lease.fail("It broke."),
        {S.GENERATING: S.GENERATING_FAILED, S.TRAINING: S.TRAINING_FAILED},
    ),
}
CASES = [
    pytest.param(move, status, targets, refusal, id=f"{name}-from-{status}")
    for moves, refusal in ((BY_PERSON, RunMoved), (BY_WORKER, RunLost))
    for name, (move, targets) in moves.items()
    for status in RunStatus
]


@pytest.fixture
def script(user, service) -> Script:
    return Script(user, service)


def test_table_of_moves_here_is_complete():
    here = {
        (start, end)
        for moves in (BY_PERSON, BY_WORKER)
        for _, targets in moves.values()
        for start, end in targets.items()
        if end is not None
    }
    assert here == MOVES


@pytest.mark.parametrize(("move", "status", "targets", "refusal"), CASES)
def test_move_lands_from_its_statuses_and_changes_nothing_from_others(
    script, move, status, targets, refusal
):
    script.to(status)
    before = script.now
    if status not in targets:
        with pytest.raises(refusal):
            move(script)
        assert script.now == before
        return
    move(script)
    if targets[status] is None:
        with pytest.raises(NotFound):
            assert script.now
        return
    assert script.now.status is targets[status]
    # The same wish again: the run has moved, whoever was quicker. Only a training that was stopped
    # can be proceeded with for ever.
    if status != targets[status]:
        with pytest.raises((RunMoved, RunLost)):
            move(script)
        assert script.now.status is targets[status]


@pytest.mark.parametrize("name", BY_PERSON)
@pytest.mark.parametrize("status", [S.GENERATED, S.TRAINING_FAILED])
def test_run_of_another_user_is_not_there(script, new_user, service, name, status):
    script.to(status)
    stranger = Script(new_user(), service)
    stranger.run, stranger.lease = script.run, script.lease
    with pytest.raises(NotFound):
        BY_PERSON[name][0](stranger)
    assert script.now.status is status


@pytest.mark.parametrize("run_id", ["00000000-0000-4000-8000-000000000000", "no-id"])
def test_run_that_never_was_is_not_found(user, run_id):
    for move in (RunStore(user.database).proceed, RunStore(user.database).remove):
        with pytest.raises(NotFound):
            move(run_id)


@pytest.mark.parametrize("name", ["proceed", "remove", "stop"])
def test_of_two_clicks_at_once_one_wins_and_the_other_learns_that_it_moved(script, name):
    move, targets = BY_PERSON[name]
    script.to(next(iter(targets)))

    def click(_: int) -> str:
        try:
            move(script)
        except (RunMoved, NotFound) as error:
            return error.code
        return "landed"

    with ThreadPoolExecutor(2) as tabs:
        outcomes = sorted(tabs.map(click, range(2)))
    assert outcomes[0] == "landed"
    assert outcomes[1] in ("run_moved", "not_found")


@pytest.mark.parametrize("status", [status for status in S if status is not S.COMPLETED])
def test_unfinished_run_blocks_a_new_one_and_is_named(script, status):
    script.to(status)
    with pytest.raises(RunBlocked) as refusal:
        script.store.start(total_chunks=1, settings={})
    assert (refusal.value.run_id, refusal.value.status) == (script.run.id, status.value)
    assert script.store.blocking().id == script.run.id


def test_completed_run_blocks_nothing(script):
    script.to(S.COMPLETED)
    assert script.store.blocking() is None
    assert script.store.start(total_chunks=1, settings={}).status is S.GENERATING


def test_of_simultaneous_starts_one_wins_and_the_others_are_told_by_which_run(user):
    store = RunStore(user.database)

    def start(_: int) -> tuple[bool, str]:
        try:
            return True, store.start(total_chunks=1, settings={}).id
        except RunBlocked as refusal:
            return False, refusal.run_id

    with ThreadPoolExecutor(4) as tabs:
        outcomes = list(tabs.map(start, range(4)))
    assert sorted(won for won, _ in outcomes) == [False, False, False, True]
    assert len({run_id for _, run_id in outcomes}) == 1


def test_another_users_run_blocks_nobody_else(script, new_user):
    script.to(S.GENERATING)
    assert RunStore(new_user().database).start(total_chunks=1, settings={})


def test_stop_says_who_stopped_and_keeps_the_pairs(script):
    script.to(S.GENERATED)
    script.store.stop(script.run.id, by="ann@example.com")
    assert script.now.error_message == "Discarded in review by ann@example.com"
    assert script.now.pair_count == 2


def test_proceed_clears_the_error_and_counts_a_new_attempt(script):
    script.to(S.GENERATING_FAILED)
    assert script.now.error_message == "The model did not answer."
    run = script.store.proceed(script.run.id)
    assert (run.error_message, run.attempt) == (None, script.run.attempt + 1)


def test_remove_takes_pairs_chunks_and_events_along_and_says_how_many_pairs(script, owner):
    script.to(S.TRAINING_FAILED)
    assert script.store.remove(script.run.id) == 2
    for table in ("training_pairs", "run_chunks", "run_events"):
        left = owner.execute(
            f"select count(*) from deep_memory_{table} where training_run_id = %s",
            (script.run.id,),
        )
        assert left.fetchone() == (0,), table


def test_timeline_tells_the_life_of_a_run_in_order(script):
    script.to(S.COMPLETED)
    kinds = [event.kind for event in script.store.events(script.run.id)]
    assert kinds == ["started", "finished", "started", "finished"]


def test_completing_points_the_settings_at_the_run(script):
    script.to(S.COMPLETED)
    [row] = script.user.database.execute(lambda c: c.table("deep_memory_settings").select("*")).data
    assert row["last_training_run_id"] == row["active_run_id"] == script.run.id
    assert row["last_trained_at"] is not None
    assert row["enabled"] is False


def test_worse_training_leaves_the_older_model_active(script, user, service):
    script.to(S.COMPLETED)
    worse = Script(user, service).to(S.TRAINING)
    worse.lease.finish_training(METRICS, activate=False)
    [row] = user.database.execute(lambda c: c.table("deep_memory_settings").select("*")).data
    assert row["last_training_run_id"] == worse.run.id
    assert row["active_run_id"] == script.run.id


@pytest.mark.parametrize("status", RunStatus)
def test_raw_client_of_a_person_moves_a_run_by_a_persons_moves_only(script, status):
    """Through PostgREST itself, past all services, as the signed-in user."""
    script.to(status)
    for target in RunStatus:
        if (status, target) in MOVES and target not in (S.GENERATED, S.COMPLETED):
            continue
        if target is status:
            continue
        with pytest.raises(NotAllowed):
            script.user.database.execute(
                lambda c, to=target: (
                    c.table("deep_memory_training_runs")
                    .update({"status": to.value})
                    .eq("id", script.run.id)
                )
            )
    assert script.now.status is status


@pytest.mark.parametrize(
    "row",
    [
        {"status": "completed"},
        {"status": "generated"},
        {"status": "generating", "set_aside": True},
        {"status": "generating", "deeplake_job_id": "somebody-elses"},
        {"status": "generating", "cloud_submission": {"questions": "", "known": []}},
    ],
)
def test_raw_client_can_not_begin_a_run_in_another_place(script, row):
    script.to(S.GENERATING_FAILED)
    with pytest.raises(NotAllowed):
        script.user.database.execute(
            lambda c: c.table("deep_memory_training_runs").insert(
                {**row, "user_id": script.user.identity.user_id}
            )
        )


@pytest.mark.parametrize(
    "change",
    [
        {"deeplake_job_id": "somebody-elses"},
        {"cloud_submission": {"questions": "", "known": []}},
        {"settings": {"questions_per_chunk": 999}},
    ],
)
def test_raw_client_can_not_write_what_workers_write(script, change):
    script.to(S.TRAINING_FAILED)
    before = script.now
    runs = script.user.database
    with pytest.raises(NotAllowed):
        runs.execute(
            lambda c: c.table("deep_memory_training_runs").update(change).eq("id", script.run.id)
        )
    assert script.now == before


def test_raw_client_can_not_set_a_run_aside_to_make_room(script):
    script.to(S.GENERATING_FAILED)
    with pytest.raises(NotAllowed):
        script.user.database.execute(
            lambda c: (
                c.table("deep_memory_training_runs")
                .update({"set_aside": True})
                .eq("id", script.run.id)
            )
        )


@pytest.mark.parametrize("status", [S.GENERATING, S.GENERATED, S.TRAINING])
def test_raw_client_can_not_delete_a_run_that_is_neither_failed_nor_completed(script, status):
    script.to(status)
    with pytest.raises(NotAllowed):
        script.user.database.execute(
            lambda c: c.table("deep_memory_training_runs").delete().eq("id", script.run.id)
        )
    assert script.now.status is status


def test_deleted_account_takes_its_runs_along_whatever_their_status(script, owner):
    script.to(S.COMPLETED)
    Script(script.user, script.service).to(S.TRAINING)
    user_id = script.user.identity.user_id
    owner.execute("delete from auth.users where id = %s", (user_id,))
    left = owner.execute(
        "select count(*) from deep_memory_training_runs where user_id = %s", (user_id,)
    )
    assert left.fetchone() == (0,)
