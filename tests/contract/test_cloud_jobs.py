"""Jobs in DeepLake Cloud are accounted for in the database, whatever becomes of their runs."""

from __future__ import annotations

import pytest

from services.errors import NotAllowed
from services.runs.lease import RunLost
from services.runs.states import RunStatus
from tests.runs import METRICS, Script

IN_CLOUD = {**METRICS, "trainer": "cloud"}
SENT, JOB = "submitting: for questions abc", "0123 for questions abc"


@pytest.fixture
def script(user, service) -> Script:
    return Script(user, service).to(RunStatus.TRAINING)


def kept(user) -> dict[str, bool]:
    """The jobs whose end is not known, or that completed for no run."""
    rows = user.database.execute(lambda c: c.table("deep_memory_cloud_jobs").select("*")).data
    return {row["job"]: row["completed"] for row in rows}


def age(owner) -> None:
    owner.execute("update deep_memory_cloud_jobs set created_at = now() - interval '2 minutes'")


def settle(user, job: str, *, completed: bool) -> None:
    user.database.rpc("settle_cloud_job", p_job=job, p_completed=completed)


def in_cloud(user) -> str | None:
    return user.database.rpc("model_in_cloud")


def test_a_job_is_kept_from_its_submission_until_its_run_completes(script):
    script.lease.record_training_job(SENT)
    assert kept(script.user) == {SENT: False}
    script.lease.record_training_job(JOB)
    assert kept(script.user) == {JOB: False}
    script.lease.finish_training(IN_CLOUD, activate=True)
    assert kept(script.user) == {}
    assert in_cloud(script.user) == script.run.id


def test_a_job_outlives_its_run_and_takes_the_model_when_it_completes(user, service, script):
    script.lease.finish_training(IN_CLOUD, activate=True)
    chosen = script.run.id
    later = Script(user, service).to(RunStatus.TRAINING)
    later.lease.record_training_job(JOB)
    later.store.stop(later.run.id, by="ana@example.com")
    later.store.remove(later.run.id)
    assert (kept(user), in_cloud(user)) == ({JOB: False}, chosen)

    settle(user, JOB, completed=True)
    assert in_cloud(user) is None
    assert user.database.rpc("use_model", p_run=chosen) == []
    assert user.database.rpc("deep_memory_state")["active"] is None

    again = Script(user, service).to(RunStatus.TRAINING)
    again.lease.finish_training(IN_CLOUD, activate=True)
    assert (kept(user), in_cloud(user)) == ({}, again.run.id)


def test_a_job_that_is_gone_is_forgotten_but_not_one_that_may_only_be_listed_late(script, owner):
    script.lease.record_training_job(JOB)
    settle(script.user, JOB, completed=False)
    assert kept(script.user) == {JOB: False}
    age(owner)
    settle(script.user, JOB, completed=False)
    assert kept(script.user) == {}


def test_a_job_that_has_completed_is_not_forgotten_when_it_is_deleted_there(script, owner):
    script.lease.record_training_job(JOB)
    settle(script.user, JOB, completed=True)
    age(owner)
    settle(script.user, JOB, completed=False)
    assert kept(script.user) == {JOB: True}


@pytest.mark.parametrize("removed", [False, True])
def test_a_job_whose_run_was_stopped_while_it_was_submitted_is_kept_all_the_same(script, removed):
    script.lease.record_training_job(SENT)
    script.store.stop(script.run.id, by="ana@example.com")
    if removed:
        script.store.remove(script.run.id)
    with pytest.raises(RunLost):
        script.lease.record_training_job(JOB)
    assert kept(script.user) == {JOB: False}
    if not removed:
        assert script.now.deeplake_job_id == JOB


def test_a_submission_that_is_only_intended_is_not_kept_for_a_run_that_was_stopped(script):
    script.store.stop(script.run.id, by="ana@example.com")
    with pytest.raises(RunLost):
        script.lease.record_training_job(SENT)
    assert kept(script.user) == {}


def test_a_run_says_once_that_its_job_goes_on_and_was_stopped_all_the_same(script):
    script.store.stop(script.run.id, by="ana@example.com")
    for _ in range(2):
        script.store.say_job_goes_on(script.run.id, "It goes on there.")
        script.lease.say_job_goes_on("It goes on there.")
    assert script.now.error_message == "Stopped by ana@example.com. It goes on there."
    said = [event.message for event in script.store.events(script.run.id)][-2:]
    assert said == ["Stopped by ana@example.com", "It goes on there."]
    assert script.lease.was_stopped()


def test_the_jobs_of_others_are_neither_seen_nor_settled_nor_written(script, new_user):
    script.lease.record_training_job(JOB)
    other = new_user()
    settle(other, JOB, completed=True)
    assert (kept(other), kept(script.user)) == ({}, {JOB: False})
    other.database.rpc("say_job_goes_on", p_run=script.run.id, p_message="Not yours.")
    assert script.now.error_message is None
    mine = {"user_id": script.run.user_id, "job": "forged", "training_run_id": script.run.id}
    with pytest.raises(NotAllowed):
        script.user.database.execute(lambda c: c.table("deep_memory_cloud_jobs").insert(mine))
