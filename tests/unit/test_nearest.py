"""Search by vectors, and by codes where there are many."""

from __future__ import annotations

import numpy as np
import pytest

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


def test_codes_find_what_a_scan_finds(vectors, queries, coded):
    for query in queries:
        rows, scores = coded.top(query, 10)

        expected, exact = VectorIndex(vectors).top(query, 10)
        assert rows.tolist() == expected.tolist()
        assert scores == pytest.approx(exact, abs=1e-6)


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


class Codes:
    """Codes that choose the first rows, and remember how many they were asked for."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def search(self, queries: np.ndarray, wanted: int) -> tuple[None, np.ndarray]:
        self.asked.append(wanted)
        return None, np.arange(wanted)[None]


def test_more_hits_ask_for_more_candidates_until_a_scan_is_better():
    index = VectorIndex(np.ones((40_000, 2), np.float32))
    index._codes = codes = Codes()
    query = np.ones(2, np.float32)
    hits = (10, 100, 101, 500, 501)
    assert [len(index.top(query, k)[0]) for k in hits] == list(hits)
    assert codes.asked == [400, 400, 404, 2_000]  # 2,004 would be over a twentieth of the rows


def test_a_tie_at_the_edge_goes_to_the_first_rows():
    assert best_rows(np.array([1.0, 2.0, 1.0, 2.0, 1.0]), 3).tolist() == [1, 3, 0]
    assert best_rows(np.array([1.0, 2.0]), 2).tolist() == [1, 0]
    assert best_rows(np.array([1.0, 2.0]), 9).tolist() == [1, 0]


def test_who_waits_for_the_codes_has_them(vectors):
    index = VectorIndex(vectors, exact_up_to=0)
    index.wait()
    assert index._codes is not None
    VectorIndex(vectors).wait()  # there are none to wait for


@pytest.mark.parametrize(
    ("rows", "width", "is_exact"),
    [(10, 32, True), (11, 32, False), (11, 31, True), (11, 27, True), (11, 30, False)],
)
def test_codes_are_for_more_rows_than_a_scan_is_fast_for_and_for_even_widths(
    vectors, monkeypatch, rows, width, is_exact
):
    monkeypatch.setattr(VectorIndex, "_encode", lambda self: None)
    assert VectorIndex(vectors[:rows, :width], exact_up_to=10).is_exact is is_exact
