"""The ranker's signals say what their names say, and search without training is put together so."""

from __future__ import annotations

import bm25s
import numpy as np
import pytest

from services.ranking.context import Neighbours
from services.ranking.index import RankingIndex
from services.ranking.occurrences import Occurrences
from services.ranking.ranker import FIXED_WEIGHTS, Ranker
from services.ranking.signals import NAMES, candidates
from services.ranking.untrained import Untrained
from services.ranking.words import words_of
from services.retrieval.embeddings import WordLlamaEmbedder, normalised
from services.retrieval.nearest import VectorIndex

TEXTS = [
    "The gateway needs 12 volts. It restarts every night.",
    "Probes are calibrated each year by the laboratory.",
    "A lost card is blocked at once by the front desk.",
    "Holidays that are left over lapse on 30 June.",
]
DOCUMENTS = ["device", "device", "staff", "staff"]
embed = WordLlamaEmbedder().embed


@pytest.fixture(scope="module")
def index() -> RankingIndex:
    return indexed(TEXTS, DOCUMENTS)


def indexed(texts: list[str], documents: list[str]) -> RankingIndex:
    return RankingIndex(VectorIndex(embed(texts)), texts, documents, embed)


def signals_of(index: RankingIndex, text: str) -> dict[str, np.ndarray]:
    found = candidates(text, embed([text])[0], np.eye(256, dtype=np.float32), index)
    assert found.rows.tolist() == [0, 1, 2, 3]
    return dict(zip(NAMES, found.signals.T, strict=True))


def test_words_score_as_the_library_that_splits_them_would() -> None:
    """bm25s itself, on more words than chunks have in common by chance."""
    texts = [f"{text} {other}" for text in TEXTS for other in (*TEXTS, "", "Again, it restarts.")]
    asked = "When do leftover holidays lapse, and what restarts, restarts again at the front desk?"
    reference = bm25s.BM25(k1=0.9, b=0.4)
    reference.index([words_of(text) for text in texts], show_progress=False)
    ours = indexed(texts, ["one"] * len(texts)).bm25(asked)
    assert ours == pytest.approx(reference.get_scores(words_of(asked)), rel=1e-4)
    assert ours.max() > 0


def test_words_are_found_in_another_form_and_unknown_words_score_nothing() -> None:
    index = indexed(
        ["Days are transferred to the next year.", "The fee is due in May."], ["a", "b"]
    )
    assert index.bm25("Can I transfer a day?")[0] > index.bm25("Can I transfer a day?")[1] == 0
    assert not index.bm25("zebra").any() and not index.bm25("").any()


def test_words_that_a_chunk_has_are_covered(index: RankingIndex) -> None:
    found = signals_of(index, "Is a lost card blocked?")
    assert found["covered"].tolist() == pytest.approx([0, 0, 1, 0])
    assert found["best sentence, covered"].tolist() == pytest.approx([0, 0, 1, 0])
    assert found["words found"].tolist() == pytest.approx([0, 0, 1, 0])


def test_neighbours_lend_their_words_within_a_document_only(index: RankingIndex) -> None:
    found = signals_of(index, "Is a lost card blocked?")
    assert found["covered with neighbours"].tolist() == pytest.approx([0, 0, 1, 1])
    assert found["bm25 around"][1] == 0 < found["bm25 around"][3] < found["bm25 around"][2]
    assert found["bm25 of document"][0] == 0 < found["bm25 of document"][3]


def test_numbers_are_compared_as_they_stand(index: RankingIndex) -> None:
    assert signals_of(index, "Why 12 volts?")["numbers found"].tolist() == [1, 0, 0, 0]


def test_the_nearest_word_of_a_chunk_counts_where_the_word_itself_is_missing() -> None:
    texts = ["The vehicle is parked.", "The car is red.", "The vehicle needs a car.", "Hot soup."]
    texts += [f"{word} soup, {word} bread" for word in ("hot", "red", "parked", "needs")]
    index = indexed(texts, list("abcdefgh"))
    query = embed(["automobile"])[0]
    found = candidates("automobile", query, index.whitening, index)
    near = found.signals[:, NAMES.index("near words for those missing")]
    assert found.rows.tolist() == list(range(8))
    assert max(near[3:]) < min(near[:3])
    assert not found.signals[:, NAMES.index("covered")].any()
    car = candidates("car", query, index.whitening, index).signals[:, NAMES.index("near words")]
    assert car[1] == car[2] == pytest.approx(1)
    assert car[3] < car[0] < 1


def test_pairs_of_words_count_where_they_stand_side_by_side(index: RankingIndex) -> None:
    beside = signals_of(index, "front desk")["pairs of words"]
    assert beside[2] > 0 and beside[[0, 1, 3]].tolist() == [0, 0, 0]
    assert not signals_of(index, "desk front")["pairs of words"].any()


def test_the_best_of_a_document_and_the_chunks_beside_are_looked_at(index: RankingIndex) -> None:
    found = signals_of(index, "Who blocks a card?")
    context = found["cosine in context, whitened"]
    best = found["best cosine in document"]
    assert best.tolist() == [context[:2].max()] * 2 + [context[2:].max()] * 2
    whitened = normalised(embed(["Who blocks a card?"]) @ index.whitening)[0]
    alone = index.plain.vectors @ whitened
    beside = [alone[:2].max()] * 2 + [alone[2:].max()] * 2
    assert found["best cosine beside"].tolist() == pytest.approx(beside)


def test_a_question_without_any_known_word_is_answered(index: RankingIndex) -> None:
    for text in ("", "?", "the of and", "zzxq"):
        found = candidates(text, embed([text])[0], np.eye(256, dtype=np.float32), index)
        assert np.isfinite(found.signals).all() and len(found.rows) == 4


def test_one_chunk_and_chunks_without_words_can_be_searched() -> None:
    for texts in (["A lost card."], ["...", "", "A lost card."]):
        index = indexed(texts, ["a"] * len(texts))
        asked = "Who lost a card?"
        rows, scores = Ranker.untrained(index).search(embed([asked])[0], asked, 5, index)
        assert rows[0] == len(texts) - 1 and np.isfinite(scores).all()


def test_nothing_is_found_among_nothing() -> None:
    index = RankingIndex(VectorIndex(np.zeros((0, 256), np.float32)), [], [], embed)
    for way in Untrained:
        rows, scores = way.search(embed(["card"])[0], "card", 5, index)
        assert (len(rows), len(scores)) == (0, 0)


def test_candidates_are_the_best_of_vectors_of_words_and_of_both_and_as_many_as_asked() -> None:
    rng = np.random.default_rng(0)
    words = [f"word{number}" for number in range(60)]
    texts = [" ".join(rng.choice(words, 12)) for _ in range(900)]
    vectors = rng.standard_normal((900, 256)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    index = RankingIndex(VectorIndex(vectors), texts, list(np.arange(900) // 3), embed)
    asked, query = "word3 word14 word15", vectors[7]
    rows = set(candidates(asked, query, index.whitening, index).rows.tolist())
    cosines = index.context.vectors @ normalised(query[None] @ index.whitening)[0]
    bm25 = index.bm25(asked)
    mixed = cosines + 0.05 * (bm25 + index.neighbours.mean(bm25))
    best = [
        np.argsort(-scores, kind="stable")[:n]
        for scores, n in ((cosines, 30), (bm25, 30), (mixed, 60))
    ]
    assert set(np.concatenate(best).tolist()) == rows
    assert len(candidates(asked, query, index.whitening, index, k=200).rows) >= 200


def test_equal_scores_keep_the_order_of_the_rows(index: RankingIndex) -> None:
    ranker = Ranker(index.whitening, np.zeros(len(NAMES), np.float32))
    rows, _ = ranker.search(embed(["card"])[0], "Is a lost card blocked?", 3, index)
    assert rows.tolist() == [0, 1, 2]


def test_each_way_to_search_without_training_ranks_by_what_it_says(index: RankingIndex) -> None:
    asked = "Does a gateway restart at night, and the front desk?"
    query = embed([asked])[0]
    cosines, bm25 = index.plain.vectors @ query, index.bm25(asked)
    for way, expected in (
        (Untrained.COSINE, cosines),
        (Untrained.WORDS, bm25),
        (Untrained.COSINE_AND_WORDS, cosines + np.float32(0.05) * bm25),
    ):
        rows, scores = way.search(query, asked, 4, index)
        assert scores == pytest.approx(expected[rows], abs=1e-6)
        order = np.argsort(-expected, kind="stable")
        assert rows.tolist() == [row for row in order if way != Untrained.WORDS or bm25[row]]
    found = candidates(asked, query, index.whitening, index)
    rows, scores = Untrained.RANKER.search(query, asked, 4, index)
    assert scores == pytest.approx(np.sort(found.signals @ FIXED_WEIGHTS)[::-1], rel=1e-5)
    assert rows[0] == 0


def test_the_chunks_beside_a_chunk_are_those_of_its_document() -> None:
    neighbours = Neighbours(["a", "a", "a", "b", "c", "c"])
    before, after = neighbours.beside(np.arange(6))
    assert before.tolist() == [0, 0, 1, 3, 4, 4]
    assert after.tolist() == [1, 2, 2, 3, 5, 5]


def test_what_is_around_a_chunk_counts_by_its_nearness() -> None:
    values = np.array([1, 0, 0, 0], np.float32)
    summed = Neighbours(["a", "a", "a", "b"]).summed(values)
    assert summed.tolist() == pytest.approx([1, np.exp(-0.5), np.exp(-1), 0], rel=1e-5)
    assert Neighbours(["a", "a", "a", "b"]).mean(np.ones(4, np.float32)).tolist() == [1] * 4


def test_the_words_of_a_single_text_are_all_found() -> None:
    alone = Occurrences(np.array([0, 1, 2, 2]), np.zeros(4, np.int64), 3, 1)
    assert alone.frequency.tolist() == [1, 1, 1]
    gains = alone.gains([0, 1, 2], np.array([0]))[:, 0]
    assert gains[0] == gains[1] > 0
    assert gains[2] > gains[1]  # it stands there twice
    assert alone.bm25([0, 1, 2])[0] == pytest.approx(gains.sum())


def test_vectors_of_any_length_become_unit_vectors_and_zeros_stay() -> None:
    made = normalised(np.array([[0.3, 0.4], [3, 4], [0, 0]]))
    assert made == pytest.approx(np.array([[0.6, 0.8], [0.6, 0.8], [0, 0]]))
