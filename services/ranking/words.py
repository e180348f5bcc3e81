"""Words as they are indexed and asked: base forms, without the most common words of English."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import bm25s
import numpy as np


def words_of(text: str) -> list[str]:
    """The words of one text, in order."""
    vocabulary, ids, _ = numbered_words([text])
    return [vocabulary[word] for word in ids]


def numbered_words(texts: Sequence[str]) -> tuple[list[str], np.ndarray, np.ndarray]:
    """The words of `texts` as numbers: the vocabulary in alphabetical order, the number of each
    word of all texts one after another, (words,) int32, and how many each text has, (texts,)."""
    if not texts:
        return [], np.zeros(0, np.int32), np.zeros(0, np.int64)
    found = bm25s.tokenize(list(texts), stopwords="en", stemmer=_base_forms, show_progress=False)
    vocabulary = sorted(found.vocab)  # the library's order differs from run to run
    number = np.zeros(len(vocabulary), np.int32)
    number[[found.vocab[word] for word in vocabulary]] = np.arange(len(vocabulary))
    counts = np.array([len(line) for line in found.ids], np.int64)
    ids = np.fromiter(chain.from_iterable(found.ids), np.int32, int(counts.sum()))
    return vocabulary, number[ids] if len(ids) else ids, counts


def _base_forms(words: Sequence[str]) -> list[str]:
    """Base forms, so that "transfers" finds "transferred"; from simplemma's table, not by rule."""
    # Here, because importing it takes a quarter of a second, which the app's start is spared.
    from services.base_forms import base_form

    return [base_form(word) for word in words]
