"""Measure search and the local store.

    python -m benchmarks.search [DIR ...] [--chunks 10000 100000 1000000]

The chunks are variations of the passages of the data sets DIR (BEIR layout), searched with their
test questions; without DIR, of the sample knowledge base. A search includes embedding the question
and ranking: by plain cosine, without training, and with a trained model. Above the size up to which
search by cosine is exact, `lost` is the share of the exact first ten that it misses. Each size runs
in a separate process, so that its peak memory is its own; 1,000,000 chunks take some 20 minutes and
10 GB. The last line of the output is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.beir import read_beir
from benchmarks.chunks import sample_chunks
from benchmarks.varied import CHUNKS_PER_DOCUMENT, varied_chunks
from services.deep_memory.ranker_training import train_model
from services.deep_memory.trained_model import DeepMemoryModel
from services.knowledge.sample import sample_questions
from services.models import Chunk, Document
from services.ranking.index import RankingIndex
from services.ranking.ranker import Ranker
from services.retrieval.content import EmbeddedDocument
from services.retrieval.embeddings import Embedder, WordLlamaEmbedder
from services.retrieval.local_store import LocalVectorStore, import_deeplake
from services.retrieval.nearest import VectorIndex, best_rows

WIDTH = 256
QUESTIONS, HITS = 200, 10
TRAINED_ON = 2_000  # chunks, each with one question of some of its words
STORE_CHUNKS, STORE_CHUNKS_PER_DOCUMENT = 10_000, 500
STORE_TEXT = "The harbour master keeps the berth plan and answers for it. " * 10

Ranking = tuple[np.ndarray, np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="*", metavar="DIR")
    parser.add_argument("--chunks", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(search_figures(arguments.folders, arguments.one)))
        return
    result: dict[str, Any] = {"load": os.getloadavg()[0], "width": WIDTH, "search": []}
    for count in arguments.chunks:
        command = [sys.executable, "-m", "benchmarks.search", *map(str, arguments.folders)]
        answer = subprocess.run(
            [*command, "--one", str(count)], check=True, stdout=subprocess.PIPE, text=True
        )
        result["search"].append(json.loads(answer.stdout.splitlines()[-1]))
        print(result["search"][-1], flush=True)
    print(json.dumps(result | {"store": store_times(STORE_CHUNKS)}))


def search_figures(folders: Sequence[Path], count: int) -> dict[str, Any]:
    """Index `count` varied chunks, then search them by each method."""
    passages, questions = _passages_and_questions(folders)
    embedder = WordLlamaEmbedder()
    texts = list(varied_chunks(passages, count))
    embeddings = np.concatenate(
        [embedder.embed(texts[first : first + 5_000]) for first in range(0, count, 5_000)]
    )
    model = _trained(texts, embeddings, embedder)
    documents = [row // CHUNKS_PER_DOCUMENT for row in range(count)]
    data_mb = resident_mb()
    plain = VectorIndex(embeddings)
    codes_s = seconds_of(plain.wait)
    began = time.perf_counter()
    index = RankingIndex(plain, texts, documents, embedder.embed)
    words_s = time.perf_counter() - began
    index.context.wait()
    index_mb = resident_mb() - data_mb
    untrained = Ranker.untrained(index)
    methods: dict[str, Callable[[np.ndarray, str], Ranking]] = {
        "cosine": lambda vector, _: plain.top(vector, HITS),
        "untrained": lambda vector, text: untrained.search(vector, text, HITS, index),
        "trained": lambda vector, text: model.search(vector, text, HITS, index),
    }
    return {
        "chunks": count,
        **{name: _measured(method, questions, embedder) for name, method in methods.items()},
        "lost": _lost(plain, questions, embedder),
        "codes_s": round(codes_s, 2),
        "index_s": round(words_s, 2),
        "index_mb": index_mb,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def _measured(
    search: Callable[[np.ndarray, str], Ranking], questions: Sequence[str], embedder: Embedder
) -> dict[str, float]:
    search(embedder.embed(questions[:1])[0], questions[0])
    times = []
    for text in questions:
        began = time.perf_counter()
        search(embedder.embed([text])[0], text)
        times.append(1000 * (time.perf_counter() - began))
    p50, p95 = np.percentile(times, [50, 95])
    return {"p50_ms": round(float(p50), 2), "p95_ms": round(float(p95), 2)}


def _lost(plain: VectorIndex, questions: Sequence[str], embedder: Embedder) -> float:
    """The share of the exact first hits by cosine that `plain` misses."""
    missed = 0
    for vector in embedder.embed(questions):
        exact = best_rows(plain.vectors @ vector, HITS)
        missed += len(set(exact) - set(plain.top(vector, HITS)[0]))
    return round(missed / (HITS * len(questions)), 5)


def _trained(texts: list[str], embeddings: np.ndarray, embedder: Embedder) -> DeepMemoryModel:
    few = texts[:TRAINED_ON]
    asked = [" ".join(text.split()[8:20]) for text in few]
    index = RankingIndex(VectorIndex(embeddings[: len(few)]), few, range(len(few)), embedder.embed)
    relevant = [{row} for row in range(len(few))]
    return train_model(embedder.embed(asked), asked, index, relevant, embed=embedder.embed)


def _passages_and_questions(folders: Sequence[Path]) -> tuple[list[str], list[str]]:
    if not folders:
        questions = [question.question for question in sample_questions()]
        return [chunk.text for chunk in sample_chunks()], questions[:QUESTIONS]
    sets = [read_beir(folder) for folder in folders]
    questions = [text for data in sets for text in data.test.texts[: QUESTIONS // len(sets)]]
    return [passage for data in sets for passage in data.passages], questions


def resident_mb() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() // 2**20


def store_times(chunk_count: int) -> dict[str, float]:
    """Time the operations of a store of `chunk_count` chunks, with deeplake already imported."""
    import_s = seconds_of(import_deeplake)
    documents = random_documents(chunk_count)
    with tempfile.TemporaryDirectory() as folder:

        def opened() -> LocalVectorStore:
            return LocalVectorStore(Path(folder), "random", WIDTH)

        store, reader = opened(), opened()
        times = {
            "import_deeplake_s": import_s,
            "add_all_but_one_s": seconds_of(lambda: store.add(documents[:-1])),
            "add_one_document_s": seconds_of(lambda: store.add(documents[-1:])),
            "open_and_load_s": seconds_of(reader.snapshot),
            "remove_one_document_s": seconds_of(lambda: store.remove("document-0")),
            "refresh_after_change_s": seconds_of(reader.snapshot),
            "unchanged_snapshot_ms": 1000 * seconds_of(reader.snapshot),
        }
    return {"chunks": chunk_count, **{name: round(value, 3) for name, value in times.items()}}


def random_documents(chunk_count: int) -> list[EmbeddedDocument]:
    generator = np.random.default_rng(0)
    return [
        random_document(generator, number)
        for number in range(chunk_count // STORE_CHUNKS_PER_DOCUMENT)
    ]


def random_document(generator: np.random.Generator, number: int) -> EmbeddedDocument:
    id_, name = f"document-{number}", f"document {number}.txt"
    chunks = [
        Chunk(f"{id_}-{position}", id_, name, position, STORE_TEXT)
        for position in range(STORE_CHUNKS_PER_DOCUMENT)
    ]
    document = Document(
        id_,
        name,
        STORE_CHUNKS_PER_DOCUMENT,
        len(STORE_TEXT) * STORE_CHUNKS_PER_DOCUMENT,
        id_,
        datetime.now(UTC),
    )
    return EmbeddedDocument(document, chunks, unit_vectors(generator, STORE_CHUNKS_PER_DOCUMENT))


def unit_vectors(generator: np.random.Generator, count: int) -> np.ndarray:
    vectors = generator.normal(size=(count, WIDTH)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def seconds_of(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
