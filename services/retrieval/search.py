"""Search over a snapshot in memory, or in DeepLake Cloud, without and with Deep Memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from services.errors import NotAllowed, StoreUnavailable
from services.models import SearchHit
from services.retrieval.cloud_store import SEARCH_S
from services.retrieval.content import Snapshot
from services.retrieval.deadline import Deadline
from services.retrieval.embeddings import Embedder

# One query's vector (width,), its text and k -> the `k` best rows of the snapshot and their scores,
# best first.
Ranking = Callable[[np.ndarray, str, int], tuple[np.ndarray, np.ndarray]]


class Found(NamedTuple):
    """What a trained model finds for one query, best first."""

    rows: np.ndarray
    scores: np.ndarray
    is_answerable: bool | None = None  # False: probably no chunk answers; None: it does not say


TrainedRanking = Callable[[np.ndarray, str, int], Found]  # of the same arguments as a `Ranking`

KEPT_ORDER = "The hits stand in search's own order."  # follows what a reranker's problem says


class SearchingStore(Protocol):
    """A store that ranks chunks itself."""

    def search(
        self,
        query_vector: np.ndarray,
        k: int,
        *,
        deep_memory: bool = False,
        deadline: Deadline | None = None,
    ) -> list[SearchHit]:
        """Return the `k` best chunks, best first, or fail at the deadline."""


@dataclass(frozen=True, slots=True)
class Reranking:
    """What a reranker did with one of two lists, or why it did nothing."""

    model: str
    seconds: float
    is_of_trained: bool  # the list with Deep Memory; else the one without
    problem: str = ""  # if not empty, the list is in search's own order


@dataclass(frozen=True, slots=True)
class Comparison:
    """One query, two lists. `moved` says for each hit of the list with Deep Memory, by chunk id,
    how many ranks it went up (negative: down), or None if the other list does not have it."""

    without: list[SearchHit]
    with_: list[SearchHit]
    moved: dict[str, int | None]
    run_id: str | None = None  # the run whose model ranked the list with Deep Memory
    is_indexing: bool = False  # until an index is made, there is only plain cosine
    problem: str = ""  # why the model that was asked for did not rank
    reranking: Reranking | None = None  # None: no list was to be reranked
    is_answerable: bool | None = None  # False: the model finds that probably nothing answers


def compare(
    query: str,
    embedder: Embedder,
    snapshot: Snapshot,
    untrained: Ranking,
    trained: TrainedRanking | None,
    k: int = 10,
) -> Comparison:
    """Search once without Deep Memory and once with it.

    Without a trained model the list with Deep Memory is empty: there is nothing to show yet.

    Raises:
        NotAllowed: the query is empty, or the embedder knows none of its words.
        EmbedderUnavailable: the query cannot be embedded just now.
    """
    vector = _embedded(query, embedder)
    without = _hits(*untrained(vector, query.strip(), k), snapshot)
    if trained is None:
        return Comparison(without, [], {})
    found = trained(vector, query.strip(), k)
    with_ = _hits(found.rows, found.scores, snapshot)
    moved = rank_changes(without, with_)
    return Comparison(without, with_, moved, is_answerable=found.is_answerable)


def _hits(rows: np.ndarray, scores: np.ndarray, snapshot: Snapshot) -> list[SearchHit]:
    chunks = [snapshot.chunks[row] for row in rows]
    return [
        SearchHit.of(chunk, float(score), rank)
        for rank, (chunk, score) in enumerate(zip(chunks, scores, strict=True), start=1)
    ]


def compare_in_cloud(
    query: str,
    embedder: Embedder,
    store: SearchingStore,
    *,
    is_trained: bool,
    k: int = 10,
    within_s: float = SEARCH_S,
) -> Comparison:
    """Like `compare`, but ranked by the service that holds the store, with the model it trained.

    Both lists together take at most `within_s`. If ranking works without that model but not with
    it, `problem` says so.

    Raises:
        StoreUnavailable: the service does not answer.
    """
    vector = _embedded(query, embedder)
    deadline = Deadline(within_s)
    without = store.search(vector, k, deadline=deadline)
    try:
        with_ = store.search(vector, k, deep_memory=True, deadline=deadline) if is_trained else []
    except StoreUnavailable as error:
        return Comparison(without, [], {}, problem=f"With the trained model: {error}")
    return Comparison(without, with_, rank_changes(without, with_))


def _embedded(query: str, embedder: Embedder) -> np.ndarray:
    """The query's vector, (width,)."""
    if not query.strip():
        raise NotAllowed("The search is empty.", next_step="Type a question or a few words.")
    vectors = embedder.embed([query.strip()])
    if not vectors.any():
        raise NotAllowed(
            "The embedding model knows no word of this search.",
            next_step="Try other words.",
        )
    return vectors[0]


def rank_changes(before: Sequence[SearchHit], after: Sequence[SearchHit]) -> dict[str, int | None]:
    """Return for each hit of `after` how many ranks it went up, or None if `before` lacks it."""
    rank_before = {hit.chunk_id: hit.rank for hit in before}
    return {
        hit.chunk_id: rank_before[hit.chunk_id] - hit.rank if hit.chunk_id in rank_before else None
        for hit in after
    }
