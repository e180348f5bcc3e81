"""How good is search? Recall, MRR and nDCG from the ranks of the relevant passages.

Everything here is a pure function. Ranks start at 1. Passages with equal scores are ranked in the
order in which they are stored, so that measurements are exactly reproducible.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

RECALL_DEPTHS = (1, 3, 5, 10)
RANKING_DEPTH = 10  # ranks beyond this count nothing for MRR and nDCG
NEAR_DUPLICATE = 0.95  # cosine above which two passages say the same
_BLOCK_SCORES = 16_000_000  # scores held at once: 64 MB of float32


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Figures per question, so that two rankings can be compared on the same questions."""

    recall: dict[int, np.ndarray]  # depth -> (n,) share of the question's passages found
    mrr: np.ndarray  # (n,) reciprocal rank of the first relevant passage, 0 beyond rank 10
    ndcg: np.ndarray  # (n,)
    of_judged: Mapping[str, np.ndarray] = field(default_factory=dict)  # see `judged_measures`

    def __len__(self) -> int:
        return len(self.mrr)

    def figures(self) -> dict[str, np.ndarray]:
        """By name, (n,): "recall@1", "recall@3", "recall@5", "recall@10", "mrr@10", "ndcg@10", and
        those `of_judged` chunks alone, if there are any."""
        figures = {f"recall@{depth}": self.recall[depth] for depth in RECALL_DEPTHS}
        figures |= {f"mrr@{RANKING_DEPTH}": self.mrr, f"ndcg@{RANKING_DEPTH}": self.ndcg}
        return {**figures, **self.of_judged}

    def as_metrics(self) -> dict[str, float]:
        """The mean of each figure; 0 if there are no questions."""
        return {name: _mean(values) for name, values in self.figures().items()}


def recall_at(ranks: Iterable[int], relevant_count: int, depth: int) -> float:
    """The share of a question's relevant passages whose rank is at most `depth`."""
    return sum(rank <= depth for rank in ranks) / relevant_count


def reciprocal_rank(ranks: Iterable[int]) -> float:
    """One over the rank of the first relevant passage; 0 when it is not among the first ten."""
    first = min(ranks, default=RANKING_DEPTH + 1)
    return 1 / first if first <= RANKING_DEPTH else 0.0


def ndcg(ranks: Iterable[int], relevant_count: int) -> float:
    """Normalised discounted cumulative gain over the first ten, with binary relevance.

    A relevant passage at rank r gains 1 / log2(r + 1); the sum is divided by that of the ideal
    order (Järvelin and Kekäläinen, 2002).
    """
    gain = sum(1 / np.log2(rank + 1) for rank in ranks if rank <= RANKING_DEPTH)
    ideal_ranks = range(1, min(relevant_count, RANKING_DEPTH) + 1)
    return float(gain / sum(1 / np.log2(rank + 1) for rank in ideal_ranks))


def evaluate_ranks(ranks: Sequence[Sequence[int]], relevant_counts: Sequence[int]) -> Evaluation:
    """Evaluate questions for which the ranks of the relevant passages are known.

    `ranks[i]` holds the ranks of those relevant passages of question i that were found at all.

    Raises:
        ValueError: a question has no relevant passage, so it cannot be evaluated.
    """
    if any(count < 1 for count in relevant_counts):
        raise ValueError("every question needs at least one relevant passage")
    paired = list(zip(ranks, relevant_counts, strict=True))
    return Evaluation(
        recall={
            depth: np.array([recall_at(found, count, depth) for found, count in paired])
            for depth in RECALL_DEPTHS
        },
        mrr=np.array([reciprocal_rank(found) for found in ranks]),
        ndcg=np.array([ndcg(found, count) for found, count in paired]),
    )


def evaluate_ids(
    ranked: Sequence[Sequence[Any]], relevant: Sequence[Collection[Any]]
) -> Evaluation:
    """Evaluate ranked lists of ids, best first, against the ids that are relevant."""
    wanted = [frozenset(ids) for ids in relevant]
    ranks = [
        [rank for rank, found in enumerate(ids, start=1) if found in wanted[i]]
        for i, ids in enumerate(ranked)
    ]
    return evaluate_ranks(ranks, [len(ids) for ids in wanted])


def evaluate_embeddings(
    queries: np.ndarray, chunks: np.ndarray, relevant: Sequence[Collection[int]]
) -> Evaluation:
    """Evaluate exact search by inner product, in blocks of bounded memory.

    `queries` is (n, width), `chunks` (m, width); `relevant[i]` holds the rows of `chunks` that
    answer query i.
    """
    return evaluate_blocks(
        lambda start, stop: queries[start:stop] @ chunks.T, len(chunks), relevant
    )


def evaluate_blocks(
    score: Callable[[int, int], np.ndarray], passages: int, relevant: Sequence[Collection[int]]
) -> Evaluation:
    """Evaluate any scoring function in blocks of bounded memory.

    `score(start, stop)` returns the (stop - start, passages) scores of those questions."""
    ranks: list[list[int]] = []
    step = max(1, _BLOCK_SCORES // max(1, passages))
    for start in range(0, len(relevant), step):
        found = relevant[start : start + step]
        scores = score(start, start + len(found))
        ranks += [_ranks(row, sorted(set(ids))) for row, ids in zip(scores, found, strict=True)]
    return evaluate_ranks(ranks, [len(set(ids)) for ids in relevant])


def _ranks(scores: np.ndarray, passages: Sequence[int]) -> list[int]:
    """The rank of each of `passages`: one more than the number of passages ranked before it."""
    return [
        1
        + int(np.count_nonzero(scores > scores[passage]))
        + int(np.count_nonzero(scores[:passage] == scores[passage]))
        for passage in passages
    ]


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else 0.0
