"""The offline writer asks what the chunk answers, in whole sentences, the same each time."""

from __future__ import annotations

import re

import pytest

from services.generation.offline_writer import OfflineQuestionWriter
from services.knowledge.sample import sample_documents
from services.models import Chunk
from services.pairs.quality import gives_itself_away
from services.retrieval.chunking import split_into_chunks

WRITER = OfflineQuestionWriter()


def chunk(text: str) -> Chunk:
    return Chunk(id="c", document_id="d", document="d.md", position=0, text=text)


def questions(text: str, count: int = 10) -> tuple[str, ...]:
    return WRITER.write(chunk(text), count).questions


@pytest.fixture(scope="module")
def sample_chunks() -> list[Chunk]:
    return [
        found
        for name, content in sample_documents()
        for found in split_into_chunks(content.decode("utf-8"), name, name)
    ]


@pytest.mark.parametrize(
    ("sentence", "question"),
    [
        ("The annual fee is due on 30 June.", "When is the annual fee due?"),
        ("A complaint is transferred within 5 days.", "How soon is a complaint transferred?"),
        (
            "Visitor badges are kept for 30 days at reception.",
            "For how long are visitor badges kept?",
        ),
        ("The gateway stores 400 readings.", "How many readings does the gateway store?"),
        ("Total revenue was $20 million.", "How much was total revenue?"),
        (
            "The device must be returned because the battery can leak.",
            "Why must the device be returned?",
        ),
        ("The policy covers the cost of repair.", "What does the policy cover?"),
        (
            "Requests for leave are approved by the line manager.",
            "Are requests for leave approved by the line manager?",
        ),
        ("In 2017, the company raised new capital.", "Did the company raise new capital?"),
    ],
)
def test_a_sentence_is_turned_into_the_question_that_it_answers(
    sentence: str, question: str
) -> None:
    assert question in questions(f"{sentence} It has been so for many years.")


def test_names_keep_their_capitals_and_other_words_lose_them() -> None:
    asked = questions(
        "Tarnfell was founded by two brothers. Fines are paid by the driver each year."
    )
    assert any("was Tarnfell founded" in question or "Tarnfell" in question for question in asked)
    assert "Are fines paid by the driver each year?" in asked


def test_a_sentence_about_it_or_they_is_not_asked_about_as_if_clear() -> None:
    asked = questions("It was returned to the supplier in May. They have approved the new plan.")
    assert not any(re.search(r"\b(?:it|they)\b", question) for question in asked)


def test_no_more_questions_than_asked_for_and_none_twice(sample_chunks: list[Chunk]) -> None:
    for sample in sample_chunks:
        written = WRITER.write(sample, 3).questions
        assert len(written) <= 3
        assert len({question.lower() for question in written}) == len(written)


def test_nearly_every_chunk_of_the_sample_gives_all_its_questions(
    sample_chunks: list[Chunk],
) -> None:
    complete = [len(WRITER.write(sample, 3).questions) == 3 for sample in sample_chunks]
    assert sum(complete) / len(complete) > 0.95


def test_questions_read_as_questions(sample_chunks: list[Chunk]) -> None:
    for sample in sample_chunks:
        for question in WRITER.write(sample, 3).questions:
            assert re.fullmatch(r"[A-Z0-9][^|#*\n?]+\?", question), question
            assert 4 <= len(question.split()) <= 20
            assert not gives_itself_away(question)


def test_questions_use_the_words_of_their_chunk(sample_chunks: list[Chunk]) -> None:
    for sample in sample_chunks[:40]:
        known = set(re.findall(r"\w{4,}", sample.text.lower()))
        for question in WRITER.write(sample, 3).questions:
            assert known & set(re.findall(r"\w{4,}", question.lower())), question


def test_the_same_chunk_gives_the_same_questions(sample_chunks: list[Chunk]) -> None:
    again = OfflineQuestionWriter()
    for sample in sample_chunks[:20]:
        assert WRITER.write(sample, 5) == again.write(sample, 5)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   \n",
        "Yes.",
        "## Heading only",
        "| a | b |\n|---|---|\n| 1 | 2 |",
        "1 2 3\n4 5 6\n" * 20,
    ],
)
def test_a_chunk_without_running_text_gives_none_and_says_why(text: str) -> None:
    written = WRITER.write(chunk(text), 3)
    assert written.questions == ()
    assert written.problem


def test_a_chunk_with_too_little_to_ask_gives_fewer_and_says_so() -> None:
    written = WRITER.write(chunk("The annual fee is due on 30 June each and every year."), 10)
    assert 0 < len(written.questions) < 10
    assert written.problem


@pytest.mark.parametrize(
    "text",
    [
        "\u0000\ufffd\u200b" * 30,
        "(((((" * 40,
        "a " * 500,
        "Größe und Gewicht der Sendung sind vor dem Versand zu prüfen, sonst wird sie abgewiesen.",
        "価格は二〇二四年に改定されました。" * 5,
        "x" * 5000,
    ],
)
def test_odd_text_does_not_break_the_writer(text: str) -> None:
    written = WRITER.write(chunk(text), 3)
    assert len(written.questions) <= 3
    assert len(written.questions) == 3 or written.problem
