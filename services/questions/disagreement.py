"""How far two rankings are apart: where they disagree most, one judgement tells the most."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

PERSISTENCE = 0.9  # the first ten ranks carry 86% of the weight


def rbo_distance(
    one: Sequence[Hashable], other: Sequence[Hashable], p: float = PERSISTENCE
) -> float:
    """1 minus the rank-biased overlap of two lists, best first: 0 for the same order, 1 for lists
    that share nothing.

    The extrapolated overlap of Webber, Moffat and Zobel, A similarity measure for indefinite
    rankings, 2010 (equation 23), to the length of the shorter list; two empty lists are the same.
    Each list holds each of its items once; 0 < `p` < 1.
    """
    depth = min(len(one), len(other))
    if depth == 0:
        return float(len(one) != len(other))
    seen_in_one: set[Hashable] = set()
    seen_in_other: set[Hashable] = set()
    overlap, weighted = 0, 0.0
    for rank in range(1, depth + 1):
        first, second = one[rank - 1], other[rank - 1]
        seen_in_one.add(first)
        seen_in_other.add(second)
        overlap += (first in seen_in_other) + (second in seen_in_one) - (first == second)
        weighted += overlap / rank * p**rank
    extrapolated = overlap / depth * p**depth + (1 - p) / p * weighted
    return min(1.0, max(0.0, 1.0 - extrapolated))
