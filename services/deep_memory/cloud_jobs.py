"""The job of a run in DeepLake Cloud: what is remembered of it, and how it is cancelled."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.errors import TrainingError
from services.models import TrainingRun
from services.retrieval.cloud_failures import WORDS, CloudFailure, Failure
from services.retrieval.cloud_store import CloudVectorStore
from services.retrieval.deadline import Deadline
from services.runs.lease import RunLease

log = logging.getLogger(__name__)

CALL_S = 30.0  # in total, retries included
CHECK_S = 5.0  # before a search, which waits for it
WORKING = frozenset({"pending", "training"})
ENDED_WELL, ENDED_BADLY = "completed", "failed"


@dataclass(frozen=True, slots=True)
class Submission:
    """Which questions were sent, and as which job, as stored in the database.

    `questions` is their fingerprint. `job_id` is None until the service has reported it; until
    then, `known` has the ids of the jobs that existed before.
    """

    questions: str
    job_id: str | None = None
    known: tuple[str, ...] = ()

    @classmethod
    def of(cls, run: TrainingRun) -> Submission | None:
        """The last submission of a run; None when there was none."""
        if run.cloud_submission is None:
            return None
        return cls.read(run.cloud_submission, run.deeplake_job_id)

    @classmethod
    def read(cls, stored: dict[str, Any], job_id: str | None) -> Submission:
        """Build a submission from what the database stores."""
        return cls(stored["questions"], job_id, tuple(stored["known"]))

    def may_be(self, job_id: str) -> bool:
        """Whether the job may come from this submission, as far as is known."""
        return job_id == self.job_id if self.job_id else job_id not in self.known


@dataclass(frozen=True, slots=True)
class Watching:
    """The pauses between polls of a job, in seconds; each is half as long again as the last."""

    first_s: float = 1.0
    longest_s: float = 20.0
    given_up_after_s: float = 3600.0  # without any progress


class WatchingStopped(Exception):
    """`stop` was set. The job continues in the cloud unless somebody cancels it."""


def record_submission(lease: RunLease, submission: Submission) -> None:
    """Store with the run what was submitted, or is about to be.

    Raises:
        RunLost: the run was stopped or handed on. A job with an id is stored all the same.
    """
    lease.call(
        "record_cloud_submission",
        p_submission={"questions": submission.questions, "known": submission.known},
        p_job_id=submission.job_id,
    )


def jobs_since(
    store: CloudVectorStore,
    known: Sequence[str],
    statuses: frozenset[str],
    stop: threading.Event | None = None,
) -> dict[str, str]:
    """The jobs of this dataset in one of `statuses` that are not `known`, each with its status.

    Raises:
        CloudFailure: they cannot be listed.
    """
    jobs = store.reader.call("jobs", store.path, deadline=Deadline(CALL_S), stop=stop)
    return {
        job["id"]: job["status"]
        for job in jobs
        if job["id"] not in known and job["status"] in statuses
    }


def cancel_job(
    store: CloudVectorStore, submission: Submission, *, stop: threading.Event | None = None
) -> None:
    """Cancel the job that was submitted; if its id is not known, all jobs started since.

    Safe if it has ended or is gone. `stop` ends the retries.

    Raises:
        TrainingError: a job continues, or may do so.
    """
    try:
        if submission.job_id:
            job_ids = [submission.job_id]
        else:
            job_ids = list(jobs_since(store, submission.known, WORKING, stop))
        for job_id in job_ids:
            _cancel(store, job_id, stop)
    except CloudFailure as failure:
        if failure.kind is not Failure.MISSING:
            raise cloud_error(failure, "The job may still be running in the cloud.") from failure


def _cancel(store: CloudVectorStore, job_id: str, stop: threading.Event | None) -> None:
    try:
        store.reader.call("cancel", job_id, deadline=Deadline(CALL_S), stop=stop)
        log.info("cloud_training_cancelled job=%s", job_id)
    except CloudFailure as failure:
        if failure.kind is Failure.MISSING:
            return
        if failure.kind is not Failure.REFUSED:
            raise
        # It has ended, or it cannot be cancelled: the refusal is the same.
        job = store.reader.call("job", job_id, deadline=Deadline(CALL_S), stop=stop)
        if job["status"] in WORKING:
            log.warning("cloud_training_goes_on job=%s", job_id)
            raise TrainingError(
                f"DeepLake Cloud refused to cancel the training (job {job_id}). It goes on there, "
                "and when it ends, its model replaces the one there.",
                next_step="No other training is submitted before it has ended. Cancel it in your "
                "Activeloop account, or wait; then proceed.",
            ) from failure


def ended_jobs(store: CloudVectorStore, recorded: Mapping[str, Submission]) -> dict[str, bool]:
    """The recorded submissions whose jobs have ended, each with whether it completed.

    Raises:
        CloudFailure: they cannot be listed.
    """
    listed = store.reader.call("jobs", store.path, deadline=Deadline(CHECK_S))
    ended = {}
    for name, submission in recorded.items():
        statuses = {job["status"] for job in listed if submission.may_be(job["id"])}
        if ENDED_WELL in statuses or not statuses & WORKING:
            ended[name] = ENDED_WELL in statuses
    return ended


def cloud_error(failure: CloudFailure, consequence: str) -> TrainingError:
    """The error for a person: what failed, and its `consequence` for the training."""
    happened, next_step = WORDS[failure.kind]
    return TrainingError(
        f"{happened} {consequence}", next_step=f"{next_step} Then proceed: the pairs are kept."
    )
