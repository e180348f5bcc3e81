"""What a run remembers of its batches at OpenAI, so that the next attempt collects them."""

from __future__ import annotations

from typing import Any

from services.models import TrainingRun
from services.runs.lease import RunLease


class BatchLedger:
    """The batches of the run that `lease` holds. Every write raises RunLost when the hold is gone.

    A chunk waits in one batch at most; the database sees to it.
    """

    def __init__(self, lease: RunLease) -> None:
        self._lease = lease

    def waiting(self) -> list[dict[str, Any]]:
        """The batches whose answers are still to come, oldest first, with their chunks' ids."""
        return self._lease.retrying(
            lambda: self._lease.database.rpc("waiting_batches", p_run=self._lease.run_id)
        )

    def intend(self, batch_id: str, chunk_ids: list[str]) -> None:
        """Say that these chunks are about to be submitted together."""
        self._lease.call("intend_batch", p_batch=batch_id, p_chunk_ids=chunk_ids)

    def record(self, batch_id: str, openai_id: str) -> None:
        """Say as what OpenAI knows it."""
        self._lease.call("record_batch", p_batch=batch_id, p_openai_id=openai_id)

    def note(self, batch_id: str, answered: int) -> None:
        """Say how many answers are ready."""
        self._lease.call("note_batch", p_batch=batch_id, p_answered=answered)

    def save_pairs(
        self,
        answered: list[str],
        chunks: list[dict[str, Any]],
        pairs: list[dict[str, Any]],
        usage: dict[str, Any],
    ) -> TrainingRun:
        """As `RunLease.save_pairs`, and the `answered` chunks wait no longer: one write."""
        return self._lease.call_to_save(
            "save_waited_pairs", p_answered=answered, p_chunks=chunks, p_pairs=pairs, p_usage=usage
        )

    def forget(self, batch_id: str, how: str) -> None:
        """What came back is stored; chunks that still wait in it are free to be asked again."""
        self._lease.call("forget_batch", p_batch=batch_id, p_how=how)
