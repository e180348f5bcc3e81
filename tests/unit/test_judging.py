"""Judging: the measures of judged chunks, the order of the chunks to judge, and agreement."""

from __future__ import annotations

import random
from dataclasses import replace
from math import log2

import numpy as np
import pytest

from benchmarks.chunks import sample_chunks
from benchmarks.judging import found_by, planted
from services.deep_memory.judged_measures import (
    SEARCHED_FOR_JUDGED,
    bpref,
    condensed_ndcg,
    judged_measures,
    judged_share,
)
from services.deep_memory.test_sets import (
    Expected,
    OwnQuestion,
    answering_chunks,
    evaluate_places,
    find_answers,
    with_judgements,
)
from services.knowledge.sample import sample_questions
from services.models import Chunk
from services.questions.agreement import agreement
from services.questions.pool import RankedQuestion, count_judged, unjudged
from services.ranking.index import RankingIndex
from services.ranking.untrained import Untrained
from services.retrieval.content import Snapshot
from services.retrieval.embeddings import WordLlamaEmbedder
from services.retrieval.nearest import VectorIndex
from tests.trained_models import ranking_by

# Measures --------------------------------------------------------------------------------------

UNJUDGED = 90


@pytest.mark.parametrize(
    ("ranked", "relevant", "refused", "expected"),
    [
        ([1], {1}, set(), 1.0),
        ([UNJUDGED, 1], {1}, set(), 1.0),  # what nobody judged is no miss
        ([UNJUDGED, 1], {1}, {8}, 1.0),  # nor is a refused chunk that was not found
        ([8, 1], {1}, {8}, 0.0),
        ([1, 8], {1}, {8}, 1.0),
        ([7, 8], {1}, {7, 8}, 0.0),  # never found
        # R = 2, N = 3, so each counts against min(R, N) = 2: 1, then 1 - 1/2.
        ([1, 7, UNJUDGED, 2, 8], {1, 2}, {7, 8, 9}, (1 + 0.5) / 2),
        # Of three refused above, only as many count as are relevant: 1 - 2/2.
        ([7, 8, 9, 1], {1, 2}, {7, 8, 9}, 0.0),
        # N = 1 < R = 3: one refused above is all there are.
        ([1, 7, 2, 3], {1, 2, 3}, {7}, 1 / 3),
    ],
)
def test_bpref_counts_refused_chunks_above_answers(ranked, relevant, refused, expected):
    assert bpref(ranked, relevant, refused) == pytest.approx(expected)


def test_the_condensed_list_is_without_what_nobody_judged():
    ranked = [UNJUDGED, 7, UNJUDGED + 1, 1]
    assert condensed_ndcg(ranked, {1}, {7}) == pytest.approx(1 / log2(3))
    assert condensed_ndcg([UNJUDGED, 1], {1}, set()) == 1


def test_the_judged_share_is_that_of_the_first_ten():
    assert judged_share([1, 7, *range(20, 28), 2], {1, 2}, {7}) == 0.2
    assert judged_share([1, UNJUDGED], {1}, set()) == 0.5
    assert judged_share([], {1}, set()) == 0


def test_each_measure_has_a_value_for_each_question():
    measures = judged_measures([[8, 1], [2]], [{1}, {2}], [{8}, set()])
    assert {name: values.tolist() for name, values in measures.items()} == {
        "bpref": [0.0, 1.0],
        "condensed_ndcg@10": [pytest.approx(1 / log2(3)), 1.0],
        "judged@10": [1.0, 1.0],
    }


def test_searching_deeper_for_bpref_leaves_the_first_ten_as_they_are():
    chunks, embedder = sample_chunks(), WordLlamaEmbedder()
    texts = [chunk.text for chunk in chunks]
    documents = [chunk.document_id for chunk in chunks]
    index = RankingIndex(VectorIndex(embedder.embed(texts)), texts, documents, embedder.embed)
    asked = [question.question for question in sample_questions()][:20]
    for search in (Untrained.RANKER.search, Untrained.COSINE.search, ranking_by().search):
        for text, vector in zip(asked, embedder.embed(asked), strict=True):
            deep, _ = search(vector, text, SEARCHED_FOR_JUDGED, index)
            first, _ = search(vector, text, 10, index)
            assert deep[:10].tolist() == first.tolist()
            assert len(deep) == SEARCHED_FOR_JUDGED


# What was judged, in a test set ----------------------------------------------------------------


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    chunks = tuple(Chunk(f"c{row}", "d", "d.md", row, f"Text {row}.") for row in range(4))
    return Snapshot(chunks, np.zeros((4, 1)), "v1")


WHO = OwnQuestion("Who?", (Expected("c1"),))


def test_a_judged_answer_counts_as_one_that_the_set_names(snapshot):
    judged = with_judgements([WHO], {"who?": {"c2": True, "c3": False, "gone": False}})
    found = find_answers(judged, snapshot)
    assert (found.relevant, found.refused) == ([{1, 2}], [{3}])
    assert answering_chunks(judged, snapshot) == [{"c1", "c2"}]


def test_a_question_that_has_only_judged_answers_is_measured(snapshot):
    asked = OwnQuestion(" WHO? ", (Expected("gone"),))
    found = find_answers(with_judgements([asked], {"who?": {"c0": True}}), snapshot)
    assert (found.relevant, found.not_found) == ([{0}], 0)


def test_what_the_set_names_stays_an_answer(snapshot):
    found = find_answers(with_judgements([WHO], {"who?": {"c1": False}}), snapshot)
    assert (found.relevant, found.refused) == ([{1}], [set()])


def test_a_set_measured_by_document_takes_answers_but_no_refusals(snapshot):
    asked = OwnQuestion("Who?", (Expected("d.md"),))
    found = find_answers(with_judgements([asked], {"who?": {"c1": False}}), snapshot)
    assert (found.by_document, found.relevant, found.refused) == (True, [{0}], [set()])


def test_bpref_is_measured_where_something_was_refused(snapshot):
    ranked = [[3, 0, 1]]
    plain = find_answers([WHO], snapshot)
    assert "bpref" not in evaluate_places(ranked, plain, snapshot).as_metrics()
    assert plain.depth == 10
    judged = find_answers(with_judgements([WHO], {"who?": {"c3": False}}), snapshot)
    metrics = evaluate_places(ranked, judged, snapshot).as_metrics()
    assert metrics["bpref"] == 0
    assert metrics["judged@10"] == pytest.approx(2 / 3)
    assert metrics["recall@3"] == evaluate_places(ranked, plain, snapshot).as_metrics()["recall@3"]
    assert judged.depth > 10


def test_a_part_of_the_questions_keeps_what_belongs_to_each(snapshot):
    other = OwnQuestion("Why?", (Expected("c0"),))
    judged = with_judgements([WHO, other], {"why?": {"c3": False}})
    assert find_answers(judged, snapshot).only([1]) == find_answers(judged[1:], snapshot)


# The order -------------------------------------------------------------------------------------

PLACES = {f"c{row}": ("d", 2 * row) for row in range(9)} | {"next": ("d", 3)}  # beside c1


def asked(text: str, without: str, with_: str, *answers: str) -> RankedQuestion:
    return RankedQuestion(text, tuple(without.split()), tuple(with_.split()), frozenset(answers))


def order(*questions: RankedQuestion, judged=None, latest="") -> list[tuple[str, str]]:
    found = unjudged(questions, judged or {}, PLACES, latest)
    return [(one.question, one.chunk_id) for one in found]


def test_all_chunks_of_both_lists_are_judged_but_those_that_are():
    question = asked("a", "c1 c2", "c3 c1 c4", "c1")
    assert {id_ for _, id_ in order(question)} == {"c2", "c3", "c4"}
    assert {id_ for _, id_ in order(question, judged={"a": {"c3": False, "c4": True}})} == {"c2"}


def test_a_chunk_that_is_high_in_both_lists_comes_first():
    found = order(asked("a", "c1 c2 c5 c3", "c4 c2 c6 c3"))
    assert [id_ for _, id_ in found] == ["c2", "c1", "c4", "c3", "c5", "c6"]
    [one, *_] = unjudged([asked("a", "c1 c2", "c3 c2")], {}, PLACES)
    assert (one.chunk_id, one.rank_without, one.rank_with) == ("c2", 2, 2)
    assert {one.rank_with for one in unjudged([asked("a", "c1", "")], {}, PLACES)} == {None}


def test_a_neighbour_of_an_answer_comes_before_a_first_rank():
    question = asked("a", "c5 c6 next", "c5 c6 next", "c1")
    assert order(question)[0] == ("a", "next")
    unlabelled = replace(question, answers=frozenset())
    assert order(unlabelled)[0] == ("a", "c5")
    assert order(unlabelled, judged={"a": {"c1": True}})[0] == ("a", "next")


def test_a_question_that_counts_as_lost_comes_first():
    found = asked("found", "c1 c2", "c1 c2", "c1")
    lost = asked("lost", "c5 c2", "c5 c2", "c7")
    assert order(found, replace(lost, without=("c5", "c2"), with_=("c5", "c2")))[0][0] == "lost"
    assert order(found, asked("zz", "c5 c2", "c5 c2", "c5"))[0][0] == "found"  # equally good


def test_chunks_of_one_question_stand_together_and_the_one_just_read_goes_on():
    questions = asked("a", "c1 c2", "c1 c2"), asked("b", "c1 c2", "c1 c2")
    assert [text for text, _ in order(*questions)] == ["a", "a", "b", "b"]
    judged = {"b": {"c1": False}}
    assert [text for text, _ in order(*questions, judged=judged, latest="b")] == ["b", "a", "a"]
    assert [text for text, _ in order(*questions, latest="gone")] == ["a", "a", "b", "b"]


def test_judged_chunks_of_these_questions_are_counted():
    judged = {"a": {"c1": True, "c2": False}, "other": {"c1": True}}
    assert count_judged([asked("A", "c1", "c2")], judged) == (2, 1)


# Agreement -------------------------------------------------------------------------------------


def pairs(both_yes: int, only_one: int, only_other: int, both_no: int) -> list[tuple[bool, bool]]:
    return (
        [(True, True)] * both_yes
        + [(True, False)] * only_one
        + [(False, True)] * only_other
        + [(False, False)] * both_no
    )


def test_kappa_is_agreement_beyond_chance():
    # p = 35/50; chance: 25/50 * 30/50 + 25/50 * 20/50 = 0.5 (the textbook's example).
    found = agreement(pairs(20, 5, 10, 15))
    assert (found.judged_by_both, found.agreed) == (50, 35)
    assert found.kappa == pytest.approx((0.7 - 0.5) / 0.5)
    assert agreement(pairs(3, 0, 0, 5)).kappa == 1
    assert agreement(pairs(0, 5, 5, 0)).kappa == -1
    assert agreement(pairs(1, 1, 1, 1)).kappa == 0


@pytest.mark.parametrize("both", [[], pairs(4, 0, 0, 0), pairs(0, 0, 0, 4)])
def test_kappa_is_not_defined_without_judgements_of_both_kinds(both):
    assert agreement(both).kappa is None


def test_fewer_than_twenty_chunks_are_not_enough():
    assert not agreement(pairs(10, 0, 0, 9)).is_enough
    assert agreement(pairs(10, 0, 0, 10)).is_enough


# The benchmark ---------------------------------------------------------------------------------


def test_the_benchmark_hides_answers_and_counts_those_that_judging_finds():
    questions = [asked(text, "c1 c3 c5", "c1 c5 c3", "c1", "c5") for text in ("a", "b", "c")]
    shown, hidden = planted(questions, 2, random.Random(0))
    assert [len(one.answers) for one in shown] == [1, 1, 2]
    assert hidden.keys() == {"a", "b"}
    assert all(hidden[one.key] not in one.answers for one in shown[:2])
    # Two questions miss two chunks each, the third one: five judgements find all there is.
    assert found_by(shown, hidden, PLACES, 5, lambda order: order[0]) == 1
    assert found_by(shown, hidden, PLACES, 1, lambda order: order[-1]) == 0
