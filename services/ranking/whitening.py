"""Whitening: a map of query vectors that gives directions that all chunks share less weight."""

from __future__ import annotations

import numpy as np


def whitening(chunks: np.ndarray) -> np.ndarray:
    """Partial whitening of the chunks (m, width), shrunk towards the identity: (C + r I)^-1/2.

    C is the second moment of the chunk vectors divided by its mean eigenvalue. Frequent directions
    carry little information, as frequent words do (Su et al., Whitening Sentence Representations,
    2021). With few chunks C is mostly noise, so r grows with width / count. Without chunks, or if
    they have no direction, it is the identity.
    """
    width = chunks.shape[1]
    if not chunks.any():
        return np.eye(width, dtype=np.float32)
    moment = chunks.T @ chunks / len(chunks)
    values, vectors = np.linalg.eigh(moment * (width / np.trace(moment)))
    ridge = 0.5 + 4 * width / len(chunks)
    weights = 1 / np.sqrt(np.maximum(values, 0) + ridge)
    return ((vectors * (weights / weights.mean())) @ vectors.T).astype(np.float32)
