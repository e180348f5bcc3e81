"""The batch mode: questions over OpenAI's Batch API, at half the price, within 24 hours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from urllib.parse import urlsplit

from services.accounts.database import Database
from services.config import Settings
from services.models import RememberedBatch, TrainingRun


@dataclass(frozen=True, slots=True)
class BatchMode:
    """When the mode is offered, and how often a batch is polled."""

    more_chunks_than: int = 10_000
    host: str = "api.openai.com"  # other servers with OpenAI's API do not offer this price
    first_pause_s: float = 5.0  # between two polls; it doubles while nothing changes
    longest_pause_s: float = 60.0

    def is_offered(self, settings: Settings, chunk_count: int) -> bool:
        """Whether a run over this many chunks may use this mode."""
        if settings.uses_offline_writer or chunk_count <= self.more_chunks_than:
            return False
        return settings.openai_base_url is None or (
            urlsplit(settings.openai_base_url).netloc == self.host
        )


class WaitingChunks(NamedTuple):
    """How many chunks wait for an answer, and how many answers OpenAI has ready."""

    chunks: int
    answered: int


def is_batch_mode(run: TrainingRun) -> bool:
    """Whether the run uses this mode; that never changes."""
    return bool(run.settings.get("batch_mode"))


def batches_of(run: TrainingRun, database: Database) -> list[RememberedBatch]:
    """The batches of a run that wait at OpenAI."""
    if not is_batch_mode(run):
        return []
    rows = database.execute(
        lambda c: (
            c.table("deep_memory_generation_batches")
            .select("id, openai_id, created_at")
            .eq("training_run_id", run.id)
        )
    ).data
    return [
        RememberedBatch(row["id"], row["openai_id"], datetime.fromisoformat(row["created_at"]))
        for row in rows
    ]


def waiting(run: TrainingRun, database: Database) -> WaitingChunks:
    [row] = database.rpc("waiting_progress", p_run=run.id)
    return WaitingChunks(row["chunks"], row["answered"])


def cancel_batches(settings: Settings, batches: Sequence[RememberedBatch]) -> None:
    """Cancel the batches of a run that was given up. Takes a few seconds at most.

    Raises:
        GenerationError: one of them may continue.
    """
    if batches:
        # Here, because importing openai takes a second, which other runs are spared.
        from services.generation.openai_batches import cancel_at_openai

        cancel_at_openai(settings, batches)
