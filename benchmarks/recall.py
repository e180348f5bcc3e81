"""Recall before and after training, on the test questions of any data set in BEIR layout.

    python -m benchmarks.recall DIR [--trainer local] [--seed N]

Trains on qrels/train and measures on qrels/test, with the parts that the app itself uses.
The last line of the output is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.beir import read_beir
from services.deep_memory.evaluation import evaluate_embeddings
from services.deep_memory.local_trainer import QueryMap, train_query_map
from services.retrieval.embeddings import WordLlamaEmbedder
from services.retrieval.search import best_rows

_TIMED_SEARCHES = 200


def measure(folder: Path, seed: int) -> dict[str, object]:
    """Train and measure once; everything that the command prints."""
    data, embedder = read_beir(folder), WordLlamaEmbedder()
    chunks = embedder.embed(data.passages)
    train, test = embedder.embed(data.train.texts), embedder.embed(data.test.texts)
    began = time.perf_counter()
    model = train_query_map(train, chunks, data.train.relevant, seed=seed, embedder=embedder.name)
    train_seconds = time.perf_counter() - began
    baseline = evaluate_embeddings(test, chunks, data.test.relevant)
    trained = evaluate_embeddings(model.apply(test), chunks, data.test.relevant)
    return {
        "dataset": data.name,
        "embedder": embedder.name,
        "passages": len(chunks),
        "train_questions": len(train),
        "test_questions": len(test),
        "baseline": _rounded(baseline.as_metrics()),
        "trained": _rounded(trained.as_metrics()),
        "train_seconds": round(train_seconds, 2),
        "search_ms_p50": round(_search_ms(model, test, chunks), 3),
    }


def _search_ms(model: QueryMap, queries: np.ndarray, chunks: np.ndarray) -> float:
    """The median time of one search: map the query, score every chunk, take the best ten."""
    times = []
    for row in range(min(_TIMED_SEARCHES, len(queries))):
        began = time.perf_counter()
        best_rows(model.apply(queries[row : row + 1])[0], chunks, 10)
        times.append(time.perf_counter() - began)
    return median(times) * 1000


def _rounded(metrics: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in metrics.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--trainer", choices=["local"], default="local")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print(json.dumps(measure(arguments.folder, arguments.seed)))


if __name__ == "__main__":
    main()
