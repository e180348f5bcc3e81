"""Recall without and with training, on the test questions of any data set in BEIR layout.

    python -m benchmarks.recall DIR [--trainer local] [--seed N | --seeds N ...]
                                [--method cosine|bm25|minmax|untrained|dense|hybrid ...]
                                [--pairs train|offline]

Trains on qrels/train (or on pairs that the offline writer makes from the passages) and measures on
qrels/test, with the parts that the app itself uses:

- cosine, bm25: the embeddings, and the words, each alone;
- minmax: cosine in context, whitened, and BM25, each from 0 to 1 and half and half, a usual hybrid;
- untrained: what the app uses without Deep Memory, the ranker with fixed weights;
- dense: the trained query map alone;
- hybrid: the trained model, the map and the weights of the ranker.

The last line of the output is one JSON object: "trained" is the mean over the seeds of the first
trained method; "methods" has each method's figures, and its gain over plain cosine, over minmax and
over untrained: the mean over the seeds, and the 95% interval of the first seed's, by a bootstrap
over documents.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np

from benchmarks.beir import DataSet, Questions, read_beir
from services.deep_memory.evaluation import Evaluation, evaluate_ids
from services.deep_memory.ranker_training import train_model
from services.deep_memory.split import answering_groups
from services.deep_memory.trained_model import DeepMemoryModel
from services.deep_memory.verdicts import compare
from services.generation.offline_writer import OfflineQuestionWriter
from services.models import Chunk
from services.ranking.index import RankingIndex
from services.ranking.untrained import Untrained
from services.retrieval.embeddings import WordLlamaEmbedder
from services.retrieval.nearest import VectorIndex, best_rows

UNTRAINED_METHODS = ("cosine", "bm25", "minmax", "untrained")
TRAINED_METHODS = ("hybrid", "dense")
METHODS = UNTRAINED_METHODS + TRAINED_METHODS
BASELINES = ("cosine", "minmax", "untrained")
DEPTH = 10
_TIMED_SEARCHES = 200
_QUESTIONS_PER_PASSAGE = 3

Search = Callable[[np.ndarray, str], np.ndarray]  # a question's vector and text -> the best rows


@dataclass(frozen=True)
class Bench:
    """A data set with its vectors, and every way to search its passages."""

    data: DataSet
    training: Questions

    embedder = WordLlamaEmbedder()

    @cached_property
    def chunks(self) -> np.ndarray:
        return self.embedder.embed(self.data.passages)

    @cached_property
    def index(self) -> RankingIndex:
        return RankingIndex(
            VectorIndex(self.chunks), self.data.passages, self.data.documents, self.embedder.embed
        )

    @cached_property
    def training_vectors(self) -> np.ndarray:
        return self.embedder.embed(self.training.texts)

    @cached_property
    def test_vectors(self) -> np.ndarray:
        return self.embedder.embed(self.data.test.texts)

    @cached_property
    def groups(self) -> np.ndarray:
        """The document of each test question, whose questions are not independent."""
        return answering_groups(self.data.test.relevant, self.data.documents)

    def searcher(self, method: str, seed: int) -> Search:
        """Train, if the method does, and return its search."""
        index = self.index
        untrained = {
            "cosine": Untrained.COSINE,
            "bm25": Untrained.WORDS,
            "untrained": Untrained.RANKER,
        }
        if method == "minmax":
            return self._by_minmax
        if method in untrained:
            search = untrained[method].search
            return lambda vector, text: search(vector, text, DEPTH, index)[0]
        model = self.train(self.training_vectors, self.training, seed)
        if method == "dense":
            mapped = model.query_map.apply
            return lambda vector, _: index.context.top(mapped(vector[None])[0], DEPTH)[0]
        return lambda vector, text: model.search(vector, text, DEPTH, index)[0]

    def train(self, vectors: np.ndarray, questions: Questions, seed: int) -> DeepMemoryModel:
        """As the app trains, on `questions`; `vectors` (n, width) embed them."""
        return train_model(
            vectors,
            questions.texts,
            self.index,
            questions.relevant,
            embed=self.embedder.embed,
            seed=seed,
            embedder=self.embedder.name,
        )

    def _by_minmax(self, vector: np.ndarray, text: str) -> np.ndarray:
        cosines = self.index.context.vectors @ (vector @ self.index.whitening)
        words = self.index.bm25(text)
        return best_rows(_from_0_to_1(cosines) + _from_0_to_1(words), DEPTH)

    def evaluate(self, search: Search) -> Evaluation:
        return self.evaluate_on(search, self.test_vectors, self.data.test)

    def evaluate_on(self, search: Search, vectors: np.ndarray, asked: Questions) -> Evaluation:
        """Evaluate other questions than the test's; `vectors` (n, width) embed them."""
        pairs = zip(vectors, asked.texts, strict=True)
        return evaluate_ids([search(*pair).tolist() for pair in pairs], asked.relevant)

    def search_ms(self, search: Search) -> float:
        """The median time of one search."""
        times = []
        pairs = zip(self.test_vectors, self.data.test.texts, strict=True)
        for vector, text in list(pairs)[:_TIMED_SEARCHES]:
            began = time.perf_counter()
            search(vector, text)
            times.append(time.perf_counter() - began)
        return median(times) * 1000


def measure(bench: Bench, methods: Sequence[str], seeds: Sequence[int]) -> dict[str, Any]:
    """Everything that the command prints."""
    _ = bench.chunks, bench.index, bench.training_vectors  # not part of the training time
    baselines = {name: bench.evaluate(bench.searcher(name, 0)) for name in BASELINES}
    measured = {
        method: _measure_method(
            bench, method, (0,) if method in UNTRAINED_METHODS else seeds, baselines
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
        "baseline": _rounded(baselines["cosine"].as_metrics()),
        "untrained": _rounded(baselines["untrained"].as_metrics()),
        "trained": shown.get("metrics", {}),
        "train_seconds": shown.get("train_seconds", 0.0),
        "search_ms_p50": shown.get("search_ms_p50", 0.0),
        "methods": measured,
    }


def _measure_method(
    bench: Bench, method: str, seeds: Sequence[int], baselines: Mapping[str, Evaluation]
) -> dict[str, Any]:
    evaluations, seconds = [], []
    for seed in seeds:
        began = time.perf_counter()
        search = bench.searcher(method, seed)
        seconds.append(time.perf_counter() - began)
        evaluations.append(bench.evaluate(search))
    metrics = [evaluation.as_metrics() for evaluation in evaluations]
    mean = {name: fmean(m[name] for m in metrics) for name in metrics[0]}
    return {
        "metrics": _rounded(mean),
        "over": {
            name: _gain(baseline, evaluations[0], mean, bench.groups)
            for name, baseline in baselines.items()
            if name != method
        },
        "train_seconds": round(fmean(seconds), 2),
        "search_ms_p50": round(bench.search_ms(search), 3),
    }


def _gain(
    baseline: Evaluation, first: Evaluation, mean: Mapping[str, float], groups: np.ndarray
) -> dict[str, Any]:
    gain, was = compare(baseline, first, groups), baseline.as_metrics()
    return {
        "gain": _rounded({name: value - was[name] for name, value in mean.items()}),
        "95%": {name: [round(x, 4) for x in pair] for name, pair in gain.intervals.items()},
        "verdict": gain.verdicts["recall@10"].value,
        "wins": len(gain.wins),
        "losses": len(gain.losses),
    }


def _from_0_to_1(scores: np.ndarray) -> np.ndarray:
    low, high = scores.min(), scores.max()
    return (scores - low) / max(float(high - low), 1e-9)


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
