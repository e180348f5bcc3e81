"""What reviewing the most doubtful pairs first brings, on a data set in BEIR layout.

    python -m benchmarks.review DIR [--seeds N ...] [--share 0.2]

Takes people's questions of qrels/train with their passages, and moves 15% of the pairs to a wrong
passage: half of them to one of the five nearest, half to any. Then a person reviews a share of
the pairs and drops the wrong ones among them: none, the first by the app's order, as many in random
order, or all. Each time the app's model is trained and measured on qrels/test.

The last line of the output is one JSON object: "found" is the share of planted pairs among those
reviewed, in all and of each kind; "ndcg@10" and "recall@10" are means over the seeds; "gain" is
what review adds to none, with the standard error over the seeds. Where the gain of all is
within two standard errors of nothing, its share says nothing ("share_of_gain" is null).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.beir import Questions, read_beir
from benchmarks.recall import Bench
from services.models import Chunk, TrainingPair
from services.pairs.checking import check_pairs
from services.retrieval.content import Snapshot

_PLANTED, _NEAREST = 0.15, 5
_FIGURES = ("ndcg@10", "recall@10")
_REVIEWS = ("none", "random", "doubt", "all")

Pair = tuple[int, int]  # the row of a question, and of a passage


def measure(bench: Bench, seeds: Sequence[int], share: float) -> dict[str, Any]:
    """Everything that the command prints."""
    figures: dict[str, list[list[float]]] = {review: [] for review in _REVIEWS}
    found: list[list[float]] = []
    for seed in seeds:
        pairs, is_wrong, is_near = _planted(bench, seed)
        orders = {
            "doubt": _by_doubt(bench, pairs),
            "random": np.random.default_rng(1000 + seed).permutation(len(pairs)),
        }
        first = round(share * len(pairs))
        seen = {name: order[:first] for name, order in orders.items()}
        seen |= {"none": orders["doubt"][:0], "all": orders["doubt"]}
        for review, rows in seen.items():
            dropped = set(rows[is_wrong[rows]].tolist())
            kept = [pair for row, pair in enumerate(pairs) if row not in dropped]
            figures[review].append(_figures(bench, kept, seed))
        found.append(
            [
                float(wrong[seen[name]].sum() / wrong.sum())
                for name in ("doubt", "random")
                for wrong in (is_wrong, is_near, is_wrong & ~is_near)
            ]
        )
        print(f"seed {seed}: found {found[-1][0]:.0%} by doubt", flush=True)
    means = np.mean(found, axis=0).round(3).tolist()
    return {
        "dataset": bench.data.name,
        "pairs": sum(map(len, bench.training.relevant)),
        "planted": _PLANTED,
        "reviewed": share,
        "seeds": list(seeds),
        "found": {
            "doubt": dict(zip(("all", "near", "any"), means[:3], strict=True)),
            "random": dict(zip(("all", "near", "any"), means[3:], strict=True)),
        },
        **{name: _compared(figures, column) for column, name in enumerate(_FIGURES)},
    }


def _planted(bench: Bench, seed: int) -> tuple[list[Pair], np.ndarray, np.ndarray]:
    """The pairs, of which 15% are wrong; which ones are, (n,), and which of these near, (n,)."""
    rng = np.random.default_rng(seed)
    relevant = bench.training.relevant
    pairs = [(row, passage) for row, answers in enumerate(relevant) for passage in sorted(answers)]
    is_wrong, is_near = np.zeros(len(pairs), bool), np.zeros(len(pairs), bool)
    for number, place in enumerate(rng.permutation(len(pairs))[: round(_PLANTED * len(pairs))]):
        question, passage = pairs[place]
        nearest = np.argsort(-(bench.chunks @ bench.chunks[passage]), kind="stable")
        wrong = [int(row) for row in nearest if row not in relevant[question]]
        is_wrong[place], is_near[place] = True, number % 2 == 0
        pairs[place] = question, int(rng.choice(wrong[:_NEAREST] if is_near[place] else wrong))
    return pairs, is_wrong, is_near


def _by_doubt(bench: Bench, pairs: Sequence[Pair]) -> np.ndarray:
    """The rows of `pairs` in the app's order, from its own check."""
    documents = bench.data.documents
    chunks = tuple(
        Chunk(str(row), documents[row], documents[row], row, text)
        for row, text in enumerate(bench.data.passages)
    )
    stored = [
        TrainingPair(str(number), "run", bench.training.texts[question], str(passage), "", 1.0)
        for number, (question, passage) in enumerate(pairs)
    ]
    snapshot = Snapshot(chunks, bench.chunks, "benchmark")
    check = check_pairs(stored, snapshot, bench.index, bench.embedder)
    return np.argsort([-check.doubt[pair.id] for pair in stored], kind="stable")


def _figures(bench: Bench, pairs: Sequence[Pair], seed: int) -> list[float]:
    """Train on `pairs` as the app does, and measure on the test questions."""
    relevant: dict[int, set[int]] = {}
    for question, passage in pairs:
        relevant.setdefault(question, set()).add(passage)
    texts = [bench.training.texts[row] for row in relevant]
    questions = Questions(texts, list(relevant.values()))
    model = bench.train(bench.training_vectors[list(relevant)], questions, seed)
    metrics = bench.evaluate(
        lambda vector, text: model.search(vector, text, 10, bench.index)[0]
    ).as_metrics()
    return [metrics[name] for name in _FIGURES]


def _compared(figures: dict[str, list[list[float]]], column: int) -> dict[str, Any]:
    values = {review: np.array(rows)[:, column] for review, rows in figures.items()}
    gains = {review: values[review] - values["none"] for review in _REVIEWS[1:]}
    errors = {
        review: float(gain.std(ddof=1) / len(gain) ** 0.5) if len(gain) > 1 else 0.0
        for review, gain in gains.items()
    }
    whole = float(gains["all"].mean())
    is_proven = whole > 2 * errors["all"]
    return {
        "mean": {review: round(float(each.mean()), 4) for review, each in values.items()},
        "gain": {
            review: [round(float(gain.mean()), 4), round(errors[review], 4)]
            for review, gain in gains.items()
        },
        "share_of_gain": {
            review: round(float(gains[review].mean()) / whole, 3) for review in ("random", "doubt")
        }
        if is_proven
        else None,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(8)))
    parser.add_argument("--share", type=float, default=0.2, help="of the pairs, reviewed first")
    arguments = parser.parse_args()
    data = read_beir(arguments.folder)
    print(json.dumps(measure(Bench(data, data.train), arguments.seeds, arguments.share)))


if __name__ == "__main__":
    main()
