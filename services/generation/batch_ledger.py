"""What a run records about its batches at OpenAI, so that the next attempt can collect them."""

from __future__ import annotations

from typing import Any

from services.models import TrainingRun
from services.runs.lease import RunLease


class BatchLedger:
    """The batches of the run that `lease` holds. Every write raises RunLost if the lease is lost.

    A chunk waits in at most one batch; the database enforces this.
    """

    def __init__(self, lease: RunLease) -> None:
        self._lease = lease

    def waiting(self) -> list[dict[str, Any]]:
        """The batches that still wait for answers, oldest first, with the ids of their chunks."""
        return self._lease.retrying(
            lambda: self._lease.database.rpc("waiting_batches", p_run=self._lease.run_id)
        )

    def intend(self, batch_id: str, chunk_ids: list[str]) -> None:
        """Record that these chunks are about to be submitted as one batch."""
        self._lease.call("intend_batch", p_batch=batch_id, p_chunk_ids=chunk_ids)

    def record(self, batch_id: str, openai_id: str) -> None:
        """Record the id of the batch at OpenAI."""
        self._lease.call("record_batch", p_batch=batch_id, p_openai_id=openai_id)

    def note(self, batch_id: str, answered: int) -> None:
        """Record how many answers are ready."""
        self._lease.call("note_batch", p_batch=batch_id, p_answered=answered)

    def save_pairs(
        self,
        answered: list[str],
        chunks: list[dict[str, Any]],
        pairs: list[dict[str, Any]],
        usage: dict[str, Any],
    ) -> TrainingRun:
        """Like `RunLease.save_pairs`; the same write marks `answered` chunks as not waiting."""
        return self._lease.call_to_save(
            "save_waited_pairs", p_answered=answered, p_chunks=chunks, p_pairs=pairs, p_usage=usage
        )

    def forget(self, batch_id: str, how: str) -> None:
        """Delete the record of a batch; chunks that still wait in it may be asked again.

        `how` says how it ended.
        """
        self._lease.call("forget_batch", p_batch=batch_id, p_how=how)
