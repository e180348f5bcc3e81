"""Training time, memory and search time of Deep Memory as the knowledge base grows.

    python -m benchmarks.scale [--sizes 1000 10000 100000]

The data is synthetic, with as many pairs as chunks: 256-dimensional vectors in documents of ten
chunks, and texts of rare and frequent words, of which a question repeats a few. Each size runs in a
separate process, so that its peak memory is its own. The last line of the output is one JSON
object.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from statistics import median

import numpy as np

from services.deep_memory.ranker_training import train_model
from services.ranking.index import RankingIndex
from services.retrieval.embeddings import WordLlamaEmbedder
from services.retrieval.nearest import VectorIndex

_WIDTH, _CHUNKS_PER_DOCUMENT, _WORDS, _VOCABULARY = 256, 10, 60, 50_000
_SEARCHES = 50


def measure(size: int, seed: int = 0) -> dict[str, float]:
    """Index, train on and search `size` chunks with as many pairs."""
    rng = np.random.default_rng(seed)
    documents = np.arange(size) // _CHUNKS_PER_DOCUMENT
    topics = rng.standard_normal((documents[-1] + 1, _WIDTH), np.float32)
    chunks = _normalised(topics[documents] + rng.standard_normal((size, _WIDTH), np.float32))
    queries = _normalised(chunks + 0.12 * rng.standard_normal((size, _WIDTH), np.float32))
    words = np.minimum(rng.zipf(1.3, (size, _WORDS)), _VOCABULARY)
    texts = [" ".join(f"word{word}" for word in row) for row in words]
    questions = [" ".join(f"word{word}" for word in row[:8]) for row in words]

    began = time.perf_counter()
    index = RankingIndex(VectorIndex(chunks), texts, documents.tolist(), WordLlamaEmbedder().embed)
    indexed = time.perf_counter()
    relevant = [{row} for row in range(size)]
    model = train_model(
        queries, questions, index, relevant, embed=lambda asked: queries[: len(asked)], seed=seed
    )
    trained = time.perf_counter()
    times = []
    for row in range(_SEARCHES):
        start = time.perf_counter()
        model.search(queries[row], questions[row], 10, index)
        times.append(time.perf_counter() - start)
    return {
        "chunks": size,
        "pairs": size,
        "index_seconds": round(indexed - began, 2),
        "train_seconds": round(trained - indexed, 2),
        "search_ms_p50": round(median(times) * 1000, 2),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def _normalised(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one)))
        return
    curve = []
    for size in arguments.sizes:
        command = [sys.executable, "-m", "benchmarks.scale", "--one", str(size)]
        answer = subprocess.run(command, check=True, capture_output=True, text=True)
        curve.append(json.loads(answer.stdout.splitlines()[-1]))
        print(curve[-1], flush=True)
    print(json.dumps({"curve": curve}))


if __name__ == "__main__":
    main()
