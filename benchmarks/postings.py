"""Words and where they stand, in numpy: BM25 and the presence of each word of a question.

Beside `lexical.py`, because a ranker wants to know which words matched, and asks the same of
chunks, of their sentences and of whole documents.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

_K1, _B = 0.9, 0.4  # as in lexical.py


class Postings:
    """An inverted index of `texts`, each a list of words (Robertson and Zaragoza, 2009)."""

    def __init__(self, texts: Sequence[Sequence[str]]) -> None:
        self.count = len(texts)
        lengths = np.array([len(words) for words in texts], np.float32)
        relative = lengths / max(1.0, float(lengths.mean()) if len(texts) else 1.0)
        found: dict[str, tuple[list[int], list[int]]] = {}
        for row, words in enumerate(texts):
            for word, times in Counter(words).items():
                rows, counts = found.setdefault(word, ([], []))
                rows.append(row)
                counts.append(times)
        self.idf: dict[str, float] = {}
        self._of: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        for word, (rows, counts) in found.items():
            at, often = np.array(rows, np.int32), np.array(counts, np.float32)
            idf = math.log(1 + (self.count - len(at) + 0.5) / (len(at) + 0.5))
            saturated = often / (often + _K1 * (1 - _B + _B * relative[at]))
            self.idf[word] = idf
            self._of[word] = (at, np.float32(idf) * saturated)

    def __contains__(self, word: str) -> bool:
        return word in self._of

    def worth(self, word: str) -> float:
        """The inverse document frequency; of a word that no text has, the highest there is."""
        return self.idf.get(word, math.log(1 + 2 * (self.count + 0.5)))

    def frequency(self, word: str) -> int:
        """In how many texts the word stands."""
        return len(self._of[word][0]) if word in self._of else 0

    def bm25(self, words: Sequence[str]) -> np.ndarray:
        """BM25 of every text, (count,) float32."""
        scores = np.zeros(self.count, np.float32)
        for word in words:
            if word in self._of:
                rows, gains = self._of[word]
                scores[rows] += gains
        return scores

    def present(self, words: Sequence[str]) -> np.ndarray:
        """Whether each text has each word, (words, count) bool."""
        has = np.zeros((len(words), self.count), bool)
        for line, word in enumerate(words):
            if word in self._of:
                has[line, self._of[word][0]] = True
        return has
