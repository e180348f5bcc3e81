"""Jobs in DeepLake Cloud are accounted for in the database, whatever becomes of their runs."""

from __future__ import annotations

from typing import Any

import pytest

from services.deep_memory.cloud_jobs import Submission, record_submission
from services.errors import NotAllowed
from services.runs.lease import RunLost
from services.runs.states import RunStatus
from services.runs.store import RunStore
from tests.runs import METRICS, Script

IN_CLOUD = {**METRICS, "trainer": "cloud"}
SENT, JOB = Submission("abc", known=("0001", "0002")), Submission("abc", "0123")


@pytest.fixture
def script(user, service) -> Script:
    return Script(user, service).to(RunStatus.TRAINING)


def rows_of(user) -> list[dict[str, Any]]:
    return user.database.execute(lambda c: c.table("deep_memory_cloud_jobs").select("*")).data


def kept(user) -> dict[Submission, bool]:
    """The jobs whose end is not known, or that completed for no run."""
    return {
        Submission.read(row["submission"], row["job_id"]): row["completed"] for row in rows_of(user)
    }


def age(owner) -> None:
    owner.execute("update deep_memory_cloud_jobs set created_at = now() - interval '2 minutes'")


def settle(user, *, completed: bool, by=None) -> None:
    """Say what became of the one job of `user`."""
    [row] = rows_of(user)
    (by or user).database.rpc("settle_cloud_submission", p_id=row["id"], p_completed=completed)


def in_cloud(user) -> str | None:
    return user.database.rpc("model_in_cloud")


def test_the_job_of_a_run_is_the_id_of_the_service_and_nothing_else(script):
    record_submission(script.lease, SENT)
    assert (script.now.deeplake_job_id, Submission.of(script.now)) == (None, SENT)
    record_submission(script.lease, JOB)
    assert (script.now.deeplake_job_id, Submission.of(script.now)) == ("0123", JOB)
    assert script.store.events(script.run.id)[-1].message.endswith("as job 0123")


@pytest.mark.parametrize("submission", [SENT, JOB], ids=["before the id", "with the id"])
def test_a_submission_that_is_recorded_twice_is_kept_once(script, submission):
    for _ in range(2):
        record_submission(script.lease, submission)
    assert kept(script.user) == {submission: False}
    assert len(rows_of(script.user)) == 1


def test_a_worker_of_the_app_of_the_day_before_records_and_settles_as_it_did(script):
    """During a deploy; it knows one text for both."""
    for text in ("submitting:0001,0002 for questions abc", "0123 for questions abc"):
        script.lease.call("record_training_job", p_job=text)
        submission = JOB if text.startswith("0123") else SENT
        assert Submission.of(script.now) == submission
        assert [row["job"] for row in rows_of(script.user)] == [text]
        assert kept(script.user) == {submission: False}
    script.user.database.rpc("settle_cloud_job", p_job=text, p_completed=True)
    assert kept(script.user) == {JOB: True}


def test_it_finds_what_a_new_worker_recorded(script):
    for submission, text in (
        (SENT, "submitting:0001,0002 for questions abc"),
        (JOB, "0123 for questions abc"),
    ):
        record_submission(script.lease, submission)
        assert [row["job"] for row in rows_of(script.user)] == [text]


def test_a_job_is_kept_from_its_submission_until_its_run_completes(script):
    record_submission(script.lease, SENT)
    assert kept(script.user) == {SENT: False}
    record_submission(script.lease, JOB)
    assert kept(script.user) == {JOB: False}
    script.lease.finish_training(IN_CLOUD, activate=True)
    assert kept(script.user) == {}
    assert in_cloud(script.user) == script.run.id


def test_a_job_outlives_its_run_and_takes_the_model_when_it_completes(user, service, script):
    script.lease.finish_training(IN_CLOUD, activate=True)
    chosen = script.run.id
    later = Script(user, service).to(RunStatus.TRAINING)
    record_submission(later.lease, JOB)
    later.store.stop(later.run.id, by="ana@example.com")
    later.store.remove(later.run.id)
    assert (kept(user), in_cloud(user)) == ({JOB: False}, chosen)

    settle(user, completed=True)
    assert in_cloud(user) is None
    assert user.database.rpc("use_model", p_run=chosen) == []
    assert user.database.rpc("deep_memory_state")["active"] is None

    again = Script(user, service).to(RunStatus.TRAINING)
    again.lease.finish_training(IN_CLOUD, activate=True)
    assert (kept(user), in_cloud(user)) == ({}, again.run.id)


def test_a_job_that_is_gone_is_forgotten_but_not_one_that_may_only_be_listed_late(script, owner):
    record_submission(script.lease, JOB)
    settle(script.user, completed=False)
    assert kept(script.user) == {JOB: False}
    age(owner)
    settle(script.user, completed=False)
    assert kept(script.user) == {}


def test_a_job_that_has_completed_is_not_forgotten_when_it_is_deleted_there(script, owner):
    record_submission(script.lease, JOB)
    settle(script.user, completed=True)
    age(owner)
    settle(script.user, completed=False)
    assert kept(script.user) == {JOB: True}


@pytest.mark.parametrize("removed", [False, True])
def test_a_job_whose_run_was_stopped_while_it_was_submitted_is_kept_all_the_same(script, removed):
    record_submission(script.lease, SENT)
    script.store.stop(script.run.id, by="ana@example.com")
    if removed:
        script.store.remove(script.run.id)
    with pytest.raises(RunLost):
        record_submission(script.lease, JOB)
    assert kept(script.user) == {JOB: False}
    if not removed:
        assert Submission.of(script.now) == JOB


def test_a_submission_that_is_only_intended_is_not_kept_for_a_run_that_was_stopped(script):
    script.store.stop(script.run.id, by="ana@example.com")
    with pytest.raises(RunLost):
        record_submission(script.lease, SENT)
    assert kept(script.user) == {}


def test_a_run_says_once_that_its_job_goes_on_and_was_stopped_all_the_same(script):
    script.store.stop(script.run.id, by="ana@example.com")
    for _ in range(2):
        script.store.say_job_goes_on(script.run.id, "It goes on there.")
        RunStore(script.service).say_job_goes_on(script.run.id, "It goes on there.")  # its worker
    assert script.now.error_message == "Stopped by ana@example.com. It goes on there."
    said = [event.message for event in script.store.events(script.run.id)][-2:]
    assert said == ["Stopped by ana@example.com", "It goes on there."]
    assert script.lease.was_stopped()


def test_the_jobs_of_others_are_neither_seen_nor_settled_nor_written(script, new_user):
    record_submission(script.lease, JOB)
    other = new_user()
    settle(script.user, completed=True, by=other)
    assert (kept(other), kept(script.user)) == ({}, {JOB: False})
    other.database.rpc("say_job_goes_on", p_run=script.run.id, p_message="Not yours.")
    assert script.now.error_message is None
    mine = {"user_id": script.run.user_id, "job": "forged", "training_run_id": script.run.id}
    mine |= {"job_id": "forged", "submission": {"questions": "", "known": []}}
    with pytest.raises(NotAllowed):
        script.user.database.execute(lambda c: c.table("deep_memory_cloud_jobs").insert(mine))
