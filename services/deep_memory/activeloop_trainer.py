"""Deep Memory trained by DeepLake Cloud: check, submit, watch with back-off, read the figures.

What is recorded about a job (`record`, `recorded`) lets the next attempt find it again, no matter
when a process died. Training costs money and time, so an existing job is not repeated as long as
it trains on the same questions; with different ones, it may train on what is now held out.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from services.deep_memory.cloud_jobs import (
    CALL_S,
    ENDED_BADLY,
    ENDED_WELL,
    WORKING,
    Submission,
    Watching,
    WatchingStopped,
    cancel_job,
    cloud_error,
)
from services.deep_memory.cloud_submission import Submitter
from services.errors import TrainingError
from services.models import Waiting
from services.pairs.rules import is_relevant
from services.retrieval.cloud_failures import CloudFailure, Failure
from services.retrieval.cloud_store import CHANGE_S, CloudVectorStore
from services.retrieval.deadline import Deadline

log = logging.getLogger(__name__)

# Not the estimated end or the time of the last update: they keep changing while a job is stuck.
_PROGRESS_FIELDS = ("epoch", "loss", "train_recall@10", "val_recall@10", "best_recall@10")
_BEST_RECALL = re.compile(r"(?P<recall>[\d.]+)% \((?P<gain>[+-][\d.]+)\)%")


@dataclass(frozen=True, slots=True)
class CloudPairs:
    """Questions to train on. `relevant[i]` holds the (chunk id, relevance from 0 to 1) pairs of
    question i, and row i of `vectors` (n, width) its embedding."""

    questions: Sequence[str]
    relevant: Sequence[Sequence[tuple[str, float]]]
    vectors: np.ndarray

    @property
    def fingerprint(self) -> str:
        """The same for the same questions about the same chunks, in any order."""
        chunk_ids = [sorted(id_ for id_, _ in row) for row in self.relevant]
        about = sorted(zip(self.questions, chunk_ids, strict=True))
        return hashlib.sha256(json.dumps(about).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class ServiceFigures:
    """The service's own figures for its training, as shares from 0 to 1; they are too optimistic.

    On SciFact it reported 0.858 where a held-out set gave 0.673 to 0.754. None if not reported.
    """

    job_id: str
    recall_at_10: float | None = None
    gain: float | None = None


class ActiveloopTrainer:
    """Trains the model of one dataset in DeepLake Cloud."""

    def __init__(self, store: CloudVectorStore, watching: Watching = Watching()) -> None:
        self._store = store
        self._path = store.path
        self._watching = watching
        self._is_pending = False

    def waiting(self) -> Waiting | None:
        """What the training waits for: DeepLake Cloud to accept calls, or to start the job."""
        if self._is_pending:
            return Waiting("a place in DeepLake Cloud")
        return self._store.reader.waits.now

    def train(
        self,
        pairs: CloudPairs,
        *,
        record: Callable[[Submission], None],
        recorded: Submission | None = None,
        on_progress: Callable[[str, float], None],
        stop: threading.Event,
    ) -> ServiceFigures:
        """Train on `pairs`, and return when the job has completed.

        `record` stores a submission with the run immediately; `recorded` is what an earlier attempt
        stored last. `on_progress` gets a description and a share from 0 to 1.

        Raises:
            TrainingError: the pairs do not fit (nothing was changed), or the training failed.
            WatchingStopped: `stop` was set.
        """
        checked = self._checked(pairs)
        questions = checked.fingerprint
        submitter = Submitter(
            self._store, self._watching, lambda words: on_progress(words, 0.0), stop
        )
        job_id, step = None, "Sending the questions to DeepLake Cloud"
        if recorded and recorded.questions != questions:
            cancel_job(self._store, recorded)
            step = "The documents have changed: sending the questions to DeepLake Cloud again"
        elif recorded:
            job_id = self._job_to_resume(recorded, submitter, stop)
            step = "No training is under way: sending the questions to DeepLake Cloud again"
        if job_id is None:
            on_progress(step, 0.0)
            job_id = self._submit(checked, submitter, record, stop)
        if recorded != (submission := Submission(questions, job_id)):
            record(submission)
        log.info("cloud_training_watched job=%s", job_id)
        return self._watch(job_id, on_progress, stop)

    def _checked(self, pairs: CloudPairs) -> CloudPairs:
        """Refuse early what the client would refuse only after overwriting the old questions."""
        rows = range(len(pairs.questions))
        if not rows:
            raise TrainingError("There are no pairs to train on. Nothing was changed.")
        if not len(pairs.relevant) == len(pairs.vectors) == len(rows):
            raise TrainingError("The pairs do not fit their questions. Nothing was changed.")
        if not np.isfinite(pairs.vectors).all():
            raise TrainingError("Some embeddings are not numbers. Nothing was changed.")
        if not all(question.strip() for question in pairs.questions):
            raise TrainingError("Some questions are empty. Nothing was changed.")
        chunk_ids = {chunk.id for chunk in self._store.snapshot().chunks}
        if any(id_ not in chunk_ids for row in pairs.relevant for id_, _ in row):
            raise TrainingError(
                "Some pairs belong to documents that are no longer in the knowledge base. "
                "Nothing was changed."
            )
        # A Python int, because numpy integers make the upload fail.
        relevant = [
            [(id_, 1) for id_, score in row if is_relevant(score)] for row in pairs.relevant
        ]
        keep = [row for row in rows if relevant[row]]
        if not keep:
            raise TrainingError("No pair has a relevance above 0. Nothing was changed.")
        return CloudPairs(
            [str(pairs.questions[row]) for row in keep],
            [relevant[row] for row in keep],
            np.asarray(pairs.vectors[keep], dtype=np.float32),
        )

    def _job_to_resume(
        self, before: Submission, submitter: Submitter, stop: threading.Event
    ) -> str | None:
        """The job of an earlier attempt if it is active or has completed, else None."""
        if before.job_id is None:
            return submitter.find(before.known)
        try:
            job = self._call("job", before.job_id, stop=stop)
        except CloudFailure as failure:
            if failure.kind is Failure.MISSING:
                return None
            raise cloud_error(failure, "Nothing was changed; a job may be running.") from failure
        return before.job_id if job.get("status") in {*WORKING, ENDED_WELL} else None

    def _submit(
        self,
        pairs: CloudPairs,
        submitter: Submitter,
        record: Callable[[Submission], None],
        stop: threading.Event,
    ) -> str:
        try:
            known = submitter.known_jobs()
            self._store.writer.call(
                "send_questions",
                self._path,
                pairs.questions,
                pairs.relevant,
                pairs.vectors,
                deadline=Deadline(CHANGE_S),
                stop=stop,
            )
        except CloudFailure as failure:
            raise cloud_error(failure, "No training was started.") from failure
        record(Submission(pairs.fingerprint, known=known))
        return submitter.submit(known)

    def _watch(
        self, job_id: str, on_progress: Callable[[str, float], None], stop: threading.Event
    ) -> ServiceFigures:
        pause_s, last_seen = self._watching.first_s, None
        began = moved_at = time.monotonic()
        while True:
            job = self._poll(job_id, stop)
            status, progress = job.get("status"), job.get("progress") or {}
            if status == ENDED_WELL:
                return _figures(job_id, progress)
            if status not in WORKING:
                raise _job_failed(status, progress)
            now = time.monotonic()
            seen = (status, *(progress.get(name) for name in _PROGRESS_FIELDS))
            if seen != last_seen:
                last_seen, moved_at = seen, now
            elif now - moved_at >= self._watching.given_up_after_s:
                raise TrainingError(
                    "The training in DeepLake Cloud has stopped moving. The pairs are kept.",
                    next_step="Proceed looks at the same job again. Cancel it there to start anew.",
                )
            self._is_pending = status == "pending"
            on_progress(*_in_words(status, progress, now - began))
            if stop.wait(pause_s):
                raise WatchingStopped
            pause_s = min(pause_s * 1.5, self._watching.longest_s)

    def _poll(self, job_id: str, stop: threading.Event) -> dict[str, Any]:
        try:
            return self._call("job", job_id, stop=stop)
        except CloudFailure as failure:
            if failure.kind is Failure.MISSING:
                raise TrainingError(
                    "The training job was deleted in DeepLake Cloud. The pairs are kept."
                ) from failure
            consequence = "The training goes on there. The pairs are kept."
            raise cloud_error(failure, consequence) from failure

    def _call(self, name: str, argument: str, *, stop: threading.Event) -> Any:
        answer = self._store.reader.call(name, argument, deadline=Deadline(CALL_S), stop=stop)
        if stop.is_set():
            raise WatchingStopped
        return answer


def _in_words(status: str | None, progress: dict[str, Any], elapsed_s: float) -> tuple[str, float]:
    if status == "pending":
        return "Waiting for a place in DeepLake Cloud", 0.0
    left_s = progress.get("eta")
    words = "Training in DeepLake Cloud"
    if recall := progress.get("best_recall@10"):
        words += f" (its own recall@10 so far: {recall})"
    if not isinstance(left_s, (int, float)):
        return words, 0.0
    return words, elapsed_s / (elapsed_s + max(0.0, left_s)) if elapsed_s > 0 else 0.0


def _figures(job_id: str, progress: dict[str, Any]) -> ServiceFigures:
    found = _BEST_RECALL.search(str(progress.get("best_recall@10", "")))
    if not found:
        return ServiceFigures(job_id)
    recall, gain = (round(float(found[name]) / 100, 4) for name in ("recall", "gain"))
    return ServiceFigures(job_id, recall, gain)


def _job_failed(status: str | None, progress: dict[str, Any]) -> TrainingError:
    if status == ENDED_BADLY:
        reason = str(progress.get("error") or "it gave no reason")[:200]
        return TrainingError(
            f"The training failed in DeepLake Cloud: {reason}. The pairs are kept."
        )
    return TrainingError(
        f"The training in DeepLake Cloud ended as {str(status)[:40]!r}. The pairs are kept."
    )
