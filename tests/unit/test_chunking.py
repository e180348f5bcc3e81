"""Text to chunks."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.retrieval.chunking import (
    CHUNK_CHARACTERS,
    _headings_with_their_text,
    split_into_chunks,
)

SENTENCE = "The harbour master keeps the berth plan and answers for it. "


def texts_of(text: str) -> list[str]:
    return [chunk.text for chunk in split_into_chunks(text, "d1", "port.txt")]


@settings(deadline=None, max_examples=60)
@given(st.text(alphabet=st.characters(exclude_categories=("Cs", "Cc")), max_size=4_000))
def test_no_character_of_a_text_is_lost_or_doubled(text):
    assert "".join("".join(texts_of(text)).split()) == "".join(text.split())


def test_chunks_keep_to_the_limit_and_cut_no_word():
    text = SENTENCE * 200

    chunks = texts_of(text)
    assert max(map(len, chunks)) <= CHUNK_CHARACTERS
    assert " ".join(chunks).split() == text.split()
    assert all(chunk.endswith(".") for chunk in chunks)


def test_a_word_longer_than_a_chunk_is_cut_rather_than_refused():
    assert "".join(texts_of("x" * 2_000)) == "x" * 2_000


def test_a_heading_stays_with_the_text_below_it():
    text = f"# Port\n\n## Berths\n\n{SENTENCE * 20}\n\n## Dues\n\n{SENTENCE * 20}"

    chunks = texts_of(text)
    assert chunks[0].startswith("# Port\n\n## Berths\n\nThe harbour")
    assert any(chunk.startswith("## Dues\n\nThe harbour") for chunk in chunks)
    assert not any(chunk.splitlines()[-1].startswith("#") for chunk in chunks)


def test_a_text_of_headings_only_is_kept():
    assert texts_of("# One\n\n## Two") == ["# One\n\n## Two"]


def test_the_same_text_and_document_give_the_same_ids_and_others_give_others():
    first = split_into_chunks(SENTENCE * 50, "d1", "a.txt")
    again = split_into_chunks(SENTENCE * 50, "d1", "a.txt")
    other = split_into_chunks(SENTENCE * 50, "d2", "a.txt")

    assert first == again
    assert len({chunk.id for chunk in first + other}) == len(first) + len(other)
    assert [chunk.position for chunk in first] == list(range(len(first)))


def test_headings_are_gathered_up_to_the_size_of_a_chunk_and_no_further():
    headings = "\n\n".join(
        f"# Heading number {number:03} of the harbour rules" for number in range(200)
    )
    chunks = texts_of(headings)
    assert "".join("".join(chunks).split()) == "".join(headings.split())
    assert len(chunks) > 3
    assert max(map(len, chunks)) <= 2 * CHUNK_CHARACTERS  # headings, and a passage below them


@pytest.mark.parametrize(("below", "chunks"), [(794, 1), (795, 2)])
def test_headings_that_fill_a_chunk_go_no_further(below, chunks):
    """ "# A" and the empty line below it are 5 characters: with fewer than 795 they fit."""
    gathered = list(_headings_with_their_text(["# A", "#" * below, "Text."]))
    assert len(gathered) == chunks
    assert "".join(gathered).replace("\n", "") == "# A" + "#" * below + "Text."


def test_a_passage_of_text_is_no_heading_even_when_one_line_of_it_is():
    assert list(_headings_with_their_text(["# A\ntext", "# B", "text"])) == [
        "# A\ntext",
        "# B\n\ntext",
    ]
    assert list(_headings_with_their_text(["# A", "# B"])) == ["# A\n\n# B"]
    assert list(_headings_with_their_text([])) == []
