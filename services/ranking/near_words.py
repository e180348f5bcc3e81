"""The word of a chunk that is nearest in meaning to a word of a question.

Soft matching with static word vectors (Kusner et al., 2015; MaxSim: Khattab and Zaharia, ColBERT,
2020). The vectors are WordLlama's whatever embeds the chunks, because they cost no call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from services.retrieval.embeddings import normalised

Embed = Callable[[Sequence[str]], np.ndarray]  # texts -> (n, any width) float32


class NearWords:
    """Vectors of the words of a vocabulary, with what is common to all taken out."""

    def __init__(self, vocabulary: Sequence[str], frequency: np.ndarray, embed: Embed) -> None:
        """Words that stand in one text only get no vector: as words they match anyway."""
        self._embed = embed
        self.words = np.flatnonzero(frequency > 1)  # the numbers of those with a vector
        self.place = np.full(len(vocabulary), -1, np.int32)  # word number -> row of `vectors`
        self.place[self.words] = np.arange(len(self.words))
        vectors = embed([vocabulary[word] for word in self.words.tolist()])
        self._mean = vectors.mean(axis=0) if len(vectors) else np.float32(0)
        self.vectors = normalised(vectors - self._mean)  # (words with a vector, any width)

    def nearness(
        self, asked: Sequence[str], numbers: Sequence[int], words: np.ndarray, counts: np.ndarray
    ) -> np.ndarray:
        """The cosine of each asked word with the nearest word of each text, (asked, texts), 0 to 1.

        `numbers` are those of `asked` in the vocabulary. The texts have `counts` words each, which
        stand in `words` one text after another.
        """
        near = np.zeros((len(asked), len(counts)), np.float32)
        place = self.place[words]
        known, column = np.unique(place[place >= 0], return_inverse=True)
        if not len(known) or not asked:
            return near
        text = np.repeat(np.arange(len(counts)), counts)[place >= 0]
        first = np.flatnonzero(np.diff(text, prepend=-1))
        cosines = self._vectors_of(asked, numbers) @ self.vectors[known].T
        near[:, text[first]] = np.maximum.reduceat(cosines[:, column], first, axis=1)
        return np.clip(near, 0, 1)

    def _vectors_of(self, asked: Sequence[str], numbers: Sequence[int]) -> np.ndarray:
        """(asked, any width); only words without a vector are embedded now."""
        rows = [self.place[number] if number >= 0 else -1 for number in numbers]
        unknown = [word for word, row in zip(asked, rows, strict=True) if row < 0]
        fresh = iter(normalised(self._embed(unknown) - self._mean) if unknown else ())
        return np.stack([self.vectors[row] if row >= 0 else next(fresh) for row in rows])
