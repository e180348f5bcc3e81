"""Search by vectors, and by codes where there are many."""

from __future__ import annotations

import gc
import threading
import weakref

import numpy as np
import pytest
from services.deep_memory.hybrid import DeepMemoryModel, SearchIndex
from services.deep_memory.lexical import LexicalIndex

from services.deep_memory import hybrid, model_store
from services.deep_memory.model_store import SearchIndexes
from services.deep_memory.query_map import QueryMap
from services.models import Chunk
from services.retrieval.content import Snapshot
from services.retrieval.nearest import EXACT_UP_TO, VectorIndex, best_rows

WIDTH, COUNT = 32, 8_000


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    """Around 400 topics, as the chunks of documents are."""
    rng = np.random.default_rng(0)
    topics = rng.standard_normal((400, WIDTH))
    return unit(np.repeat(topics, COUNT // 400, axis=0) + rng.standard_normal((COUNT, WIDTH)))


@pytest.fixture(scope="module")
def queries(vectors: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(1)
    return unit(vectors[::400] + 0.15 * rng.standard_normal((20, WIDTH)))


@pytest.fixture(scope="module")
def coded(vectors: np.ndarray) -> VectorIndex:
    index = VectorIndex(vectors, exact_up_to=0)
    index.wait()
    return index


@pytest.fixture
def words() -> np.ndarray:
    """Few rows have a bonus, as few texts have a question's words."""
    rng = np.random.default_rng(2)
    bonus = np.zeros(COUNT, np.float32)
    bonus[rng.choice(COUNT, 300, replace=False)] = rng.random(300) * 2
    return bonus


def test_codes_find_what_a_scan_finds(vectors, queries, coded):
    for query in queries:
        rows, scores = coded.top(query, 10)

        expected, exact = VectorIndex(vectors).top(query, 10)
        assert rows.tolist() == expected.tolist()
        assert scores == pytest.approx(exact, abs=1e-6)


def test_codes_find_what_only_the_words_lift_into_the_list(vectors, queries, coded, words):
    lifted = 0
    for query in queries:
        rows, scores = coded.top(query, 10, words)

        everything = vectors @ query + words
        assert rows.tolist() == best_rows(everything, 10).tolist()
        assert scores == pytest.approx(everything[rows], abs=1e-6)
        lifted += len(set(rows) - set(best_rows(vectors @ query, 400)))
    assert lifted > 0


def test_a_bonus_for_every_row_is_ranked_exactly(vectors, queries, coded):
    bonus = np.linspace(0, 3, COUNT, dtype=np.float32)

    rows, _ = coded.top(queries[0], 10, bonus)

    assert rows.tolist() == best_rows(vectors @ queries[0] + bonus, 10).tolist()


def test_equal_vectors_keep_the_order_of_the_rows(vectors, queries):
    twice = np.concatenate([vectors, vectors])
    coded = VectorIndex(twice, exact_up_to=0)
    coded.wait()

    rows, _ = coded.top(queries[0], 10)

    first = best_rows(vectors @ queries[0], 5)
    assert rows.tolist() == [row for low in first for row in (low, low + COUNT)]


@pytest.mark.parametrize("k", [COUNT, COUNT + 5])
def test_more_hits_than_there_are_rows_give_all_rows(queries, coded, k):
    rows, scores = coded.top(queries[0], k)

    assert sorted(rows.tolist()) == list(range(COUNT))
    assert (np.diff(scores) <= 0).all()


def test_nothing_is_found_among_nothing():
    rows, scores = VectorIndex(np.zeros((0, WIDTH), np.float32)).top(np.ones(WIDTH, np.float32), 5)

    assert (len(rows), len(scores)) == (0, 0)


def test_search_is_exact_where_that_is_fast_enough_or_codes_can_not_be_made(vectors):
    assert len(vectors) < EXACT_UP_TO
    assert VectorIndex(vectors).is_exact
    assert VectorIndex(vectors[:, :31], exact_up_to=0).is_exact


def test_a_scan_serves_until_the_codes_are_made(vectors, queries, monkeypatch):
    monkeypatch.setattr(VectorIndex, "_encode", lambda self: None)
    waiting = VectorIndex(vectors, exact_up_to=0)

    rows, _ = waiting.top(queries[0], 10)

    assert rows.tolist() == best_rows(vectors @ queries[0], 10).tolist()


@pytest.mark.parametrize("weight", [0.0, 0.05])
def test_a_model_finds_the_best_of_its_scores(vectors, weight):
    chunks = vectors[:200]
    texts = [f"Part {row} has the code c{row % 7}x." for row in range(199)] + [""]
    index = SearchIndex.of(chunks, texts, [row // 10 for row in range(200)])
    model = DeepMemoryModel(QueryMap(np.eye(WIDTH, dtype=np.float32)), weight)
    for text in ("What is c3x?", ""):
        rows, scores = model.search(chunks[7], text, 10, index)

        everything = model.scores(chunks[[7]], [text], index)[0]
        assert rows.tolist() == best_rows(everything, 10).tolist()
        assert scores.tolist() == everything[rows].tolist()


def snapshot(version: str, texts: tuple[str, ...] = ("berth", "soup")) -> Snapshot:
    chunks = tuple(Chunk(f"c{n}", "d", "d.txt", n, text) for n, text in enumerate(texts))
    return Snapshot(chunks, np.eye(len(texts), WIDTH, dtype=np.float32), version)


def test_an_index_is_made_once_for_a_version_and_again_when_the_store_changes():
    indexes = SearchIndexes()
    first = indexes.of("ann", snapshot("v1"))

    assert indexes.soon("ann", snapshot("v1")) is first
    assert indexes.plain("ann", snapshot("v1")) is indexes.plain("ann", snapshot("v1"))
    changed = indexes.of("ann", snapshot("v2", ("berth", "soup", "pilot")))
    assert len(changed.vectors) == 3
    assert indexes.plain("ann", snapshot("v2")) is not indexes.plain("ann", snapshot("v1"))


def test_what_a_store_held_before_a_change_is_let_go_with_its_texts():
    indexes = SearchIndexes()
    hers = indexes.of("ben", snapshot("v1"))
    before = snapshot("v1", ("soup", "a secret that was removed"))
    indexes.of("ann", before)
    freed = weakref.ref(before)
    del before

    indexes.plain("ann", snapshot("v2"))

    gc.collect()
    assert freed() is None
    assert indexes.of("ben", snapshot("v1")) is hers


def test_a_search_does_not_wait_for_a_long_indexing(monkeypatch):
    may_end = threading.Event()

    def slow(texts):
        may_end.wait()
        return LexicalIndex(texts)

    monkeypatch.setattr(model_store, "_INDEX_TIMEOUT_S", 0.0)
    monkeypatch.setattr(hybrid, "LexicalIndex", slow)
    indexes = SearchIndexes()

    assert indexes.soon("ann", snapshot("v1")) is None
    may_end.set()
    assert isinstance(indexes.of("ann", snapshot("v1")), SearchIndex)
    assert indexes.soon("ann", snapshot("v1")) is indexes.of("ann", snapshot("v1"))


def test_an_indexing_that_failed_is_tried_again(monkeypatch):
    def out_of_memory(texts):
        raise MemoryError

    indexes = SearchIndexes()
    with monkeypatch.context() as broken:
        broken.setattr(hybrid, "LexicalIndex", out_of_memory)
        with pytest.raises(MemoryError):
            indexes.of("ann", snapshot("v1"))

    assert isinstance(indexes.of("ann", snapshot("v1")), SearchIndex)


def test_the_largest_knowledge_base_alone_is_kept_however_large(monkeypatch):
    monkeypatch.setattr(model_store, "_CHUNKS_KEPT", 3)
    indexes = SearchIndexes()
    first = indexes.of("ann", snapshot("v1"))
    large = indexes.of("ben", snapshot("v2", ("a", "b", "c", "d", "e")))

    assert indexes.of("ben", snapshot("v2", ("a", "b", "c", "d", "e"))) is large
    assert indexes.of("ann", snapshot("v1")) is not first


class Codes:
    """Codes that choose these rows, whatever is asked."""

    def __init__(self, rows: np.ndarray) -> None:
        self.rows = rows

    def search(self, queries: np.ndarray, wanted: int) -> tuple[None, np.ndarray]:
        return None, self.rows[None, :wanted]


@pytest.fixture
def descending() -> tuple[np.ndarray, VectorIndex]:
    """A query, and vectors whose rows score less and less for it; the codes choose the first."""
    scores = np.linspace(0.9, 0.1, COUNT, dtype=np.float32)
    vectors = np.stack([scores, np.sqrt(1 - scores**2)], axis=1)
    index = VectorIndex(vectors)
    index._codes = Codes(np.arange(COUNT))
    return np.array([1, 0], np.float32), index


@pytest.mark.parametrize("lost_by_codes", [201, 399, 400, 5_000])
def test_words_lift_whatever_is_no_nearer_than_the_middle_candidate(descending, lost_by_codes):
    query, index = descending
    candidates = np.setdiff1d(np.arange(401), [lost_by_codes])[:400]
    index._codes = Codes(candidates)
    scores = index.vectors @ query
    bonus = np.zeros(COUNT, np.float32)
    bonus[lost_by_codes] = scores[9] - scores[lost_by_codes] + 1e-4  # just over the tenth best
    rows, found = index.top(query, 10, bonus)
    assert rows.tolist() == [*range(9), lost_by_codes]
    assert found == pytest.approx((scores + bonus)[rows], abs=1e-6)


def test_a_bonus_that_can_lift_no_row_does_not_cost_a_scan(descending):
    query, index = descending
    bonus = np.full(COUNT, 1e-4, np.float32)
    assert index._by_codes(query, 10, bonus) is not None


@pytest.mark.parametrize(("lifted", "is_scanned"), [(400, False), (401, True)])
def test_more_than_a_twentieth_of_the_rows_are_left_to_a_scan(descending, lifted, is_scanned):
    query, index = descending
    bonus = np.zeros(COUNT, np.float32)
    bonus[-lifted:] = 1
    assert (index._by_codes(query, 10, bonus) is None) is is_scanned


def test_more_hits_ask_for_more_candidates_until_a_scan_is_better():
    asked = []

    class Remembering(Codes):
        def search(self, queries, wanted):
            asked.append(wanted)
            return super().search(queries, wanted)

    index = VectorIndex(np.ones((40_000, 2), np.float32))
    index._codes = Remembering(np.arange(40_000))
    query = np.ones(2, np.float32)
    assert [len(index.top(query, k)[0]) for k in (10, 20, 30, 100, 101)] == [10, 20, 30, 100, 101]
    assert asked == [400, 400, 600, 2_000]  # 2,020 would be over a twentieth of the rows


def test_a_tie_at_the_edge_goes_to_the_first_rows():
    assert best_rows(np.array([1.0, 2.0, 1.0, 2.0, 1.0]), 3).tolist() == [1, 3, 0]
    assert best_rows(np.array([1.0, 2.0]), 2).tolist() == [1, 0]
    assert best_rows(np.array([1.0, 2.0]), 9).tolist() == [1, 0]


def test_who_waits_for_the_codes_has_them(vectors):
    index = VectorIndex(vectors, exact_up_to=0)
    index.wait()
    assert index._codes is not None
    VectorIndex(vectors).wait()  # there are none to wait for


def test_what_must_be_beaten_is_the_last_hit_with_its_own_bonus(descending):
    """The first ten have a bonus that no other can make up for."""
    query, index = descending
    bonus = np.full(COUNT, 0.5, np.float32)
    bonus[:10] = 1
    rows, _ = index._by_codes(query, 10, bonus)
    assert rows.tolist() == list(range(10))


@pytest.mark.parametrize(
    ("rows", "width", "is_exact"),
    [(10, 32, True), (11, 32, False), (11, 31, True), (11, 27, True), (11, 30, False)],
)
def test_codes_are_for_more_rows_than_a_scan_is_fast_for_and_for_even_widths(
    vectors, monkeypatch, rows, width, is_exact
):
    monkeypatch.setattr(VectorIndex, "_encode", lambda self: None)
    assert VectorIndex(vectors[:rows, :width], exact_up_to=10).is_exact is is_exact
