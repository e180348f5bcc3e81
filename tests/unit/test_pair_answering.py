"""A reviewer sees at once which sentence answers."""

from __future__ import annotations

import pytest

from services.pairs.answering import answering_sentence

TEXT = """# Harbour dues

Ships pay harbour dues when they berth. Tankers pay 40 euros a day at pier 3!
Fishing boats pay nothing
The harbour office sends the bill to the ship's agent within 14 days."""


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("When do ships pay dues?", "Ships pay harbour dues when they berth."),
        ("What do tankers pay a day?", "Tankers pay 40 euros a day at pier 3!"),
        ("Do fishing boats pay?", "Fishing boats pay nothing"),
        ("Who is sent the bill?", TEXT.splitlines()[-1]),
        ("Who bills an AGENT?", TEXT.splitlines()[-1]),  # words in their base forms
    ],
)
def test_the_sentence_that_shares_the_rarest_words_answers(question: str, answer: str) -> None:
    start, end = answering_sentence(question, TEXT)
    assert TEXT[start:end] == answer


def test_a_heading_answers_only_where_nothing_else_does() -> None:
    text = "# Parking\n\nAsk at the desk. It is open all day."
    start, end = answering_sentence("Where is parking?", text)
    assert text[start:end] == "# Parking"
    start, end = answering_sentence("Is parking at the desk?", text)
    assert text[start:end] == "Ask at the desk."


@pytest.mark.parametrize("text", ["", " \n ", "Nothing in common.", "."])
def test_without_a_shared_word_nothing_is_marked(text: str) -> None:
    assert answering_sentence("Who pays?", text) == (0, 0)


def test_of_two_that_share_as_much_the_shorter_one_answers() -> None:
    text = "The fee for a long day in the yard is low. The fee is low."
    start, end = answering_sentence("What fee?", text)
    assert text[start:end] == "The fee is low."
