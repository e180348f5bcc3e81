"""The chunks around a chunk: their vectors mixed into its own, and the sum of what they score.

People ask in the words of the topic, which often stand in neighbouring chunks only. A neighbour d
chunks away within the same document has weight exp(-d / 2).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np

from services.retrieval.embeddings import normalised

_REACH = 2.0  # chunks: the distance at which a neighbour counts 1/e
_WINDOW = 8  # chunks on either side; beyond, a neighbour would count under 2%
_WEIGHTS = np.exp(-np.abs(np.arange(-_WINDOW, _WINDOW + 1)) / _REACH).astype(np.float32)


class Neighbours:
    """Which chunks stand around each, by `documents[i]`, the document of row i."""

    def __init__(self, documents: Sequence[Any]) -> None:
        sizes = [sum(1 for _ in rows) for _, rows in groupby(documents)]
        self.document = np.repeat(np.arange(len(sizes)), sizes)  # (rows,): numbered from 0
        self.count = len(sizes)
        self._rows = len(documents)
        # With room around each document, so that none is a neighbour of another's chunks.
        self._place = np.arange(self._rows) + _WINDOW * (1 + self.document)
        self._weights = self.summed(np.ones(self._rows, np.float32))

    def summed(self, values: np.ndarray) -> np.ndarray:
        """The sum of each value and its neighbours', weighted by nearness: (rows,) float32."""
        padded = np.zeros(self._rows + _WINDOW * (self.count + 1), np.float32)
        padded[self._place] = values
        total = padded.copy()
        for distance in range(1, _WINDOW + 1):  # a third of the time of numpy.convolve
            weight = _WEIGHTS[_WINDOW + distance]
            total[distance:] += weight * padded[:-distance]
            total[:-distance] += weight * padded[distance:]
        return total[self._place]

    def mean(self, values: np.ndarray) -> np.ndarray:
        """The same as a weighted mean."""
        return self.summed(values) / self._weights

    def beside(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The rows before and after each row; its own where the document begins or ends."""
        before, after = np.maximum(rows - 1, 0), np.minimum(rows + 1, self._rows - 1)
        document = self.document[rows]
        return (
            np.where(self.document[before] == document, before, rows),
            np.where(self.document[after] == document, after, rows),
        )


def in_context(embeddings: np.ndarray, documents: Sequence[Any]) -> np.ndarray:
    """Add to each chunk the weighted mean of itself and its neighbours, and normalise: float32.

    `embeddings` (m, width) are the chunks'; `documents[i]` names the document of row i. A chunk
    that is alone in its document keeps its vector. Compare contextual document embeddings (Morris
    and Rush, 2024); here it is in closed form, and nothing is embedded again.
    """
    in_context = np.array(embeddings, np.float32)
    start = 0
    for _, rows in groupby(documents):
        stop = start + sum(1 for _ in rows)
        in_context[start:stop] += _neighbourhood(in_context[start:stop])
        start = stop
    return normalised(in_context)


def _neighbourhood(chunks: np.ndarray) -> np.ndarray:
    total, weights = chunks.copy(), np.ones((len(chunks), 1), np.float32)
    for distance in range(1, min(_WINDOW + 1, len(chunks))):
        weight = _WEIGHTS[_WINDOW + distance]
        total[distance:] += weight * chunks[:-distance]
        total[:-distance] += weight * chunks[distance:]
        weights[distance:] += weight
        weights[:-distance] += weight
    return total / weights
