"""Is search better? Recall, MRR and nDCG from the ranks of the relevant passages, and a fair split.

Everything here is a pure function. A rank starts at 1. Passages with equal scores are ranked in
the order in which they are stored, so that a measurement repeats exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from services.errors import TrainingError

RECALL_DEPTHS = (1, 3, 5, 10)
RANKING_DEPTH = 10  # MRR and nDCG look this far down
NEAR_DUPLICATE = 0.95  # cosine above which two passages say the same
_BLOCK_SCORES = 16_000_000  # scores held at once: 64 MB of float32
_LARGEST_HELD_OUT_SHARE = 0.5
_FEWEST_QUESTIONS = 4


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Figures per question, kept so that two models can be compared on the same questions."""

    recall: dict[int, np.ndarray]  # depth -> (n,) share of the question's passages found
    mrr: np.ndarray  # (n,) reciprocal rank of the first relevant passage, 0 beyond rank 10
    ndcg: np.ndarray  # (n,)

    def __len__(self) -> int:
        return len(self.mrr)

    def as_metrics(self) -> dict[str, float]:
        """The means: "recall@1", "recall@3", "recall@5", "recall@10", "mrr@10", "ndcg@10"."""
        metrics = {f"recall@{depth}": _mean(self.recall[depth]) for depth in RECALL_DEPTHS}
        metrics[f"mrr@{RANKING_DEPTH}"] = _mean(self.mrr)
        metrics[f"ndcg@{RANKING_DEPTH}"] = _mean(self.ndcg)
        return metrics


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
    """Evaluate questions of which the ranks of the relevant passages are known.

    `ranks[i]` holds the ranks of those relevant passages of question i that were found at all.

    Raises:
        ValueError: a question has no relevant passage, so nothing can be said about it.
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
    """Evaluate any scoring: `score(start, stop)` gives the (stop - start, passages) scores of those
    questions, and is asked for no more of them at once than fit into bounded memory."""
    ranks: list[list[int]] = []
    step = max(1, _BLOCK_SCORES // max(1, passages))
    for start in range(0, len(relevant), step):
        found = relevant[start : start + step]
        scores = score(start, start + len(found))
        ranks += [_ranks(row, sorted(set(ids))) for row, ids in zip(scores, found, strict=True)]
    return evaluate_ranks(ranks, [len(set(ids)) for ids in relevant])


def _ranks(scores: np.ndarray, passages: Sequence[int]) -> list[int]:
    """The ranks of `passages`: one more than the count of those that come before each."""
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
    NOT_PROVEN = "not proven"
    WORSE = "worse"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two evaluations of the same questions. Differences are after minus before."""

    intervals: dict[str, tuple[float, float]]  # metric -> 95% interval of the mean difference
    verdict: Verdict
    wins: tuple[int, ...]  # questions whose nDCG rose, most first
    losses: tuple[int, ...]  # questions whose nDCG fell, worst first


def compare(before: Evaluation, after: Evaluation, *, seed: int = 0) -> Comparison:
    """Compare two evaluations of the same questions in the same order.

    The verdict is on recall@10: better when the whole 95% interval lies above 0, worse when it lies
    below, and not proven otherwise.
    """
    differences = {
        f"recall@{depth}": after.recall[depth] - before.recall[depth] for depth in RECALL_DEPTHS
    }
    differences[f"mrr@{RANKING_DEPTH}"] = after.mrr - before.mrr
    differences[f"ndcg@{RANKING_DEPTH}"] = after.ndcg - before.ndcg
    intervals = {name: mean_interval(values, seed=seed) for name, values in differences.items()}
    low, high = intervals["recall@10"]
    verdict = Verdict.BETTER if low > 0 else Verdict.WORSE if high < 0 else Verdict.NOT_PROVEN
    moved = after.ndcg - before.ndcg
    order = [int(question) for question in np.argsort(moved, kind="stable")]
    return Comparison(
        intervals,
        verdict,
        wins=tuple(question for question in reversed(order) if moved[question] > 0),
        losses=tuple(question for question in order if moved[question] < 0),
    )


def mean_interval(
    differences: np.ndarray, *, seed: int = 0, resamples: int = 2000, confidence: float = 0.95
) -> tuple[float, float]:
    """A percentile bootstrap interval of the mean of paired differences (Efron, 1979).

    The questions are drawn again with replacement, so that a gain that hangs on a few of them
    has an interval that reaches 0. (0, 0) for no questions.
    """
    if not len(differences):
        return 0.0, 0.0
    rng = np.random.default_rng(seed)
    means = [
        differences[rng.integers(0, len(differences), len(differences))].mean()
        for _ in range(resamples)
    ]
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


@dataclass(frozen=True, slots=True)
class Split:
    """Indices of the questions to train on and of those held out; some may be in neither."""

    train: np.ndarray
    held_out: np.ndarray


def split_by_document(
    relevant: Sequence[Collection[int]],
    documents: Sequence[Any],
    chunks: np.ndarray,
    *,
    held_out_share: float = 0.2,
    seed: int = 0,
) -> Split:
    """Hold out the questions of some documents, so that the figures speak of unseen text.

    `relevant[i]` holds the chunk indices that answer question i, `documents[c]` names the document
    of chunk c, and `chunks` (m, width) are the normalised embeddings. A training question whose
    chunk nearly repeats a held-out chunk is left out of both sides. Where there are too few
    documents for that, the questions are held out by chunk. The same arguments give the same split.

    Raises:
        TrainingError: there are too few questions, or chunks, to hold any out.
    """
    if len(relevant) >= _FEWEST_QUESTIONS:
        by_document = [{documents[chunk] for chunk in found} for found in relevant]
        by_chunk = [set(found) for found in relevant]
        for groups in (by_document, by_chunk):
            split = _split_by_group(groups, held_out_share, seed)
            split = _without_near_duplicates(split, relevant, chunks)
            if len(split.held_out) and len(split.train) >= len(relevant) // 4:
                return split
    raise TrainingError(
        f"{len(relevant)} pairs over these chunks are too few to train on and to measure.",
        next_step="Generate questions for more chunks, then train again. The pairs are kept.",
    )


def _split_by_group(groups: Sequence[set[Any]], held_out_share: float, seed: int) -> Split:
    """Hold out groups in random order until the share is reached, passing over too large ones."""
    members: dict[Any, set[int]] = {}
    for question, names in enumerate(groups):
        for name in names:
            members.setdefault(name, set()).add(question)
    names = sorted(members, key=str)
    wanted = max(1, round(held_out_share * len(groups)))
    largest = int(_LARGEST_HELD_OUT_SHARE * len(groups))
    held_out: set[int] = set()
    for position in np.random.default_rng(seed).permutation(len(names)):
        grown = held_out | members[names[position]]
        if len(grown) <= largest:
            held_out = grown
        if len(held_out) >= wanted:
            break
    train = [question for question in range(len(groups)) if question not in held_out]
    return Split(np.array(train, dtype=np.int64), np.array(sorted(held_out), dtype=np.int64))


def _without_near_duplicates(
    split: Split, relevant: Sequence[Collection[int]], chunks: np.ndarray
) -> Split:
    """Drop the training questions whose passages, or nearly the same ones, are held out."""
    held_out = sorted({chunk for question in split.held_out for chunk in relevant[question]})
    if not held_out:
        return split
    candidates = sorted({chunk for question in split.train for chunk in relevant[question]})
    known: set[int] = set()
    step = max(1, _BLOCK_SCORES // len(held_out))
    for start in range(0, len(candidates), step):
        block = candidates[start : start + step]
        nearest = (chunks[block] @ chunks[held_out].T).max(axis=1)
        known.update(np.array(block)[nearest >= NEAR_DUPLICATE].tolist())
    kept = [question for question in split.train if known.isdisjoint(relevant[question])]
    return Split(np.array(kept, dtype=np.int64), split.held_out)
