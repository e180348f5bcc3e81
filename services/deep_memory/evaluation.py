"""Is search better? Recall, MRR and nDCG from the ranks of the relevant passages, and a verdict.

Everything here is a pure function. Ranks start at 1. Passages with equal scores are ranked in the
order in which they are stored, so that measurements are exactly reproducible.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from math import expm1, sqrt
from typing import Any

import numpy as np

RECALL_DEPTHS = (1, 3, 5, 10)
RANKING_DEPTH = 10  # ranks beyond this count nothing for MRR and nDCG
NEAR_DUPLICATE = 0.95  # cosine above which two passages say the same
_BLOCK_SCORES = 16_000_000  # scores held at once: 64 MB of float32
FEWEST_TO_PROVE = 20  # questions; with fewer, all change the same way by chance too often
_NOISE = 1e-9  # of a mean, from the order of adding; one question in a million counts 1e-6


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


class Verdict(StrEnum):
    BETTER = "better"
    NO_CHANGE = "no change"  # the mean is the same, even if single questions changed
    NOT_PROVEN = "not proven"
    WORSE = "worse"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two evaluations of the same questions. Differences are after minus before."""

    intervals: dict[str, tuple[float, float]]  # metric -> 95% interval of the mean difference
    verdict: Verdict
    wins: tuple[int, ...]  # questions whose nDCG rose, largest rise first
    losses: tuple[int, ...]  # questions whose nDCG fell, largest fall first


def compare(
    before: Evaluation, after: Evaluation, groups: np.ndarray | None = None, *, seed: int = 0
) -> Comparison:
    """Compare two evaluations of the same questions in the same order.

    Questions with the same value in `groups` (n,) are not independent, like those about one
    document; without `groups`, all are. The verdict is on recall@10: no change if its mean is the
    same, better if the whole 95% interval lies above 0, worse if below, and otherwise not proven,
    as is any change with fewer than 20 questions. An interval that touches 0 proves nothing.
    """
    was, became = before.figures(), after.figures()
    differences = np.stack([became[name] - was[name] for name in was], axis=1)
    rows = mean_intervals(differences, groups, seed=seed).tolist()
    intervals = {name: (low, high) for name, (low, high) in zip(was, rows, strict=True)}
    change = _mean(became["recall@10"] - was["recall@10"])
    ndcg_change = after.ndcg - before.ndcg
    order = [int(question) for question in np.argsort(ndcg_change, kind="stable")]
    return Comparison(
        intervals,
        _verdict(change, *intervals["recall@10"], len(before)),
        wins=tuple(question for question in reversed(order) if ndcg_change[question] > 0),
        losses=tuple(question for question in order if ndcg_change[question] < 0),
    )


def is_improvement(intervals: Mapping[str, Sequence[float]], questions: int) -> bool:
    """Whether, by the intervals of a comparison on so many questions, recall@10 or
    nDCG@10 is proven higher, and neither lower. Where recall@10 is nearly 1 before, only the order
    of the first ten can become better."""
    if questions < FEWEST_TO_PROVE:
        return False
    bounds = [intervals[name] for name in ("recall@10", "ndcg@10")]
    return any(low > _NOISE for low, _ in bounds) and all(high >= -_NOISE for _, high in bounds)


def _verdict(change: float, low: float, high: float, questions: int) -> Verdict:
    if abs(change) <= _NOISE:
        return Verdict.NO_CHANGE
    if questions >= FEWEST_TO_PROVE and low > _NOISE:
        return Verdict.BETTER
    if questions >= FEWEST_TO_PROVE and high < -_NOISE:
        return Verdict.WORSE
    return Verdict.NOT_PROVEN


def mean_intervals(
    differences: np.ndarray,
    groups: np.ndarray | None = None,
    *,
    seed: int = 0,
    resamples: int = 2000,
) -> np.ndarray:
    """95% intervals of the means of paired differences: (n, figures) to (figures, 2) bounds.

    A cluster bootstrap: whole groups of questions are resampled with replacement (Field and Welsh,
    2007). `groups` (n,) names the group of each question; without it, each is its own group. The
    bounds are t intervals with the bootstrap's standard error (Hesterberg, 2015), because
    percentiles are too narrow for a handful of groups. One group or none gives -1 to 1.
    """
    of = np.arange(len(differences))
    if groups is not None:
        of = np.unique(groups, return_inverse=True)[1]
    count = len(np.unique(of))
    if count < 2:
        return np.tile([-1.0, 1.0], (differences.shape[1], 1))
    totals = np.zeros((count, differences.shape[1] + 1))  # the sums of each group, and its size
    np.add.at(totals, of, np.column_stack([differences, np.ones(len(differences))]))
    rng = np.random.default_rng(seed)
    times_drawn = (
        np.bincount(rng.integers(0, count, count), minlength=count) for _ in range(resamples)
    )
    drawn = np.array([times @ totals for times in times_drawn])
    spread = (drawn[:, :-1] / drawn[:, -1:]).std(axis=0) * sqrt(count / (count - 1))
    reach = _students_t(count - 1) * spread
    mean = differences.mean(axis=0)
    return np.clip(np.stack([mean - reach, mean + reach], axis=1), -1, 1)


def _students_t(freedom: int) -> float:
    """The 97.5% point of Student's t: from above, within 1.2% from 3 degrees on (Wallace, 1959)."""
    normal = 1.959964 * (8 * freedom + 3) / (8 * freedom + 1)
    return sqrt(freedom * expm1(normal**2 / freedom))
