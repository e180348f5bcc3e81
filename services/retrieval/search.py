"""Exact search over a snapshot in memory, without and with Deep Memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from services.errors import NotAllowed
from services.models import SearchHit
from services.retrieval.content import Snapshot
from services.retrieval.embeddings import Embedder

# What training yields, on one query: its vector (1, width) and its text -> scores (1, chunks).
Scoring = Callable[[np.ndarray, Sequence[str]], np.ndarray]


class SearchingStore(Protocol):
    """A store that ranks by itself."""

    def search(
        self, query_vector: np.ndarray, k: int, *, deep_memory: bool = False
    ) -> list[SearchHit]:
        """Return the `k` best chunks, best first."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One query, two lists. `moved` has each hit of the list with Deep Memory by its chunk id:
    how many ranks it went up (negative: down), or None when the plain list does not have it."""

    without: list[SearchHit]
    with_: list[SearchHit]
    moved: dict[str, int | None]
    run_id: str | None = None  # the run whose model ranked the list with Deep Memory


def best_rows(scores: np.ndarray, k: int) -> np.ndarray:
    """Return the indices of the `k` highest of `scores` (chunks,), best first.

    Equal scores keep the order of the rows, so that the same search gives the same list.
    """
    if k < len(scores):
        # Everything that scores at least as the k-th, or ties at the edge would go by chance.
        threshold = np.partition(scores, -k)[-k]
        candidates = np.flatnonzero(scores >= threshold)
    else:
        candidates = np.arange(len(scores))
    return candidates[np.argsort(-scores[candidates], kind="stable")][:k]


def rank(scores: np.ndarray, snapshot: Snapshot, k: int) -> list[SearchHit]:
    """Return the `k` chunks (fewer when there are fewer) that score highest, best first."""
    return [
        SearchHit(
            chunk_id=snapshot.chunks[row].id,
            document=snapshot.chunks[row].document,
            text=snapshot.chunks[row].text,
            score=float(scores[row]),
            rank=position,
        )
        for position, row in enumerate(best_rows(scores, k), start=1)
    ]


def compare(
    query: str, embedder: Embedder, snapshot: Snapshot, trained: Scoring | None, k: int = 10
) -> Comparison:
    """Search once without Deep Memory (by cosine) and once with it.

    Without a trained model the list with Deep Memory is empty: there is nothing to show yet.

    Raises:
        NotAllowed: the query is empty, or the embedder knows none of its words.
        EmbedderUnavailable: the query can not be embedded just now.
    """
    vectors = _embedded(query, embedder)
    without = rank(snapshot.embeddings @ vectors[0], snapshot, k)
    with_ = [] if trained is None else rank(trained(vectors, [query.strip()])[0], snapshot, k)
    return Comparison(without, with_, ranks_moved(without, with_))


def compare_in_cloud(
    query: str, embedder: Embedder, store: SearchingStore, *, is_trained: bool, k: int = 10
) -> Comparison:
    """As `compare`, where the service that holds the store ranks, with the model it trained.

    Raises:
        StoreUnavailable: the service does not answer.
    """
    vector = _embedded(query, embedder)[0]
    without = store.search(vector, k, deep_memory=False)
    with_ = store.search(vector, k, deep_memory=True) if is_trained else []
    return Comparison(without, with_, ranks_moved(without, with_))


def _embedded(query: str, embedder: Embedder) -> np.ndarray:
    """The query's vector, as (1, width)."""
    if not query.strip():
        raise NotAllowed("The search is empty.", next_step="Type a question or a few words.")
    vectors = embedder.embed([query.strip()])
    if not vectors.any():
        raise NotAllowed(
            "The embedding model knows no word of this search.",
            next_step="Try it in other words.",
        )
    return vectors


def ranks_moved(before: Sequence[SearchHit], after: Sequence[SearchHit]) -> dict[str, int | None]:
    """Return for each hit of `after` how many ranks it went up, None where `before` lacks it."""
    rank_before = {hit.chunk_id: hit.rank for hit in before}
    return {
        hit.chunk_id: rank_before[hit.chunk_id] - hit.rank if hit.chunk_id in rank_before else None
        for hit in after
    }
