"""What people taught about single questions: asked again, they find what a person marked.

A map and weights learn what many questions have in common; one question changes them by nothing
that can be seen. So each training question of a person is remembered with what answers it, and a
query that says nearly the same lifts that chunk: the nearer, the higher, and to the top for the
question itself. How near two questions are is the cosine of their embeddings, as in the answering
of frequent questions by question similarity (Sakata et al., 2019).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from services.ranking.index import RankingIndex

# Of 292,000 pairs of different questions of people, one is nearer than this (docs/retrieval.md).
_NEAR = 0.85
_ABOVE = 0.1  # how far above the best the very question lifts its chunk, as a share of its score


@dataclass(frozen=True, slots=True)
class Taught:
    """`vectors` (n, width) embed the questions; `answers[i]` are the keys of the chunks that answer
    question i: see `RankingIndex.row_of`."""

    vectors: np.ndarray
    answers: tuple[tuple[str, ...], ...]

    @classmethod
    def of(
        cls, vectors: np.ndarray, relevant: Sequence[Sequence[int]], index: RankingIndex
    ) -> Taught:
        """`relevant[i]` holds the rows of `index` that answer question i."""
        answers = [tuple(index.key_of(row) for row in rows) for rows in relevant]
        return cls(np.asarray(vectors, np.float32), tuple(answers))

    def lifted(self, query: np.ndarray, index: RankingIndex) -> dict[int, float]:
        """Row -> how far to the top it is lifted, above 0 and at most 1; `query` is (width,)."""
        if not len(self.vectors):
            return {}
        found: dict[int, float] = {}
        near = self.vectors @ query
        for question in np.flatnonzero(near > _NEAR):
            share = min(1.0, (float(near[question]) - _NEAR) / (1 - _NEAR - 1e-3))
            for key in self.answers[question]:
                if (row := index.row_of.get(key)) is not None:
                    found[row] = max(share, found.get(row, 0.0))
        return found

    def as_json(self) -> dict[str, Any]:
        vectors = base64.b64encode(self.vectors.astype("<f2").tobytes()).decode()
        return {"vectors": vectors, "answers": [list(keys) for keys in self.answers]}

    @classmethod
    def from_json(cls, kept: Any, width: int) -> Taught | None:
        """What `as_json` wrote, of vectors of this width; None if it is not that."""
        try:
            data = np.frombuffer(base64.b64decode(kept["vectors"], validate=True), "<f2")
            vectors = data.astype(np.float32).reshape(-1, width)
            answers = tuple(tuple(map(str, keys)) for keys in kept["answers"])
        except (KeyError, TypeError, ValueError, binascii.Error):
            return None
        if len(vectors) != len(answers) or not np.isfinite(vectors).all():
            return None
        return cls(vectors, answers)


def lift(
    rows: np.ndarray, scores: np.ndarray, lifted: dict[int, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Candidates (c,) and their scores with the `lifted` rows among them, in no order."""
    missing = np.array([row for row in lifted if row not in set(rows.tolist())], rows.dtype)
    rows = np.concatenate([rows, missing])
    low, top = float(scores.min()), float(scores.max())
    scores = np.concatenate([scores, np.full(len(missing), low, scores.dtype)])
    above = top + _ABOVE * max(abs(top), top - low)
    for row, share in lifted.items():
        scores[rows == row] += share * (above - scores[rows == row])
    return rows, scores
