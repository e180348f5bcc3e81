"""Check the pairs of a run before training: which of them a person should review first, and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from services.config import Settings
from services.generation.pricing import TOKENS_PER_QUESTION, cost_usd
from services.models import Review, TokenUsage, TrainingPair, Waiting
from services.pairs.doubt import Progress, doubts, first_to_review
from services.pairs.quality import Flag, flag_pairs
from services.ranking.index import RankingIndex
from services.retrieval.content import Snapshot
from services.retrieval.embeddings import Embedder

_EMBEDDED_AT_ONCE = 1024

_NO_CHUNK = -1.0  # the doubt of a pair that training leaves out: it cannot harm

MOST_REMEMBERED = 10_000  # questions: 60 MB of vectors of OpenAI's small model


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
    """Pairs of a run in the order of the knowledge base, with flags for doubtful ones."""

    pairs: tuple[TrainingPair, ...]
    flags: Mapping[str, frozenset[Flag]]  # by pair id; pairs without a flag are absent
    doubt: Mapping[str, float]  # by pair id: the highest are to be reviewed first, see doubt.py

    def flagged(self, flag: Flag | None = None) -> list[TrainingPair]:
        """The pairs with this flag, or with any flag if None."""
        return [
            pair
            for pair in self.pairs
            if (found := self.flags.get(pair.id)) and (flag is None or flag in found)
        ]

    def as_rows(self) -> list[dict[str, Any]]:
        """What is stored of it, for `PairStore.note_checks`."""
        return [
            {
                "id": pair.id,
                "reviewed_at": pair.reviewed_at,
                "doubt": self.doubt.get(pair.id),
                "flags": sorted(self.flags.get(pair.id, ())),
            }
            for pair in self.pairs
        ]


def check_pairs(
    pairs: Sequence[TrainingPair],
    snapshot: Snapshot,
    index: RankingIndex,
    embedder: Embedder,
    on_progress: Progress | None = None,
) -> PairCheck:
    """Embed all questions, flag doubtful pairs, and say how doubtful each is.

    `index` is of `snapshot`. A pair whose chunk is no longer in the knowledge base counts as not
    answered. Dropped pairs are neither flagged nor compared with others.

    Raises:
        AppError: the embedder does not answer.
    """
    row_of = {chunk.id: row for row, chunk in enumerate(snapshot.chunks)}
    dropped = [pair for pair in pairs if pair.review is Review.DROPPED]
    others = [pair for pair in pairs if pair.review is not Review.DROPPED]
    present = sorted((pair for pair in others if pair.chunk_id in row_of), key=_place(row_of))
    lost = [pair for pair in others if pair.chunk_id not in row_of]
    questions = [pair.question_text for pair in present]
    rows = [row_of[pair.chunk_id] for pair in present]
    note = on_progress or (lambda share: None)
    vectors = _embedded(questions, embedder, lambda share: note(share / 2))
    found = flag_pairs(questions, rows, vectors, snapshot.embeddings)
    margins = doubts(questions, rows, vectors, index, lambda share: note((1 + share) / 2))
    flags = {pair.id: flags for pair, flags in zip(present, found, strict=True) if flags}
    flags |= {pair.id: frozenset({Flag.NOT_ANSWERED}) for pair in lost}
    doubt = {
        pair.id: first_to_review(float(margin), flags.get(pair.id, ()))
        for pair, margin in zip(present, margins, strict=True)
    }
    doubt |= {pair.id: _NO_CHUNK for pair in lost}
    return PairCheck((*present, *lost, *dropped), flags, doubt)


def _embedded(questions: Sequence[str], embedder: Embedder, note: Progress) -> np.ndarray:
    """The vectors of `questions`, (n, width)."""
    vectors = [np.zeros((0, embedder.width), np.float32)]
    for first in range(0, len(questions), _EMBEDDED_AT_ONCE):
        batch = questions[first : first + _EMBEDDED_AT_ONCE]
        vectors.append(embedder.embed(batch))
        note((first + len(batch)) / len(questions))
    return np.concatenate(vectors)


def estimate_check(pair_count: int, settings: Settings) -> float | None:
    """What embedding the questions will cost, in US dollars; None if the price is not known."""
    if settings.embeds_offline:
        return 0.0
    usage = TokenUsage(pair_count * TOKENS_PER_QUESTION, 0)
    return cost_usd(usage, settings.embedding_model, settings.model_prices)


def _place(row_of: Mapping[str, int]) -> Callable[[TrainingPair], tuple[int, str]]:
    return lambda pair: (row_of[pair.chunk_id], pair.id)
