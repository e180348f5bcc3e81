"""RAGLite's query adapter, written after the description in its source, for vectors in memory.

`update_query_adapter` of RAGLite 1.1.1 (raglite/_query_adapter.py, Superlinear, MPL-2.0). Its own
code works on its database, and importing it brings all of RAGLite (61 packages and numpy 1). Fed
with the same vectors it gives the same adapter; docs/benchmarks.md says how near.

For each question, those among the first 40 chunks by plain cosine that answer it are to score
higher than those that do not. The target of the question is the vector nearest to its own that
does so by a gap; the adapter is the rotation that brings all questions closest to their targets
(orthogonal Procrustes).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from services.retrieval.nearest import VectorIndex

_LOOKED_AT = 40  # RAGLite's `optimize_top_k`
_MOST_QUESTIONS = 4096  # RAGLite's `max_evals`


def query_adapter(
    queries: np.ndarray,
    chunks: VectorIndex,
    relevant: Sequence[Collection[int]],
    *,
    gap: float = 0.05,
) -> np.ndarray:
    """The adapter A (width, width) float32, for search with `A @ q`.

    `queries` (n, width) are normalised; `relevant[i]` holds the rows of `chunks` that answer
    question i. A question none or all of whose first chunks answer it teaches nothing.
    """
    questions, targets = [], []
    for query, answers in zip(queries[:_MOST_QUESTIONS], relevant, strict=False):
        rows, _ = chunks.top(query, _LOOKED_AT)
        right = np.isin(rows, list(answers))
        if right.any() and not right.all():
            found = chunks.vectors[rows]
            questions.append(query)
            targets.append(target(query, found[right], found[~right], gap))
    return rotation(np.stack(questions), np.stack(targets))


def target(query: np.ndarray, right: np.ndarray, wrong: np.ndarray, gap: float) -> np.ndarray:
    """The vector t (width,) nearest to `query` with p . t >= (1 + gap) n . t for all pairs.

    `right` (r, width) and `wrong` (w, width) are chunks. Solved as its dual, non-negative least
    squares: t = q + D' mu, where mu >= 0 makes |q + D' mu| smallest and D has the rows
    p - (1 + gap) n.
    """
    # Imported here, because only the peers' environment has it.
    from scipy.optimize import lsq_linear

    query, right, wrong = (each.astype(np.float64) for each in (query, right, wrong))
    pairs = (right[:, None] - (1 + gap) * wrong[None]).reshape(-1, len(query))
    solution = lsq_linear(pairs.T, -query, bounds=(0, np.inf), tol=np.finfo(np.float64).eps)
    return query + pairs.T @ solution.x


def rotation(questions: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The orthogonal A (width, width) float32 that brings `A @ question` closest to its target.

    Both are (n, width), of any length. What no question points to stays where it is.
    """
    questions, targets = (  # in double precision throughout
        each / np.linalg.norm(each, axis=1, keepdims=True)
        for each in (questions.astype(np.float64), targets.astype(np.float64))
    )
    count, width = questions.shape
    towards = targets.T @ questions / count
    if np.linalg.matrix_rank(questions) < width:
        seen = questions.T @ np.linalg.pinv(questions @ questions.T) @ questions
        towards += np.eye(width) - seen
    left, _, right = np.linalg.svd(towards)
    return (left @ right).astype(np.float32)
