"""A ranker over many signals, tried for better search: `python -m benchmarks.ranking DIR`

DIR holds a data set in BEIR layout. Prints recall@1, recall@10 and nDCG@10 on its test questions
for plain cosine, for the signals with fixed weights, and for weights that are trained on its
training questions, with the time of one search; one JSON object last. The app does not use this
ranker: docs/retrieval.md says what it brings, and what it still lacks.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.beir import DataSet, read_beir
from benchmarks.ranking_signals import RankingIndex
from benchmarks.reranker import Reranker, train_reranker
from services.deep_memory.evaluation import evaluate_ids
from services.deep_memory.local_trainer import fit_folds
from services.retrieval.embeddings import WordLlamaEmbedder

# In the order of `ranking_signals.NAMES`: means of what was learned on chunking-evaluation,
# pubmedqa and the sample, so that on these three sets they are no clean baseline.
FIXED_WEIGHTS = np.array(
    [
        1.06,
        1.06,
        0.58,
        0.96,
        1.83,
        2.5,
        0.02,
        0.13,
        0.11,
        -0.14,
        0.46,
        1.2,
        1.77,
        0.34,
        1.7,
        0.83,
        0,
        1.88,
        0.78,
        0.28,
        -0.29,
        0.89,
        1.21,
        0.51,
        5.0,
        0.03,
    ],
    np.float32,
)
_DEPTH = 10
_PULL = 0.5  # to the fixed weights, for questions of people

Rank = Callable[[str, np.ndarray], np.ndarray]  # a question and its vector -> rows, best first


def measure(data: DataSet, seed: int) -> dict[str, dict[str, float]]:
    """The figures of each way to rank the passages for the test questions."""
    embedder = WordLlamaEmbedder()
    embeddings = embedder.embed(data.passages)
    index = RankingIndex(embeddings, data.passages, data.documents, embedder.embed)
    plain = np.eye(embeddings.shape[1], dtype=np.float32)
    queries = embedder.embed(data.train.texts)
    began = time.perf_counter()
    fit = fit_folds(queries, index.context, data.train.relevant, seed=seed)
    trained = train_reranker(
        queries, data.train.texts, data.train.relevant, fit, index,
        seed=seed, pull=_PULL, towards=FIXED_WEIGHTS,
    )  # fmt: skip
    train_s = time.perf_counter() - began

    def by_cosine(_: str, query: np.ndarray) -> np.ndarray:
        return np.argsort(-(embeddings @ query), kind="stable")[:_DEPTH]

    def by(ranker: Reranker) -> Rank:
        return lambda text, query: ranker.search(text, query, _DEPTH, index)[0]

    vectors = embedder.embed(data.test.texts)
    return {
        "cosine": _figures(data, vectors, by_cosine),
        "fixed weights": _figures(data, vectors, by(Reranker(plain, FIXED_WEIGHTS))),
        "trained": {**_figures(data, vectors, by(trained)), "train_s": round(train_s, 1)},
    }


def _figures(data: DataSet, vectors: np.ndarray, rank: Rank) -> dict[str, float]:
    ranked, times = [], []
    for text, query in zip(data.test.texts, vectors, strict=True):
        began = time.perf_counter()
        ranked.append(rank(text, query).tolist())
        times.append(time.perf_counter() - began)
    found = evaluate_ids(ranked, data.test.relevant).as_metrics()
    kept = {name: round(found[name], 4) for name in ("recall@1", "recall@10", "ndcg@10")}
    return {**kept, "search_ms_p50": round(median(times) * 1000, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    data = read_beir(chosen.folder)
    figures = measure(data, chosen.seed)
    print("| | recall@1 | recall@10 | nDCG@10 | ms |\n|---|---:|---:|---:|---:|")
    for name, of in figures.items():
        values = [of[key] for key in ("recall@1", "recall@10", "ndcg@10", "search_ms_p50")]
        print(f"| {name} | {' | '.join(map(str, values))} |")
    print(json.dumps({"dataset": data.name, "seed": chosen.seed, **figures}))


if __name__ == "__main__":
    main()
