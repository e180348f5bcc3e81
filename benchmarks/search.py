"""Measure search and the local store: `python -m benchmarks.search` prints one JSON object last.

Times are in milliseconds unless a name ends in `_s`. The vectors are random: exact search takes as
long for them as for real ones.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from services.models import Chunk, Document
from services.retrieval.content import EmbeddedDocument, Snapshot
from services.retrieval.search import rank
from services.retrieval.vector_store import LocalVectorStore, import_deeplake

WIDTH = 256
QUERIES = 200
CHUNKS_PER_DOCUMENT = 500
STORE_CHUNKS = 10_000
TEXT = "The harbour master keeps the berth plan and answers for it. " * 10


def main() -> None:
    result = {
        "width": WIDTH,
        "search": [search_times(10_000), search_times(100_000)],
        "store": store_times(STORE_CHUNKS),
    }
    print(json.dumps(result))


def search_times(chunk_count: int, k: int = 10) -> dict[str, float]:
    documents = random_documents(chunk_count)
    chunks = tuple(chunk for document in documents for chunk in document.chunks)
    embeddings = np.concatenate([document.embeddings for document in documents])
    snapshot = Snapshot(chunks, embeddings, "random")
    queries = unit_vectors(np.random.default_rng(1), QUERIES)

    def search(query: np.ndarray) -> object:
        return rank(snapshot.embeddings @ query, snapshot, k)

    search(queries[0])
    times = [1000 * seconds_of(lambda query=query: search(query)) for query in queries]
    p50, p95 = np.percentile(times, [50, 95])
    return {"chunks": chunk_count, "p50_ms": round(p50, 3), "p95_ms": round(p95, 3)}


def store_times(chunk_count: int) -> dict[str, float]:
    """Time what a store of `chunk_count` chunks takes, with deeplake imported already."""
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
        random_document(generator, number) for number in range(chunk_count // CHUNKS_PER_DOCUMENT)
    ]


def random_document(generator: np.random.Generator, number: int) -> EmbeddedDocument:
    id_, name = f"document-{number}", f"document {number}.txt"
    chunks = [
        Chunk(f"{id_}-{position}", id_, name, position, TEXT)
        for position in range(CHUNKS_PER_DOCUMENT)
    ]
    document = Document(
        id_, name, CHUNKS_PER_DOCUMENT, len(TEXT) * CHUNKS_PER_DOCUMENT, id_, datetime.now(UTC)
    )
    return EmbeddedDocument(document, chunks, unit_vectors(generator, CHUNKS_PER_DOCUMENT))


def unit_vectors(generator: np.random.Generator, count: int) -> np.ndarray:
    vectors = generator.normal(size=(count, WIDTH)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def seconds_of(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
