"""Recall before and after training, on the test questions of any data set in BEIR layout.

    python -m benchmarks.recall DIR [--trainer local] [--seed N | --seeds N ...]
                                [--method cosine|bm25|dense|hybrid ...] [--pairs train|offline]

Trains on qrels/train (or on pairs that the offline writer makes from the passages) and measures on
qrels/test, with the parts that the app itself uses. The last line of the output is one JSON object:
"trained" is the mean over the seeds of the first trained method; "methods" has each method's
figures and the 95% paired bootstrap intervals of the first seed's gain over plain cosine.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np

from benchmarks.beir import DataSet, Questions, read_beir
from services.deep_memory.evaluation import Evaluation, compare, evaluate_blocks
from services.deep_memory.hybrid import SearchIndex, train_hybrid
from services.deep_memory.lexical import LexicalIndex
from services.generation.offline_writer import OfflineQuestionWriter
from services.models import Chunk
from services.retrieval.embeddings import WordLlamaEmbedder
from services.retrieval.nearest import best_rows

UNTRAINED_METHODS = ("cosine", "bm25")
TRAINED_METHODS = ("dense", "hybrid")
METHODS = UNTRAINED_METHODS + TRAINED_METHODS
_TIMED_SEARCHES = 200
_QUESTIONS_PER_PASSAGE = 3

Score = Callable[[np.ndarray, Sequence[str]], np.ndarray]  # vectors and texts -> (n, passages)


@dataclass(frozen=True)
class Bench:
    """A data set with its vectors, and every way to score its passages."""

    data: DataSet
    training: Questions

    embedder = WordLlamaEmbedder()

    @cached_property
    def chunks(self) -> np.ndarray:
        return self.embedder.embed(self.data.passages)

    @cached_property
    def index(self) -> SearchIndex:
        return SearchIndex.of(self.chunks, self.data.passages, self.data.documents)

    @cached_property
    def training_vectors(self) -> np.ndarray:
        return self.embedder.embed(self.training.texts)

    @cached_property
    def test_vectors(self) -> np.ndarray:
        return self.embedder.embed(self.data.test.texts)

    def scorer(self, method: str, seed: int) -> Score:
        """Train, if the method does, and return its scoring function."""
        if method == "cosine":
            return lambda vectors, _: vectors @ self.chunks.T
        if method == "bm25":
            lexical = LexicalIndex(self.data.passages)
            return lambda _, texts: lexical.scores(texts)
        index = self.index
        model = train_hybrid(
            self.training_vectors,
            self.training.texts,
            index,
            self.training.relevant,
            seed=seed,
            embedder=self.embedder.name,
        )
        # As in the app: Deep Memory alone is the trained model without exact words.
        model = model.without_words() if method == "dense" else model
        return lambda vectors, texts: model.scores(vectors, texts, index)

    def evaluate(self, score: Score) -> Evaluation:
        vectors, test = self.test_vectors, self.data.test
        return evaluate_blocks(
            lambda start, stop: score(vectors[start:stop], test.texts[start:stop]),
            len(self.chunks),
            test.relevant,
        )

    def search_ms(self, score: Score) -> float:
        """The median time of one search: score every passage and take the best ten."""
        times = []
        for row in range(min(_TIMED_SEARCHES, len(self.test_vectors))):
            began = time.perf_counter()
            scores = score(self.test_vectors[row : row + 1], self.data.test.texts[row : row + 1])
            best_rows(scores[0], 10)
            times.append(time.perf_counter() - began)
        return median(times) * 1000


def measure(bench: Bench, methods: Sequence[str], seeds: Sequence[int]) -> dict[str, Any]:
    """Everything that the command prints."""
    _ = bench.chunks, bench.index, bench.training_vectors  # not part of the training time
    baseline = bench.evaluate(bench.scorer("cosine", 0))
    measured = {
        method: _measure_method(
            bench, method, (0,) if method in UNTRAINED_METHODS else seeds, baseline
        )
        for method in methods
    }
    shown = next((measured[method] for method in methods if method in TRAINED_METHODS), {})
    return {
        "dataset": bench.data.name,
        "embedder": bench.embedder.name,
        "passages": len(bench.chunks),
        "documents": len(set(bench.data.documents)),
        "train_questions": len(bench.training.texts),
        "test_questions": len(bench.data.test.texts),
        "seeds": list(seeds),
        "baseline": _rounded(baseline.as_metrics()),
        "trained": shown.get("metrics", {}),
        "train_seconds": shown.get("train_seconds", 0.0),
        "search_ms_p50": shown.get("search_ms_p50", 0.0),
        "methods": measured,
    }


def _measure_method(
    bench: Bench, method: str, seeds: Sequence[int], baseline: Evaluation
) -> dict[str, Any]:
    evaluations, seconds = [], []
    for seed in seeds:
        began = time.perf_counter()
        score = bench.scorer(method, seed)
        seconds.append(time.perf_counter() - began)
        evaluations.append(bench.evaluate(score))
    metrics = [evaluation.as_metrics() for evaluation in evaluations]
    gain = compare(baseline, evaluations[0])
    return {
        "metrics": _rounded({name: fmean(m[name] for m in metrics) for name in metrics[0]}),
        "gain_95%": {name: [round(x, 4) for x in pair] for name, pair in gain.intervals.items()},
        "verdict": gain.verdict.value,
        "wins": len(gain.wins),
        "losses": len(gain.losses),
        "train_seconds": round(fmean(seconds), 2),
        "search_ms_p50": round(bench.search_ms(score), 3),
    }


def offline_questions(passages: Sequence[str]) -> Questions:
    """What the offline writer asks about each passage."""
    writer, texts, relevant = OfflineQuestionWriter(), [], []
    for row, text in enumerate(passages):
        chunk = Chunk(id=str(row), document_id="", document="", position=row, text=text)
        for question in writer.write(chunk, _QUESTIONS_PER_PASSAGE).questions:
            texts.append(question)
            relevant.append({row})
    return Questions(texts, relevant)


def _rounded(metrics: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in metrics.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--trainer", choices=["local"], default="local")
    parser.add_argument("--method", choices=METHODS, nargs="+", default=list(METHODS))
    parser.add_argument("--pairs", choices=["train", "offline"], default="train")
    seeds = parser.add_mutually_exclusive_group()
    seeds.add_argument("--seed", type=int, default=0)
    seeds.add_argument("--seeds", type=int, nargs="+")
    arguments = parser.parse_args()
    data = read_beir(arguments.folder)
    training = data.train if arguments.pairs == "train" else offline_questions(data.passages)
    report = measure(Bench(data, training), arguments.method, arguments.seeds or [arguments.seed])
    print(json.dumps({**report, "pairs": arguments.pairs}))


if __name__ == "__main__":
    main()
