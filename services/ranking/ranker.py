"""A ranker: one weight for each signal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from services.ranking.index import RankingIndex
from services.ranking.signals import Candidates, candidates
from services.retrieval.nearest import best_rows

# In the order of `signals.NAMES`. Means of what was learned on chunking-evaluation, pubmedqa and
# the sample from written questions; these trust words too much, so that the first and the third,
# the cosines, are more by 3 and 2: see docs/retrieval.md.
FIXED_WEIGHTS = np.array(
    [
        4.06, 1.06, 2.58, 0.96, 1.83, 2.5, 0.02, 0.13, 0.11, -0.14, 0.46, 1.2, 1.77,
        0.34, 1.7, 0.83, 0, 1.88, 0.78, 0.28, -0.29, 0.89, 1.21, 0.51, 5.0, 0.03,
    ],
    np.float32,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ranker:
    """Ranks by `signals @ weights`; `matrix` (width, width) maps the query for some of them."""

    matrix: np.ndarray
    weights: np.ndarray  # (signals,), on the scales of the signals

    @classmethod
    def untrained(cls, index: RankingIndex) -> Ranker:
        """The best ranker there is without training: fixed weights, and no map but whitening."""
        return cls(index.whitening, FIXED_WEIGHTS)

    def search(
        self, query: np.ndarray, text: str, k: int, index: RankingIndex
    ) -> tuple[np.ndarray, np.ndarray]:
        """The rows and scores of the `k` best chunks, best first; `query` (width,) embeds `text`.

        Scores are learned within single questions; what they tell between questions is used in
        `deep_memory/no_answer.py` alone. Equal ones keep the order of the rows.
        """
        return self.best(candidates(text, query, self.matrix, index, k), k)

    def best(self, found: Candidates, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The rows and scores of the `k` best of candidates, best first."""
        scores = found.signals @ self.weights
        best = best_rows(scores, k)
        return found.rows[best], scores[best]
