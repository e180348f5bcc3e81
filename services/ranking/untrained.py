"""Search without a trained model: the best there is, and the parts it is made of."""

from __future__ import annotations

from enum import StrEnum

import numpy as np

from services.ranking.index import RankingIndex
from services.ranking.ranker import Ranker
from services.ranking.signals import WORD_WEIGHT
from services.retrieval.nearest import best_rows


class Untrained(StrEnum):
    """A way to rank chunks that needs no training."""

    RANKER = "ranker"  # all signals, with fixed weights: vectors, words, and what is around
    COSINE = "cosine"  # of the embeddings as they are
    WORDS = "bm25"
    COSINE_AND_WORDS = "cosine_and_bm25"

    def search(
        self, query: np.ndarray, text: str, k: int, index: RankingIndex
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return rows and scores of the `k` best chunks; `query` (width,) embeds `text`.

        By words alone, chunks without any word of the question are not found at all.
        """
        match self:
            case Untrained.RANKER:
                return Ranker.untrained(index).search(query, text, k, index)
            case Untrained.COSINE:
                return index.plain.top(query, k)
            case Untrained.WORDS:
                scores = index.bm25(text)
                rows = best_rows(scores, k)
                rows = rows[scores[rows] > 0]
            case Untrained.COSINE_AND_WORDS:
                scores = index.plain.vectors @ query + WORD_WEIGHT * index.bm25(text)
                rows = best_rows(scores, k)
        return rows, scores[rows]
