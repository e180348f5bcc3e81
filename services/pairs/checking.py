"""Check the pairs of a run before training: which of them a person should review, and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from services.config import Settings
from services.generation.pricing import TOKENS_PER_QUESTION, cost_usd
from services.models import TokenUsage, TrainingPair, Waiting
from services.pairs.quality import Flag, flag_pairs
from services.retrieval.content import Snapshot
from services.retrieval.embeddings import Embedder

# Embedding and comparing 10,000 questions with 5,000 chunks takes 2 s on two cores.
MOST_UNASKED_COMPARISONS = 50_000_000
_EMBEDDED_AT_ONCE = 1024

MOST_REMEMBERED = 10_000  # questions: 60 MB of vectors of OpenAI's small model
Progress = Callable[[float], object]  # the share done, from 0 to 1


class RememberingEmbedder:
    """Caches another embedder's vectors by text, so that a second check is free."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._vectors: dict[str, np.ndarray] = {}

    @property
    def name(self) -> str:
        return self._embedder.name

    @property
    def width(self) -> int:
        return self._embedder.width

    def waiting(self) -> Waiting | None:
        return self._embedder.waiting()

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        new = [text for text in dict.fromkeys(texts) if text not in self._vectors]
        known = {text: self._vectors[text] for text in texts if text in self._vectors}
        known |= dict(zip(new, self._embedder.embed(new), strict=True))
        if len(self._vectors) + len(new) > MOST_REMEMBERED:
            self._vectors.clear()
        self._vectors |= known
        return np.stack([known[text] for text in texts]) if texts else self._embedder.embed([])


@dataclass(frozen=True, eq=False)
class PairCheck:
    """All pairs of a run in the order of the knowledge base, with flags for doubtful ones."""

    pairs: tuple[TrainingPair, ...]
    flags: Mapping[str, frozenset[Flag]]  # by pair id; pairs without a flag are absent

    def flagged(self, flag: Flag | None = None) -> list[TrainingPair]:
        """The pairs with this flag, or with any flag if None."""
        return [
            pair
            for pair in self.pairs
            if (found := self.flags.get(pair.id)) and (flag is None or flag in found)
        ]


def check_pairs(
    pairs: Sequence[TrainingPair],
    snapshot: Snapshot,
    embedder: Embedder,
    on_progress: Progress | None = None,
) -> PairCheck:
    """Embed all questions and flag doubtful pairs.

    A pair whose chunk is no longer in the knowledge base counts as not answered.

    Raises:
        AppError: the embedder does not answer.
    """
    row_of = {chunk.id: row for row, chunk in enumerate(snapshot.chunks)}
    present = sorted((pair for pair in pairs if pair.chunk_id in row_of), key=_place(row_of))
    vectors = []
    for first in range(0, len(present), _EMBEDDED_AT_ONCE):
        batch = present[first : first + _EMBEDDED_AT_ONCE]
        vectors.append(embedder.embed([pair.question_text for pair in batch]))
        if on_progress is not None:
            on_progress((first + len(batch)) / len(present))
    found = flag_pairs(
        [pair.question_text for pair in present],
        [row_of[pair.chunk_id] for pair in present],
        np.concatenate([np.zeros((0, snapshot.embeddings.shape[1]), np.float32), *vectors]),
        snapshot.embeddings,
    )
    flags = {pair.id: flags for pair, flags in zip(present, found, strict=True) if flags}
    lost = [pair for pair in pairs if pair.chunk_id not in row_of]
    flags |= {pair.id: frozenset({Flag.NOT_ANSWERED}) for pair in lost}
    return PairCheck((*present, *lost), flags)


def estimate_check(pair_count: int, settings: Settings) -> float | None:
    """What embedding the questions will cost, in US dollars; None if the price is not known."""
    if settings.embeds_offline:
        return 0.0
    usage = TokenUsage(pair_count * TOKENS_PER_QUESTION, 0)
    return cost_usd(usage, settings.embedding_model, settings.model_prices)


def _place(row_of: Mapping[str, int]) -> Callable[[TrainingPair], tuple[int, str]]:
    return lambda pair: (row_of[pair.chunk_id], pair.id)
