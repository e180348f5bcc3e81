"""The job of a run in DeepLake Cloud: what is remembered of it, and how it is cancelled."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from services.errors import TrainingError
from services.retrieval.cloud_failures import WORDS, CloudFailure, Failure
from services.retrieval.cloud_store import CloudVectorStore

log = logging.getLogger(__name__)

CALL_S = 30.0
WORKING = frozenset({"pending", "training"})
ENDED_WELL, ENDED_BADLY = "completed", "failed"
_SUBMITTING = "submitting:"  # and the jobs that were there before
_FOR = " for questions "


@dataclass(frozen=True, slots=True)
class Submission:
    """Which questions were sent, and as which job. As text, it is stored with the run.

    `questions` is their fingerprint. Before the service has told the job's id, that is None, and
    `known` has the jobs that were there already.
    """

    questions: str
    job_id: str | None = None
    known: tuple[str, ...] = ()

    def __str__(self) -> str:
        return (self.job_id or _SUBMITTING + ",".join(self.known)) + _FOR + self.questions

    @classmethod
    def read(cls, recorded: str) -> Submission:
        job, _, questions = recorded.partition(_FOR)
        if not job.startswith(_SUBMITTING):
            return cls(questions, job_id=job)
        return cls(questions, known=tuple(job.removeprefix(_SUBMITTING).split(",")))


def job_id_in(recorded: str | None) -> str | None:
    """The job's id in what was recorded of it; None as long as the service has not told one."""
    return None if recorded is None else Submission.read(recorded).job_id


def jobs_since(
    store: CloudVectorStore,
    known: Sequence[str],
    statuses: frozenset[str],
    stop: threading.Event | None = None,
) -> list[str]:
    """The jobs of this dataset in one of `statuses` that are not `known`. Raises CloudFailure."""
    jobs = store.reader.call("jobs", store.path, deadline_s=CALL_S, stop=stop)
    return [job["id"] for job in jobs if job["id"] not in known and job["status"] in statuses]


def cancel_job(
    store: CloudVectorStore, recorded: str, *, stop: threading.Event | None = None
) -> None:
    """Cancel the job that was recorded, or what has begun since its submission was.

    Safe when it has ended or is gone. `stop` ends the tries.

    Raises:
        TrainingError: it may still be running.
    """
    submission = Submission.read(recorded)
    try:
        if submission.job_id:
            job_ids = [submission.job_id]
        else:
            job_ids = jobs_since(store, submission.known, WORKING, stop)
        for job_id in job_ids:
            store.reader.call("cancel", job_id, deadline_s=CALL_S, stop=stop)
            log.info("cloud_training_cancelled job=%s", job_id)
    except CloudFailure as failure:
        if failure.kind not in {Failure.MISSING, Failure.REFUSED}:
            raise cloud_error(failure, "The job may still be running in the cloud.") from failure


def cloud_error(failure: CloudFailure, consequence: str) -> TrainingError:
    """What a person is told of a failed call, and what it means for the training."""
    happened, next_step = WORDS[failure.kind]
    return TrainingError(
        f"{happened} {consequence}", next_step=f"{next_step} Then proceed: the pairs are kept."
    )
