"""The sample knowledge base is large enough, and its questions are fair and answerable."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise

import pytest

from services.knowledge.sample import (
    SampleQuestion,
    relevant_chunks,
    sample_documents,
    sample_questions,
)
from services.models import Chunk

TEXTS = {name: content.decode("utf-8") for name, content in sample_documents()}
QUESTIONS = sample_questions()
ANSWER = "a request not decided by then is approved automatically"
QUESTION = SampleQuestion("q1", "No reply to my request?", "leave.md", ANSWER)


def words_of(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def runs_of(words: list[str], length: int) -> set[tuple[str, ...]]:
    return {tuple(words[i : i + length]) for i in range(len(words) - length + 1)}


def chunk(chunk_id: str, text: str, document: str = "leave.md") -> Chunk:
    return Chunk(id=chunk_id, document_id=document, document=document, position=0, text=text)


def by_id(question: SampleQuestion) -> str:
    return question.id


def test_the_sample_is_large_enough_to_measure_on() -> None:
    assert len(TEXTS) >= 40
    assert len(QUESTIONS) >= 60
    assert len({question.question.lower() for question in QUESTIONS}) == len(QUESTIONS)
    ids = [question.id for question in QUESTIONS]
    assert ids == [f"q{number:03d}" for number in range(1, len(ids) + 1)]


@pytest.mark.parametrize("name", TEXTS)
def test_a_document_has_a_title_sections_and_a_page_or_two_of_text(name: str) -> None:
    text = TEXTS[name]
    assert text.startswith("# ")
    assert text.count("\n## ") >= 3
    assert 350 <= len(text.split()) <= 800


@pytest.mark.parametrize("name", TEXTS)
def test_a_paragraph_is_one_line(name: str) -> None:
    for line, following in pairwise(TEXTS[name].splitlines()):
        assert not (line and following), f"two lines of text in a row: {line[:60]!r}"


def test_every_document_is_asked_about_two_or_three_times() -> None:
    asked = Counter(question.document for question in QUESTIONS)
    assert asked.keys() == TEXTS.keys()
    assert {name: count for name, count in asked.items() if not 2 <= count <= 3} == {}


@pytest.mark.parametrize("question", QUESTIONS, ids=by_id)
def test_the_answer_stands_word_for_word_in_its_document_and_in_no_other(
    question: SampleQuestion,
) -> None:
    assert [name for name, text in TEXTS.items() if question.answer in text] == [question.document]
    assert TEXTS[question.document].count(question.answer) == 1
    assert 30 <= len(question.answer) <= 200
    assert "\n" not in question.answer


@pytest.mark.parametrize("question", QUESTIONS, ids=by_id)
def test_the_question_does_not_quote_its_document(question: SampleQuestion) -> None:
    quoted = runs_of(words_of(question.question), 6) & runs_of(
        words_of(TEXTS[question.document]), 6
    )
    assert quoted == set()


def test_the_chunk_with_the_answer_is_relevant_whatever_its_white_space() -> None:
    chunks = [
        chunk("1", "Requests are raised in Slate."),
        chunk("2", "A request not\n"),
        chunk("3", "Note: " + ANSWER.replace(" ", "\n  ") + ". Notice is eight weeks."),
    ]
    assert relevant_chunks(QUESTION, chunks) == {"3"}


def test_every_overlapping_chunk_with_the_answer_is_relevant() -> None:
    chunks = [chunk("1", f"Before. {ANSWER}"), chunk("2", f"{ANSWER}. After.")]
    assert relevant_chunks(QUESTION, chunks) == {"1", "2"}


def test_the_chunk_with_the_larger_part_of_a_cut_answer_is_relevant() -> None:
    chunks = [chunk("1", "Decided in five days; a request"), chunk("2", ANSWER[10:] + ". More.")]
    assert relevant_chunks(QUESTION, chunks) == {"2"}


def test_a_chunk_of_another_document_is_never_relevant() -> None:
    assert relevant_chunks(QUESTION, [chunk("1", ANSWER, document="other.md")]) == set()


def test_nothing_is_relevant_when_the_document_is_missing() -> None:
    assert relevant_chunks(QUESTION, []) == set()
