"""Runs for tests, brought to each status by the moves that lead there, and leases that run out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg

from services.accounts.auth import SignedInUser
from services.accounts.database import Database
from services.models import TrainingRun
from services.runs.lease import RunLease
from services.runs.states import RunStatus
from services.runs.store import RunStore

METRICS = {"before": {"recall@10": 0.6}, "after": {"recall@10": 0.7}}


@dataclass
class Script:
    """One run of one user, its worker's lease, and the steps that lead it through its life."""

    user: SignedInUser
    service: Database
    run: TrainingRun = field(init=False)
    lease: RunLease = field(init=False)

    @property
    def store(self) -> RunStore:
        return RunStore(self.user.database)

    @property
    def now(self) -> TrainingRun:
        return self.store.get(self.run.id)

    def start(self, total_chunks: int = 3, **settings: Any) -> Script:
        return self._claimed(self.store.start(total_chunks=total_chunks, settings=settings))

    def proceed(self) -> Script:
        return self._claimed(self.store.proceed(self.run.id))

    def train(self) -> Script:
        return self._claimed(self.store.start_training(self.run.id))

    def save(self, *chunk_ids: str, questions: int = 1) -> TrainingRun:
        return self.lease.save_pairs(*finished(chunk_ids, questions), {"input_tokens": 10})

    def to(self, status: RunStatus) -> Script:
        """Bring a new run to `status`, with two pairs where it has any."""
        self.start()
        if status is RunStatus.GENERATING:
            return self
        self.lease.begin_generation(["c1", "c2", "c3"])
        self.save("c1", "c2")
        if status is RunStatus.GENERATING_FAILED:
            self.lease.fail("The model did not answer.")
            return self
        self.lease.finish_generation()
        if status is RunStatus.GENERATED:
            return self
        self.train()
        if status is RunStatus.TRAINING_FAILED:
            self.lease.fail("The trainer did not answer.")
        elif status is RunStatus.COMPLETED:
            self.lease.finish_training(METRICS, activate=True)
        return self

    def _claimed(self, run: TrainingRun) -> Script:
        self.run = run
        self.lease = RunLease(self.service, run)
        self.lease.claim()
        return self


def finished(
    chunk_ids: Sequence[str], questions: int = 1
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The rows of chunks that were asked, and of their pairs, each question different."""
    chunks = [{"chunk_id": id_, "problem": None} for id_ in chunk_ids]
    pairs = [
        {
            "chunk_id": id_,
            "chunk_preview": f"Text of {id_}",
            "question_text": f"What is {number} of {id_}?",
            "relevance_score": 1.0,
        }
        for id_ in chunk_ids
        for number in range(questions)
    ]
    return chunks, pairs


def let_lease_run_out(owner: psycopg.Connection, run_id: str) -> None:
    """As if the worker had been silent for half a minute while the sweeps went on."""
    owner.execute(
        "update deep_memory_training_runs set lease_expires_at = now() - interval '1 second'"
        " where id = %s",
        (run_id,),
    )
    keep_watch(owner)


def keep_watch(owner: psycopg.Connection) -> None:
    """As if the last sweep was a moment ago, and every ten seconds before."""
    owner.execute(
        "update deep_memory_watch set swept_at = now(), grace_until = now() - interval '1 hour'"
    )
