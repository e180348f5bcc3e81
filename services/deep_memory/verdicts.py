"""Is search better? A verdict on each measure, from the same questions before and after.

Pure functions. Better and worse both need proof, by two tests that fail in different ways: a 95%
interval of the mean difference that does not touch 0, which is too narrow where few questions
changed, and a sign-flip test of the questions' groups, which is exact there (Fisher, 1935). Of
sets without any effect at most 2.5% are called better and 2.5% worse: `benchmarks/verdicts.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import ceil, expm1, sqrt
from typing import Any

import numpy as np

from services.deep_memory.evaluation import Evaluation

FEWEST_TO_PROVE = 20  # questions; with fewer, all change the same way by chance too often
_NOISE = 1e-9  # of a mean, from the order of adding; one question in a million counts 1e-6
_CHANCE = 0.02  # of a wrong "better" where nothing changed, and as much of a wrong "worse"
_EXACT_FLIPS = 12  # groups that changed; 4,096 ways to flip them, all of which are tried
_FLIPS = 1999  # tried where there are more groups
_MARGIN = 1.25
_RESAMPLED_AT_ONCE = 100  # a few MB for thousands of groups


class Measure(StrEnum):
    """What a verdict may be on."""

    RECALL_1 = "recall@1"
    RECALL_3 = "recall@3"
    RECALL_10 = "recall@10"  # unless a reader chooses another
    MRR = "mrr@10"
    NDCG = "ndcg@10"


MEASURE_NAMES = {
    "recall@1": "Recall@1",
    "recall@3": "Recall@3",
    "recall@5": "Recall@5",
    "recall@10": "Recall@10",
    "mrr@10": "MRR@10",
    "ndcg@10": "nDCG@10",
}


class Verdict(StrEnum):
    BETTER = "better"
    NO_CHANGE = "no change"  # the mean is the same, even if single questions changed
    NOT_PROVEN = "not proven"
    WORSE = "worse"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two evaluations of the same questions. Differences are after minus before."""

    intervals: dict[str, tuple[float, float]]  # measure -> 95% interval of the mean difference
    verdicts: dict[str, Verdict]  # by measure
    more_questions: dict[str, int]  # measure -> how many would settle it, where it is not proven
    wins: tuple[int, ...]  # questions whose nDCG rose, largest rise first
    losses: tuple[int, ...]  # questions whose nDCG fell, largest fall first

    @property
    def is_improvement(self) -> bool:
        """Whether recall@10 or nDCG@10 is proven higher, and neither lower. Where recall@10 is
        nearly 1 before, only the order of the first ten can become better."""
        on = {self.verdicts["recall@10"], self.verdicts["ndcg@10"]}
        return Verdict.BETTER in on and Verdict.WORSE not in on


def compare(
    before: Evaluation, after: Evaluation, groups: np.ndarray | None = None, *, seed: int = 0
) -> Comparison:
    """Compare two evaluations of the same questions in the same order.

    Questions with the same value in `groups` (n,) are not independent, like those about one
    document; without `groups`, all are. Each measure has its own verdict: no change if its mean is
    the same; better or worse if both tests prove it on at least 20 questions; else not proven.
    """
    was, became = before.figures(), after.figures()
    differences = np.stack([became[name] - was[name] for name in was], axis=1)
    rows = mean_intervals(differences, groups, seed=seed).tolist()
    intervals = {name: (low, high) for name, (low, high) in zip(was, rows, strict=True)}
    verdicts, more = {}, {}
    for name, column in zip(was, differences.T, strict=True):
        verdicts[name] = _verdict(column, *intervals[name], groups, seed)
        if verdicts[name] is Verdict.NOT_PROVEN:
            more[name] = _more_questions(column, *intervals[name])
    ndcg_change = after.ndcg - before.ndcg
    order = [int(question) for question in np.argsort(ndcg_change, kind="stable")]
    return Comparison(
        intervals,
        verdicts,
        more,
        wins=tuple(question for question in reversed(order) if ndcg_change[question] > 0),
        losses=tuple(question for question in order if ndcg_change[question] < 0),
    )


def verdict_on(figures: Mapping[str, Any], measure: str) -> Verdict:
    """The verdict of stored figures on a measure.

    Figures of an earlier version have a verdict on recall@10 only; on other measures it is that of
    their interval.
    """
    if measure in figures.get("verdicts", {}):
        return Verdict(figures["verdicts"][measure])
    if measure == Measure.RECALL_10:
        return Verdict(figures["verdict"])
    low, high = figures["intervals"][measure]
    if abs(figures["after"][measure] - figures["before"][measure]) <= _NOISE:
        return Verdict.NO_CHANGE
    if low > _NOISE or high < -_NOISE:
        return Verdict.BETTER if low > 0 else Verdict.WORSE
    return Verdict.NOT_PROVEN


def _verdict(
    differences: np.ndarray, low: float, high: float, groups: np.ndarray | None, seed: int
) -> Verdict:
    if not len(differences) or abs(float(differences.mean())) <= _NOISE:
        return Verdict.NO_CHANGE
    if len(differences) < FEWEST_TO_PROVE or not (low > _NOISE or high < -_NOISE):
        return Verdict.NOT_PROVEN
    if chance_of_sum(differences, groups, seed=seed) > _CHANCE:
        return Verdict.NOT_PROVEN
    return Verdict.BETTER if low > 0 else Verdict.WORSE


def _more_questions(differences: np.ndarray, low: float, high: float) -> int:
    """About how many more questions like these would prove a change of this size, at least 1.

    The interval of a mean shrinks with the square root of their number; the other test takes
    somewhat more.
    """
    count, change = len(differences), abs(float(differences.mean()))
    needed = _MARGIN * count * ((high - low) / 2 / change) ** 2
    return max(1, FEWEST_TO_PROVE - count, ceil(needed - count))


def chance_of_sum(
    differences: np.ndarray, groups: np.ndarray | None = None, *, seed: int = 0
) -> float:
    """The chance that a sum (n,) is as far from 0, on the same side, if before and after are alike.

    Then each group's sum is as likely to have the other sign. The signs are flipped in all ways, or
    in 1,999 random ways if more than twelve groups changed (Phipson and Smyth, 2010, for those).
    """
    of = np.arange(len(differences))
    if groups is not None:
        of = np.unique(groups, return_inverse=True)[1]
    sums = np.bincount(of, differences)
    sums = sums[np.abs(sums) > _NOISE]
    seen = abs(float(sums.sum())) - _NOISE
    if len(sums) <= _EXACT_FLIPS:
        ways = (np.arange(2 ** len(sums))[:, None] >> np.arange(len(sums))) & 1
        return float(np.mean((1 - 2 * ways) @ sums >= seen))
    rng = np.random.default_rng(seed)
    signs = 1.0 - 2.0 * rng.integers(0, 2, (_FLIPS, len(sums)), dtype=np.int8)
    return float((np.count_nonzero(signs @ sums >= seen) + 1) / (_FLIPS + 1))


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
    drawn = np.concatenate(
        [
            _times_drawn(rng, count, min(_RESAMPLED_AT_ONCE, resamples - first)) @ totals
            for first in range(0, resamples, _RESAMPLED_AT_ONCE)
        ]
    )
    spread = (drawn[:, :-1] / drawn[:, -1:]).std(axis=0) * sqrt(count / (count - 1))
    reach = _students_t(count - 1) * spread
    mean = differences.mean(axis=0)
    return np.clip(np.stack([mean - reach, mean + reach], axis=1), -1, 1)


def _times_drawn(rng: np.random.Generator, count: int, resamples: int) -> np.ndarray:
    """(resamples, count): how often each of `count` groups is drawn, in `count` draws each."""
    drawn = rng.integers(0, count, (resamples, count)) + count * np.arange(resamples)[:, None]
    return np.bincount(drawn.ravel(), minlength=resamples * count).reshape(resamples, count)


def _students_t(freedom: int) -> float:
    """The 97.5% point of Student's t: from above, within 1.2% from 3 degrees on (Wallace, 1959)."""
    normal = 1.959964 * (8 * freedom + 3) / (8 * freedom + 1)
    return sqrt(freedom * expm1(normal**2 / freedom))
