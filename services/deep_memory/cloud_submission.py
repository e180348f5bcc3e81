"""Submitting a training to DeepLake Cloud: afterwards there is one job or none, never two.

Before a retry, the job is looked up, because a call may fail after it has created the job. The list
of jobs may lag behind, so it is read several times; if a job shows up only after another was
submitted, one of them is cancelled.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from services.deep_memory.cloud_jobs import (
    CALL_S,
    ENDED_WELL,
    WORKING,
    Submission,
    Watching,
    WatchingStopped,
    cancel_job,
    cloud_error,
    jobs_since,
)
from services.errors import TrainingError
from services.retrieval.cloud_failures import CloudFailure, Failure
from services.retrieval.cloud_store import CloudVectorStore
from services.retrieval.deadline import Deadline

log = logging.getLogger(__name__)

SUBMIT_S = 120.0
_SUBMISSIONS = 3
_SEARCHES = 5  # with the pauses of `Watching`, doubled each time: 15 s in all
# After these failures, the job may have been created all the same.
_UNCERTAIN = {Failure.SERVER, Failure.NETWORK, Failure.LATE, Failure.GARBLED}
_FURTHEST = ("pending", "training", ENDED_WELL)


class Submitter:
    """Submits a training on the questions that were sent, or finds one already submitted."""

    def __init__(
        self,
        store: CloudVectorStore,
        watching: Watching,
        on_words: Callable[[str], None],
        stop: threading.Event,
    ) -> None:
        self._store = store
        self._watching = watching
        self._on_words = on_words
        self._stop = stop

    def known_jobs(self) -> tuple[str, ...]:
        """The jobs of this dataset, all of which have ended.

        Raises:
            TrainingError: one is active. A second one would replace its questions, and the last to
                end would replace the other's trained model.
            CloudFailure: they cannot be listed.
        """
        jobs = self._store.reader.call(
            "jobs", self._store.path, deadline=Deadline(CALL_S), stop=self._stop
        )
        if working := [job["id"] for job in jobs if job["status"] in WORKING]:
            raise TrainingError(
                f"Another training of this knowledge base goes on in DeepLake Cloud (job "
                f"{working[-1]}). Of two at once, the last to end would replace the model of the "
                "other. Nothing was submitted, and the pairs are kept.",
                next_step="Proceed when it has ended, or after cancelling it there.",
            )
        return tuple(job["id"] for job in jobs)

    def submit(self, known: Sequence[str]) -> str:
        """Submit, and return the job's id. `known` are the ids of the jobs that existed before.

        Raises:
            TrainingError: no training began, or it is unknown whether one did.
            WatchingStopped: `stop` was set before a job existed.
        """
        attempt = 0
        while True:
            attempt += 1
            try:
                job_id = str(
                    self._store.writer.call(
                        "submit", self._store.path, deadline=Deadline(SUBMIT_S), repeatable=False
                    )
                )
            except CloudFailure as failure:
                log.info("cloud_submit_failed kind=%s %s", failure.kind, failure.detail)
                uncertain = failure.kind in _UNCERTAIN
                if uncertain and (found := self.find(known)):
                    return found
                if not failure.kind.may_pass or attempt == _SUBMISSIONS:
                    raise cloud_error(
                        failure,
                        "Whether a training began is not known: none is listed. Proceed looks for "
                        "it again before it submits another."
                        if uncertain
                        else "No training was started.",
                    ) from failure
            else:
                if attempt > 1:
                    self._cancel_beside(job_id, known)
                return job_id
            if self._stop.wait(self._watching.first_s * 2**attempt):
                raise WatchingStopped

    def find(self, known: Sequence[str]) -> str | None:
        """The job, active or completed, that is not `known`: its submitter never got its id.

        If there are several, the one furthest along is kept and the others are cancelled. Even
        when `stop` is set, it is looked for once, so that it can be recorded or cancelled.
        """
        for search in range(_SEARCHES):
            try:
                new = jobs_since(self._store, known, WORKING | {ENDED_WELL}, self._stop)
            except CloudFailure as failure:
                consequence = "Nothing was changed; a job may be running."
                raise cloud_error(failure, consequence) from failure
            if new:
                *others, (_, found) = sorted((_FURTHEST.index(new[id_]), id_) for id_ in new)
                log.info("cloud_training_adopted job=%s others=%d", found, len(others))
                self._cancel([job_id for _, job_id in others])
                return found
            self._on_words("Looking for it in DeepLake Cloud before it is submitted again")
            if search < _SEARCHES - 1 and self._stop.wait(self._watching.first_s * 2**search):
                break
        return None

    def _cancel_beside(self, job_id: str, known: Sequence[str]) -> None:
        """Cancel the job of an earlier try that did succeed, if it is listed by now."""
        try:
            working = jobs_since(self._store, known, WORKING, self._stop)
        except CloudFailure as failure:
            log.warning("cloud_training_not_looked_up kind=%s", failure.kind)
            return
        self._cancel([other for other in working if other != job_id])

    def _cancel(self, others: Sequence[str]) -> None:
        """Cancel jobs that train on the same questions; if one continues, its model is as good."""
        for job_id in others:
            self._on_words("More than one training had begun: cancelling all but one")
            try:
                cancel_job(self._store, Submission("", job_id), stop=self._stop)
            except TrainingError as error:
                log.warning("cloud_training_doubled job=%s: %s", job_id, error)
