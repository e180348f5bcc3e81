"""Random sequences of moves by several workers and tabs against the real database.

A model beside it says which move must land. After every step: only landed moves changed a status,
at most one run is unfinished, and the counts of the rows are those of the tables.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as check

from services.errors import AppError, NotAllowed, RunBlocked
from services.runs.lease import RunLease, RunLost
from services.runs.states import RunStatus
from services.runs.store import RunStore
from tests.moves import MOVES
from tests.runs import METRICS, Script, finished, let_lease_run_out

S = RunStatus
CHUNKS = [f"c{number}" for number in range(6)]
EXAMPLES, STEPS = 40, 40

any_worker = st.integers(0, 1)
some_chunks = st.lists(st.sampled_from(CHUNKS), max_size=4, unique=True)


@pytest.fixture
def world(new_user, service, owner) -> type[RuleBasedStateMachine]:
    """The state machine, on this session's database."""

    class World(Runs):
        def __init__(self) -> None:
            super().__init__(new_user(), service, owner)

    return World


class Runs(RuleBasedStateMachine):
    """Two workers, of which each may be late, and a person with several tabs."""

    def __init__(self, user, service, owner) -> None:
        super().__init__()
        self.user, self.service, self.owner = user, service, owner
        self.store = RunStore(user.database)
        self.status: dict[str, RunStatus] = {}  # the model: what each run's status must be
        self.holder: dict[str, RunLease | None] = {}
        self.late: dict[str, RunLease | None] = {}  # who may still bring answers to a stopped run
        self.current = ""  # the run that was started last, also when it is gone
        self.leases: list[RunLease | None] = [None, None]  # of each worker, good or not

    @initialize(status=st.sampled_from(RunStatus))
    def begin_anywhere(self, status) -> None:
        script = Script(self.user, self.service).to(status)
        self.current = script.run.id
        self.status[self.current] = status
        self.holder[self.current] = script.lease if status.is_active else None
        self.leases[0] = script.lease

    # A person

    @rule()
    def start(self) -> None:
        blocked = any(status is not S.COMPLETED for status in self.status.values())
        try:
            run = self.store.start(total_chunks=len(CHUNKS), settings={})
        except RunBlocked as refusal:
            assert blocked
            assert self.status[refusal.run_id] == refusal.status
            return
        assert not blocked
        self.current = run.id
        self.status[run.id], self.holder[run.id] = S.GENERATING, None

    @precondition(lambda self: self.current)
    @rule()
    def start_training(self) -> None:
        self.person_moves(self.store.start_training, {S.GENERATED: S.TRAINING})

    @precondition(lambda self: self.current)
    @rule()
    def proceed(self) -> None:
        targets = {S.GENERATING_FAILED: S.GENERATING, S.TRAINING_FAILED: S.TRAINING}
        self.person_moves(self.store.proceed, targets)
        self.late.pop(self.current, None)

    @precondition(lambda self: self.current)
    @rule()
    def stop(self) -> None:
        targets = {S.GENERATING: S.GENERATING_FAILED, S.TRAINING: S.TRAINING_FAILED}
        targets[S.GENERATED] = S.GENERATING_FAILED
        if self.status.get(self.current) is S.GENERATING:
            self.late[self.current] = self.holder[self.current]
        self.person_moves(lambda run_id: self.store.stop(run_id, by="ann"), targets)

    @precondition(lambda self: self.current)
    @rule()
    def remove(self) -> None:
        status = self.status.get(self.current)
        landed = self.lands(lambda: self.store.remove(self.current))
        assert landed is (status is not None and status.is_failed)
        if landed:
            del self.status[self.current], self.holder[self.current]

    @precondition(lambda self: self.current in self.status)
    @rule(target_status=st.sampled_from(RunStatus), by_worker=st.booleans())
    def write_a_status_past_all_functions(self, target_status, by_worker) -> None:
        move = (self.status[self.current], target_status)
        if move in MOVES or move[0] is move[1]:
            return  # allowed ones are what the other rules are about
        database = self.service if by_worker else self.user.database
        with pytest.raises(NotAllowed):
            database.execute(
                lambda c: (
                    c.table("deep_memory_training_runs")
                    .update({"status": target_status.value})
                    .eq("id", self.current)
                )
            )

    # Workers

    @precondition(lambda self: self.current in self.status)
    @rule(worker=any_worker)
    def claim(self, worker) -> None:
        run = self.store.get(self.current)
        free = run.status.is_active and self.holder[run.id] is None
        lease = RunLease(self.service, run)
        assert self.lands(lease.claim) is free
        self.leases[worker] = lease
        if free:
            self.holder[run.id] = lease

    @rule(worker=any_worker, chunk_ids=some_chunks)
    def save(self, worker, chunk_ids) -> None:
        lease = self.leases[worker]
        if lease is not None and self.late.get(lease.run_id) is lease:
            lands = self.lands(lambda: lease.save_pairs(*finished(chunk_ids, 2), {}))
            assert lands is (lease.run_id in self.status)
            return
        self.worker_writes(
            worker, {S.GENERATING}, lambda lease: lease.save_pairs(*finished(chunk_ids, 2), {})
        )

    @rule(worker=any_worker, gone=some_chunks)
    def begin(self, worker, gone) -> None:
        present = [chunk for chunk in CHUNKS if chunk not in gone]
        self.worker_writes(worker, {S.GENERATING}, lambda lease: lease.begin_generation(present))

    @rule(worker=any_worker)
    def finish_generation(self, worker) -> None:
        lease = self.leases[worker]
        has_pairs = lease and self.pairs_of(lease.run_id) > 0
        target = S.GENERATED if has_pairs else S.GENERATING_FAILED
        self.worker_moves(worker, {S.GENERATING: target}, RunLease.finish_generation)

    @rule(worker=any_worker)
    def finish_training(self, worker) -> None:
        self.worker_moves(
            worker,
            {S.TRAINING: S.COMPLETED},
            lambda lease: lease.finish_training(METRICS, activate=True),
        )

    @rule(worker=any_worker)
    def fail(self, worker) -> None:
        targets = {S.GENERATING: S.GENERATING_FAILED, S.TRAINING: S.TRAINING_FAILED}
        self.worker_moves(worker, targets, lambda lease: lease.fail("It broke."))

    @rule(worker=any_worker)
    def heartbeat(self, worker) -> None:
        self.worker_writes(worker, {S.GENERATING, S.TRAINING}, RunLease.heartbeat)

    @precondition(lambda self: self.current in self.status)
    @rule(silent=st.booleans())
    def sweep(self, silent) -> None:
        if silent:
            let_lease_run_out(self.owner, self.current)
        self.service.rpc("rescue_runs")
        if silent and self.status[self.current].is_active:
            self.status[self.current] = S(f"{self.status[self.current]}_failed")
            self.holder[self.current] = None

    # What always holds

    @invariant()
    def database_is_as_the_model_says(self) -> None:
        rows = self.owner.execute(
            "select id::text, status, pair_count, processed_chunks,"
            " (select count(*) from deep_memory_training_pairs where training_run_id = r.id),"
            " (select count(*) from deep_memory_run_chunks where training_run_id = r.id)"
            " from deep_memory_training_runs r where user_id = %s",
            (self.user.identity.user_id,),
        ).fetchall()
        assert {row[0]: row[1] for row in rows} == self.status
        assert sum(S(row[1]) is not S.COMPLETED for row in rows) <= 1
        for _, _, pair_count, processed_chunks, pairs, chunks in rows:
            assert (pair_count, processed_chunks) == (pairs, chunks)

    # Helpers

    def pairs_of(self, run_id: str) -> int:
        query = "select count(*) from deep_memory_training_pairs where training_run_id = %s"
        return self.owner.execute(query, (run_id,)).fetchone()[0]

    def lands(self, act: Callable[[], object]) -> bool:
        try:
            act()
        except (AppError, RunLost):
            return False
        return True

    def person_moves(self, act: Callable[[str], object], targets) -> None:
        target = targets.get(self.status.get(self.current))
        assert self.lands(lambda: act(self.current)) is (target is not None)
        if target is not None:
            self.status[self.current], self.holder[self.current] = target, None

    def worker_writes(self, worker: int, statuses, act: Callable[[RunLease], object]) -> bool:
        lease = self.leases[worker]
        if lease is None:
            return False
        holds = self.holder.get(lease.run_id) is lease
        expected = holds and self.status[lease.run_id] in statuses
        assert self.lands(lambda: act(lease)) is expected
        return expected

    def worker_moves(self, worker: int, targets, act: Callable[[RunLease], object]) -> None:
        if self.worker_writes(worker, set(targets), act):
            run_id = self.leases[worker].run_id
            self.status[run_id], self.holder[run_id] = targets[self.status[run_id]], None


def test_no_forbidden_move_lands_and_at_most_one_run_is_unfinished(world):
    check(
        world,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )
