"""Finds the rows nearest to a query: scores every vector or, where that is too slow, every code.

Above 50,000 vectors a scan reads 50 MB or more per query. From there on faiss holds a code of
half a byte for every two dimensions (product quantisation, Jegou et al., 2011, laid out so that a
scan stays in registers: Quicker ADC, Andre et al., 2018). The codes select a few hundred
candidates, which are then scored by their vectors. All codes are read, so nothing is missed because
of a cell or a graph link; `python -m benchmarks.search` measures what the codes themselves lose.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

import numpy as np

EXACT_UP_TO = 50_000  # vectors; a scan of these takes 5 ms at 256 dimensions
MOST_CHUNKS = 1_000_000  # in a knowledge base on this machine; larger ones belong on DeepLake Cloud
_CANDIDATES, _CANDIDATES_PER_HIT = 400, 4
_TRAINED_ON = 8_192  # vectors that the codes are fitted to; faiss uses 4,096 of them
_FEW = 0.05  # the share of rows up to which scoring only those is faster than scoring all

log = logging.getLogger(__name__)


class VectorIndex:
    """Vectors that can be searched at once: codes are made in a thread, and until then it scans."""

    def __init__(self, vectors: np.ndarray, *, exact_up_to: int = EXACT_UP_TO) -> None:
        """Index `vectors` (m, width), float32 and normalised. They are not copied."""
        self.vectors = vectors
        self._codes: Any = None
        self._encoding = threading.Thread(target=self._encode, name="encode-vectors", daemon=True)
        # An odd width cannot be divided into pairs; no embedder has one.
        self.is_exact = len(vectors) <= exact_up_to or vectors.shape[1] % 2 == 1
        if not self.is_exact:
            self._encoding.start()

    def wait(self) -> None:
        """Wait until the codes are made, if there are to be any."""
        if not self.is_exact:
            self._encoding.join()

    def top(self, query: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Return rows and scores of the `k` highest of `vectors @ query`, best first.

        `query` is (width,). If there are fewer than `k` rows, all are returned. Equal scores keep
        the order of the rows.
        """
        wanted = max(_CANDIDATES, _CANDIDATES_PER_HIT * k)
        if self._codes is None or wanted > _FEW * len(self.vectors):
            # As row times matrix, BLAS needs two thirds of the time of matrix times vector.
            scores = (query[None] @ self.vectors.T)[0]
            rows = best_rows(scores, k)
            return rows, scores[rows]
        rows = np.sort(self._codes.search(query[None], wanted)[1][0])
        scores = self.vectors[rows] @ query
        best = best_rows(scores, k)
        return rows[best], scores[best]

    def _encode(self) -> None:
        # Imported here, because faiss takes 0.3 s to import and few knowledge bases need it.
        import faiss

        faiss.omp_set_num_threads(1)  # for this thread only: pages keep responding
        began = time.monotonic()
        count, width = self.vectors.shape
        codes = faiss.index_factory(width, f"PQ{width // 2}x4fs", faiss.METRIC_INNER_PRODUCT)
        codes.train(np.ascontiguousarray(self.vectors[:: max(1, count // _TRAINED_ON)]))
        codes.add(self.vectors)
        self._codes = codes
        log.info("vectors_encoded count=%d seconds=%.1f", count, time.monotonic() - began)


def best_rows(scores: np.ndarray, k: int) -> np.ndarray:
    """Return the indices of the `k` highest of `scores` (chunks,), best first.

    Equal scores keep the order of the rows, so that the same search gives the same list.
    """
    if k < len(scores):
        # Everything that scores at least as high as the k-th, so that ties are not random.
        threshold = np.partition(scores, -k)[-k]
        candidates = np.flatnonzero(scores >= threshold)
    else:
        candidates = np.arange(len(scores))
    return candidates[np.argsort(-scores[candidates], kind="stable")][:k]
