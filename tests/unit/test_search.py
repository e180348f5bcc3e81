"""Ranking in memory."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.errors import NotAllowed, StoreUnavailable
from services.models import Chunk, SearchHit
from services.retrieval.content import Snapshot
from services.retrieval.embeddings import WordLlamaEmbedder
from services.retrieval.nearest import VectorIndex, best_rows
from services.retrieval.search import Comparison, Found, TrainedRanking, compare_in_cloud
from services.retrieval.search import compare as compare_in

TEXTS = (
    "Ships pay harbour dues when they berth.",
    "The pilot boards a vessel two miles from port.",
    "Invoices are paid within thirty days.",
    "The canteen serves soup on Fridays.",
)


def favouring(row: int, is_answerable: bool | None = None) -> TrainedRanking:
    """A trained ranking that has one chunk first, whatever the query."""
    others = [other for other in range(len(TEXTS)) if other != row]
    scores = np.linspace(1, 0, len(TEXTS), dtype=np.float32)
    rows = np.array([row, *others])
    return lambda vector, text, k: Found(rows[:k], scores[:k], is_answerable)


def compare(
    query: str,
    embedder: WordLlamaEmbedder,
    snapshot: Snapshot,
    trained: TrainedRanking | None,
    k: int = 9,
) -> Comparison:
    plain = VectorIndex(snapshot.embeddings)
    return compare_in(
        query, embedder, snapshot, lambda vector, _, k: plain.top(vector, k), trained, k
    )


@pytest.fixture(scope="module")
def embedder():
    return WordLlamaEmbedder()


@pytest.fixture(scope="module")
def snapshot(embedder):
    chunks = tuple(Chunk(f"c{n}", "d", "port.txt", n, text) for n, text in enumerate(TEXTS))
    return Snapshot(chunks, embedder.embed(TEXTS), "v1")


@given(
    scores=st.lists(st.integers(-3, 3), min_size=0, max_size=40),
    k=st.integers(1, 50),
)
def test_the_best_rows_are_those_of_a_full_sort_and_ties_keep_their_order(scores, k):
    expected = sorted(range(len(scores)), key=lambda row: -scores[row])[:k]
    assert best_rows(np.array(scores, dtype=np.float32), k).tolist() == expected


def test_a_hit_tells_its_chunk_its_score_and_its_rank(embedder, snapshot):
    hits = compare(TEXTS[1], embedder, snapshot, None, k=2).without

    assert [hit.rank for hit in hits] == [1, 2]
    assert hits[0].chunk_id == "c1"
    assert hits[0].score == pytest.approx(1.0, abs=1e-5)
    assert (hits[0].document, hits[0].text) == ("port.txt", TEXTS[1])
    assert hits[0].score > hits[1].score


def test_an_empty_store_has_no_hits(embedder):
    nothing = Snapshot((), np.zeros((0, 256), dtype=np.float32), "empty")

    assert compare("harbour", embedder, nothing, None).without == []


def test_the_comparison_tells_how_far_each_hit_moved(embedder, snapshot):
    result = compare("dues for ships at berth", embedder, snapshot, favouring(3), k=4)

    assert result.without[0].chunk_id == "c0"
    assert result.with_[0].chunk_id == "c3"
    before = {hit.chunk_id: hit.rank for hit in result.without}
    after = {hit.chunk_id: hit.rank for hit in result.with_}
    assert result.moved == {chunk_id: before[chunk_id] - after[chunk_id] for chunk_id in after}


@pytest.mark.parametrize("is_answerable", [True, False, None])
def test_what_the_model_says_of_an_answer_stands_beside_its_hits(embedder, snapshot, is_answerable):
    result = compare("dues for ships", embedder, snapshot, favouring(3, is_answerable))
    assert result.is_answerable is is_answerable
    assert len(result.with_) == len(TEXTS)


def test_a_hit_that_the_plain_list_lacks_is_new(embedder, snapshot):
    assert compare("dues for ships", embedder, snapshot, favouring(3), k=1).moved == {"c3": None}


def test_without_a_model_there_is_no_list_with_deep_memory(embedder, snapshot):
    result = compare("harbour", embedder, snapshot, None, k=3)

    assert (len(result.without), result.with_, result.moved) == (3, [], {})


@pytest.mark.parametrize("query", ["", "  \n"])
def test_an_empty_search_is_refused_in_words(embedder, snapshot, query):
    with pytest.raises(NotAllowed, match="empty"):
        compare(query, embedder, snapshot, None)


def test_a_cloud_that_ranks_without_its_model_but_not_with_it_gives_the_plain_list_and_says_so(
    embedder,
):
    hit = SearchHit("c1", "dues.txt", TEXTS[0], 0.5, 1)

    class HalfACloud:
        def search(self, query_vector, k, *, deep_memory=False, deadline=None):
            if deep_memory:
                raise StoreUnavailable("DeepLake Cloud refused the request.")
            return [hit]

    found = compare_in_cloud("harbour dues", embedder, HalfACloud(), is_trained=True)

    assert (found.without, found.with_) == ([hit], [])
    assert found.problem == "With the trained model: DeepLake Cloud refused the request."
