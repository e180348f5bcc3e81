"""Measures in which a chunk that nobody judged is not a miss.

A test set names some chunks that answer; others may answer too, and count as misses in recall and
nDCG. What is said here rests on judged chunks alone, so it needs chunks that were judged not to
answer, too. Everything is a pure function.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from services.deep_memory.evaluation import RANKING_DEPTH, ndcg

# bpref counts answers below the first ten too. Up to this many chunks, the ranker looks at the same
# candidates as for ten, so that the other measures stay as they are.
SEARCHED_FOR_JUDGED = 60
JUDGED_NAMES = {"bpref": "bpref", "condensed_ndcg@10": "nDCG@10, unjudged left out"}
JUDGED_SHARE = "judged@10"


def judged_measures(
    ranked: Sequence[Sequence[int]],
    relevant: Sequence[Collection[int]],
    refused: Sequence[Collection[int]],
) -> dict[str, np.ndarray]:
    """By name, (n,): "bpref", "condensed_ndcg@10" and "judged@10" of each question.

    `ranked[i]` holds the rows that were found for question i, best first; `relevant[i]` those that
    answer it, at least one, and `refused[i]` those that were judged not to.
    """
    of = list(zip(ranked, relevant, refused, strict=True))
    return {
        "bpref": np.array([bpref(*one) for one in of]),
        "condensed_ndcg@10": np.array([condensed_ndcg(*one) for one in of]),
        JUDGED_SHARE: np.array([judged_share(*one) for one in of]),
    }


def bpref(ranked: Sequence[int], relevant: Collection[int], refused: Collection[int]) -> float:
    """How seldom a chunk that does not answer stands above one that does (Buckley and Voorhees,
    2004), from 0 to 1.

    With R relevant and N refused chunks, each relevant one that was found adds
    1 - min(refused ones above it, R) / min(R, N), and the sum is divided by R, as trec_eval does
    it. Without refused ones it is the share of the relevant ones that were found.
    """
    most = min(len(relevant), len(refused))
    above, total = 0, 0.0
    for found in ranked:
        if found in relevant:
            total += 1 - min(above, len(relevant)) / most if above else 1
        elif found in refused:
            above += 1
    return total / len(relevant)


def condensed_ndcg(
    ranked: Sequence[int], relevant: Collection[int], refused: Collection[int]
) -> float:
    """nDCG@10 of the list from which all chunks that nobody judged were taken (Sakai, 2007).

    It flatters where few were judged: look at `judged_share` too.
    """
    condensed = (found for found in ranked if found in relevant or found in refused)
    ranks = [rank for rank, found in enumerate(condensed, start=1) if found in relevant]
    return ndcg(ranks, len(relevant))


def judged_share(
    ranked: Sequence[int], relevant: Collection[int], refused: Collection[int]
) -> float:
    """The share of the first ten that somebody judged."""
    first = ranked[:RANKING_DEPTH]
    return sum(found in relevant or found in refused for found in first) / max(1, len(first))
