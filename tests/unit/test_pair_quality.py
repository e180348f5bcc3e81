"""Doubtful pairs are found, and sound ones are left alone."""

from __future__ import annotations

import numpy as np
import pytest

from services.pairs import quality
from services.pairs.quality import (
    Flag,
    asks_little,
    duplicates,
    flag_pairs,
    gives_itself_away,
    near_duplicates,
    not_answered,
)


def unit(*rows: list[float]) -> np.ndarray:
    vectors = np.array(rows, np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_a_question_asked_again_in_other_case_and_punctuation_is_a_duplicate() -> None:
    assert duplicates(["When is rent due?", "Who pays?", "when is  RENT due"], [0, 0, 0]) == {2}


def test_the_same_question_for_another_chunk_that_answers_it_is_no_duplicate() -> None:
    assert duplicates(["Who pays?", "who  pays?", "Who pays?"], [0, 1, 0]) == {2}


def test_alike_questions_count_as_near_duplicates_within_one_chunk_only() -> None:
    vectors = unit([1, 0], [1, 0.01], [1, 0.01], [0, 1])
    assert near_duplicates(vectors, [0, 0, 1, 0]) == {1}


@pytest.mark.parametrize(
    "question",
    [
        "What is the main idea of this passage?",
        "According to the text, who pays the rent?",
        "What does the author say about rent?",
        "Which fees are mentioned above?",
        "Based on this document, when is rent due?",
        "What does the given paragraph describe?",
        "What does the text say about fees?",
        "How does the article explain the delay?",
        "In the text, what is a bond?",
        "What is explained in the text?",
        "Which fees are covered by the document?",
        "What is the main topic of the document?",
        "What is the text mainly about?",
        "What information is provided here?",
        "Which steps are outlined below?",
    ],
)
def test_a_question_that_speaks_of_its_source_gives_itself_away(question: str) -> None:
    assert gives_itself_away(question)


@pytest.mark.parametrize(
    "question",
    [
        "How long must a signed document be kept?",
        "Who approves the text of a press release?",
        "Who may sign a document for the company?",
        "Which section of the building is closed?",
        "How do I get from this airport to the office?",
        "What does the contract say about fees?",
        "Which document proves delivery?",
        "What text must be on the label?",
        "What does the text of the treaty say about fishing?",
        "Which returns are described in the section on perishable goods?",
        "How long does the document stay valid?",
        "Who corrects mistakes in the text?",
        "What is the main duty of the harbour master?",
        "Which meals are provided here at night?",
        "Is the document signed by both sides?",
    ],
)
def test_a_question_about_documents_in_general_is_sound(question: str) -> None:
    assert not gives_itself_away(question)


def test_a_question_is_unanswered_when_its_chunk_is_beyond_the_depth() -> None:
    chunks = unit([1, 0], [0.9, 0.1], [0, 1])
    questions = unit([1, 0], [1, 0])
    assert not_answered(questions, chunks, [0, 2], depth=2) == {1}


def test_chunks_with_equal_scores_do_not_push_each_other_out() -> None:
    chunks = unit([1, 0], [1, 0], [1, 0])
    assert not_answered(unit([1, 0]), chunks, [2], depth=1) == set()


def test_each_pair_is_told_all_that_is_doubtful_about_it() -> None:
    questions = ["When is rent due?", "When is rent due?", "What does this passage say?"]
    chunks = unit(*([1, i / 100] for i in range(11)), [0, 1])
    vectors = unit([1, 0], [1, 0], [1, 0])
    flags = flag_pairs(questions, [0, 0, 11], vectors, chunks)
    assert flags == [
        frozenset(),
        frozenset({Flag.DUPLICATE}),
        frozenset({Flag.GIVES_ITSELF_AWAY, Flag.NOT_ANSWERED}),
    ]


def test_no_pairs_give_no_flags() -> None:
    assert flag_pairs([], [], np.zeros((0, 2), np.float32), unit([1, 0])) == []


@pytest.mark.parametrize(("threshold", "found"), [(0.6, {1}), (0.61, set())])
def test_questions_as_near_as_the_threshold_ask_the_same(threshold: float, found: set) -> None:
    vectors = np.array([[1, 0], [0.6, 0.8]])
    assert near_duplicates(vectors, [0, 0], threshold) == found


def test_the_nearest_of_several_earlier_questions_counts() -> None:
    vectors = unit([1, 0], [0, 1], [1, 0.001], [0.001, 1])
    assert near_duplicates(vectors, [0, 0, 0, 0]) == {2, 3}


@pytest.mark.parametrize(("depth", "lost"), [(1, {0}), (2, {0}), (3, set())])
def test_the_last_place_within_the_depth_is_found(depth: int, lost: set) -> None:
    chunks = unit([1, 0], [0.9, 0.1], [0.5, 0.5])
    assert not_answered(unit([1, 0]), chunks, [2], depth) == lost


def test_pairs_are_checked_in_blocks_that_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    questions, chunks = unit(*rng.normal(size=(30, 4))), unit(*rng.normal(size=(40, 4)))
    rows = rng.integers(0, 40, 30).tolist()
    at_once = not_answered(questions, chunks, rows)
    monkeypatch.setattr(quality, "_BLOCK_SCORES", 120)  # three questions at a time
    assert not_answered(questions, chunks, rows) == at_once
    assert 5 < len(at_once) < 30


@pytest.mark.parametrize(("most", "at_once"), [(40, 1), (10, 1), (120, 3)])
def test_no_more_similarities_are_held_at_once_than_fit(
    monkeypatch: pytest.MonkeyPatch, most: int, at_once: int
) -> None:
    held = []
    count = np.count_nonzero

    def counting(better: np.ndarray, axis: int) -> np.ndarray:
        held.append(len(better))
        return count(better, axis=axis)

    monkeypatch.setattr(quality, "_BLOCK_SCORES", most)
    monkeypatch.setattr(quality.np, "count_nonzero", counting)
    not_answered(np.ones((7, 2)), np.ones((40, 2)), [0] * 7)
    assert (max(held), sum(held)) == (at_once, 7)


def test_no_question_of_no_chunk_is_lost() -> None:
    assert not_answered(np.zeros((0, 2)), np.zeros((0, 2)), []) == set()


def test_a_repeated_question_is_told_as_a_duplicate_and_not_as_near_to_itself() -> None:
    vectors, chunks = unit([1, 0], [1, 0], [1, 0.001]), unit([1, 0])
    flags = flag_pairs(["Who pays?", "Who pays?", "Who will pay?"], [0, 0, 0], vectors, chunks)
    assert flags == [frozenset(), {Flag.DUPLICATE}, {Flag.NEAR_DUPLICATE}]


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("What is known about night shifts?", True),
        ("What is said about night shifts?", True),
        ("How are emergency exits related to fire doors?", True),
        ("When it comes to moorings, what should I know about harbour masters?", True),
        ("What is a night shift?", False),
        ("How are the fire doors opened?", False),
        ("When is the fee due?", False),
    ],
)
def test_a_question_that_only_names_a_topic_asks_little(question: str, expected: bool) -> None:
    assert asks_little(question) is expected
    flags = flag_pairs([question], [0], unit([1, 0]), unit([1, 0]))
    assert flags == [frozenset({Flag.ASKS_LITTLE} if expected else ())]
