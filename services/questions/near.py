"""Questions that ask nearly the same, by their embeddings."""

from __future__ import annotations

import numpy as np

# Cosine from which on two questions are shown as one: the lowest at which neither embedder of this
# machine mixes different questions. Of 50 rewordings, WordLlama then joins 84% to their question,
# MiniLM 92% (python -m benchmarks.near_questions).
NEAR_QUESTION = 0.8


def near_groups(vectors: np.ndarray, threshold: float = NEAR_QUESTION) -> list[list[int]]:
    """The rows of `vectors` (n, width; normalised) in groups of questions that ask nearly the same.

    Rows are taken in their order: each joins the first group whose first row is at least this near,
    or begins a group. So the first of a group speaks for it, and groups keep the order.
    """
    groups: list[list[int]] = []
    firsts: list[int] = []
    for row in range(len(vectors)):
        near = vectors[firsts] @ vectors[row] >= threshold if firsts else np.zeros(0, bool)
        if near.any():
            groups[int(np.argmax(near))].append(row)
        else:
            groups.append([row])
            firsts.append(row)
    return groups
