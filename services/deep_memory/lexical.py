"""Exact words: BM25 scores by bm25s, which beat untrained embeddings when words are rare."""

from __future__ import annotations

from collections.abc import Sequence

import bm25s
import numpy as np

# Early saturation and weak length normalisation suit passages: Anserini's defaults, with which BEIR
# measures BM25 (Thakur et al., 2021). bm25s's own, 1.5 and 0.75, are meant for whole documents.
_K1, _B = 0.9, 0.4


class LexicalIndex:
    """BM25 over the texts of a store (Robertson's weighting in the form of Lucene)."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._count = len(texts)
        words = words_of(texts)
        self._index = bm25s.BM25(k1=_K1, b=_B)
        self._knows_words = any(words)
        if self._knows_words:
            self._index.index(words, show_progress=False)

    def scores(self, queries: Sequence[str]) -> np.ndarray:
        """BM25 of every text for every query, (queries, texts) float32; 0: no word in common."""
        scores = np.zeros((len(queries), self._count), np.float32)
        for row, words in enumerate(words_of(queries)):
            if words and self._knows_words:
                scores[row] = self._index.get_scores(words)
        return scores


def words_of(texts: Sequence[str]) -> list[list[str]]:
    """The words of each text as they are indexed: base forms, without the most common ones."""
    if not texts:
        return []
    return bm25s.tokenize(
        list(texts), stopwords="en", stemmer=_base_forms, return_ids=False, show_progress=False
    )


def _base_forms(words: Sequence[str]) -> list[str]:
    """Base forms, so that "transfers" finds "transferred"; from simplemma's table, not by rule."""
    # Here, because importing it takes a quarter of a second, which the app's start is spared.
    from services.base_forms import base_form

    return [base_form(word) for word in words]
