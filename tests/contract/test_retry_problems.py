"""Chunks that yielded nothing or less are asked again from review: just those, and only then."""

from __future__ import annotations

import pytest

from services.errors import NotFound, RunMoved
from services.models import Review
from services.pairs.store import PairStore
from services.runs.lease import RunLease, RunLost
from services.runs.states import RunStatus
from services.runs.store import RunStore
from tests.runs import METRICS, Script, finished

CHUNKS = ["fine", "dropped", "refused", "short"]
OTHERS = [status for status in RunStatus if status is not RunStatus.GENERATED]


@pytest.fixture
def in_review(user, service) -> Script:
    """A run in review: one chunk refused, one with fewer questions than asked."""
    script = Script(user, service).start(total_chunks=len(CHUNKS))
    script.lease.begin_generation(CHUNKS)
    chunks, pairs = finished(CHUNKS)
    chunks[2]["problem"], chunks[3]["problem"] = "refused", "fewer questions than asked"
    script.lease.save_pairs(chunks, [pair for pair in pairs if pair["chunk_id"] != "refused"], {})
    script.lease.finish_generation()
    return script


def test_just_the_chunks_with_a_problem_are_asked_again(in_review, user, service):
    pairs = PairStore(user.database)
    [dropped] = [pair for pair in pairs.all(in_review.run.id) if pair.chunk_id == "dropped"]
    pairs.decide(in_review.run.id, [dropped.id], Review.DROPPED)  # a person's choice, not a problem

    run = in_review.store.retry_problems(in_review.run.id)

    assert (run.status, run.processed_chunks, run.pair_count) == (RunStatus.GENERATING, 2, 2)
    lease = RunLease(service, run)
    lease.claim()
    assert lease.begin_generation(CHUNKS) == {"fine", "dropped"}
    lease.save_pairs(*finished(["refused", "short"], questions=2), {})
    lease.finish_generation()
    assert in_review.now.status is RunStatus.GENERATED
    assert in_review.now.pair_count == 5  # the old pair of "short" stands once
    assert in_review.store.problems(run.id) == {}
    assert [event.kind for event in in_review.store.events(run.id)][-2:] == ["retried", "finished"]


def test_asking_again_locks_out_whoever_worked_on_the_run_before(in_review):
    in_review.store.retry_problems(in_review.run.id)
    with pytest.raises(RunLost):
        in_review.lease.finish_generation()


@pytest.mark.parametrize("status", OTHERS)
def test_nothing_is_asked_again_outside_review(user, service, owner, status):
    script = Script(user, service).to(status)
    owner.execute(
        "update deep_memory_run_chunks set problem = 'refused' where training_run_id = %s",
        (script.run.id,),
    )
    before = script.now
    with pytest.raises(RunMoved):
        script.store.retry_problems(script.run.id)
    assert script.now == before


def test_a_run_without_a_problem_stays_in_review(user, service):
    script = Script(user, service).to(RunStatus.GENERATED)
    before = script.now
    with pytest.raises(RunMoved):
        script.store.retry_problems(script.run.id)
    assert script.now == before


def test_nobody_asks_again_for_somebody_else(in_review, new_user):
    before = in_review.now
    with pytest.raises(NotFound):
        RunStore(new_user().database).retry_problems(in_review.run.id)
    assert in_review.now == before


def test_a_problem_of_an_older_run_is_none_of_this_one(user, service):
    older = Script(user, service).start()
    older.lease.save_pairs([{"chunk_id": "c1", "problem": "refused"}], [], {})
    older.save("c2")
    older.lease.finish_generation()
    older.train()
    older.lease.finish_training(METRICS, activate=True)
    script = Script(user, service).to(RunStatus.GENERATED)
    with pytest.raises(RunMoved):
        script.store.retry_problems(script.run.id)
    assert script.now.status is RunStatus.GENERATED
