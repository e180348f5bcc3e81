"""Which texts have each word: an inverted index in numpy, with BM25.

BM25 is Robertson's weighting in the form of Lucene (Robertson and Zaragoza, 2009). Beside bm25s,
which splits the words, because a ranker also wants to know which words matched, and asks the same
of chunks, of their sentences and of whole documents.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# Early saturation and weak length normalisation suit passages: Anserini's defaults, with which BEIR
# measures BM25 (Thakur et al., 2021).
_K1, _B = 0.9, 0.4
ABSENT = -1  # the number of a word that is not in the vocabulary


class Occurrences:
    """Texts and their words. Text t has the words `words[owner == t]`; `owner` is ascending."""

    def __init__(self, words: np.ndarray, owner: np.ndarray, vocabulary: int, texts: int) -> None:
        """Index `words` (n,), numbers below `vocabulary`, of the texts `owner` (n,)."""
        self.count = texts
        lengths = np.bincount(owner, minlength=texts).astype(np.float32)
        relative = lengths / max(1.0, len(words) / max(1, texts))
        both, times = np.unique(words.astype(np.int64) * texts + owner, return_counts=True)
        word = both // max(1, texts)
        self._texts = (both - word * texts).astype(np.int32)
        self._start = np.searchsorted(word, np.arange(vocabulary + 1))
        self.frequency = np.diff(self._start)  # (vocabulary,): the number of texts with the word
        self.idf = np.log1p((texts - self.frequency + 0.5) / (self.frequency + 0.5))
        self.idf = self.idf.astype(np.float32)
        often = times.astype(np.float32)
        saturated = often / (often + _K1 * (1 - _B + _B * relative[self._texts]))
        self._gains = np.repeat(self.idf, self.frequency) * saturated

    def worth(self, words: Sequence[int]) -> np.ndarray:
        """The inverse document frequencies, (words,); of an absent word, the highest there is."""
        highest = np.float32(np.log1p(2 * (self.count + 0.5)))
        return np.array([highest if w == ABSENT else self.idf[w] for w in words], np.float32)

    def bm25(self, words: Sequence[int]) -> np.ndarray:
        """BM25 of every text, (texts,) float32."""
        scores = np.zeros(self.count, np.float32)
        for word in words:
            if word != ABSENT:
                place = slice(self._start[word], self._start[word + 1])
                scores[self._texts[place]] += self._gains[place]
        return scores

    def gains(self, words: Sequence[int], texts: np.ndarray) -> np.ndarray:
        """What each word adds to the BM25 of `texts`, (words, len(texts)); 0 where it is absent."""
        found = np.zeros((len(words), len(texts)), np.float32)
        for line, word in enumerate(words):
            if word != ABSENT and self.frequency[word]:
                own = self._texts[self._start[word] : self._start[word + 1]]
                place = np.minimum(np.searchsorted(own, texts), len(own) - 1)
                gains = self._gains[self._start[word] : self._start[word + 1]]
                found[line] = np.where(own[place] == texts, gains[place], 0)
        return found
