"""Blocks to chunks."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.models import Chunk
from services.reading.blocks import Block
from services.retrieval.chunking import CHUNK_CHARACTERS, CODE_CHARACTERS, split_into_chunks

SENTENCE = "The harbour master keeps the berth plan and answers for it. "
HEADER = "Plan | Requests"


def chunks_of(*blocks: Block) -> list[Chunk]:
    return split_into_chunks(blocks, "d1", "port.txt")


def texts_of(*blocks: Block) -> list[str]:
    return [chunk.text for chunk in chunks_of(*blocks)]


def heading(title: str, level: int = 1, page: int | None = None) -> Block:
    return Block("heading", title, level=level, page=page)


def text(words: str, page: int | None = None) -> Block:
    return Block("text", words, page=page)


def row(cells: str, header: str = HEADER) -> Block:
    return Block("row", cells, header=header)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.text(alphabet=st.characters(exclude_categories=("Cs", "Cc")), max_size=2_000), max_size=6
    )
)
def test_no_character_of_a_text_is_lost_or_doubled(paragraphs):
    told = "".join(texts_of(*[text(words) for words in paragraphs if words]))
    assert "".join(told.split()) == "".join("".join(paragraphs).split())


def test_chunks_keep_to_the_limit_and_cut_no_word():
    chunks = texts_of(text(SENTENCE * 200))
    assert max(map(len, chunks)) <= CHUNK_CHARACTERS
    assert " ".join(chunks).split() == (SENTENCE * 200).split()
    assert all(chunk.endswith(".") for chunk in chunks)


def test_a_word_longer_than_a_chunk_is_cut_rather_than_refused():
    assert "".join(texts_of(text("x" * 2_000))) == "x" * 2_000


def test_a_long_paragraph_begins_in_the_chunk_of_a_short_one_if_there_is_room():
    first, *_ = texts_of(text("Short."), text(SENTENCE * 40))
    assert first.startswith("Short.\n\nThe harbour master")
    assert len(first) <= CHUNK_CHARACTERS + 2
    nearly_full = "x" * (CHUNK_CHARACTERS - 100)
    assert texts_of(text(nearly_full), text(SENTENCE * 40))[0] == nearly_full


def test_a_chunk_begins_with_the_headings_above_its_text():
    chunks = chunks_of(
        heading("Port"), heading("Berths", 2), text(SENTENCE * 20), heading("Dues", 2), text("Pay.")
    )
    assert chunks[0].text.startswith("# Port\n\n## Berths\n\nThe harbour")
    assert chunks[-1].text == "## Dues\n\nPay."
    assert [chunk.heading_path for chunk in chunks] == [
        ("Port", "Berths"),
        ("Port", "Berths"),
        ("Port", "Dues"),
    ]


def test_small_sections_share_a_chunk_below_what_they_have_in_common():
    [chunk] = chunks_of(
        heading("Port"), heading("Berths", 2), text("Four."), heading("Dues", 2), text("Pay.")
    )
    assert chunk.text == "# Port\n\n## Berths\n\nFour.\n\n## Dues\n\nPay."
    assert chunk.heading_path == ("Port",)


def test_a_section_does_not_share_a_chunk_with_one_that_is_above_the_first():
    chunks = chunks_of(
        heading("A"),
        text("x" * CHUNK_CHARACTERS),
        heading("B", 2),
        text("b"),
        heading("C"),
        text("c"),
    )
    assert [chunk.text for chunk in chunks[-2:]] == ["## B\n\nb", "# C\n\nc"]
    assert [chunk.heading_path for chunk in chunks[-2:]] == [("A", "B"), ("C",)]


def test_the_rest_of_a_section_does_not_share_a_chunk_with_the_next_of_its_level():
    chunks = chunks_of(heading("A"), text(SENTENCE * 14), heading("B"), text("b"))
    assert chunks[-1].text == "# B\n\nb"
    assert chunks[-2].heading_path == ("A",)


def test_a_heading_is_never_a_chunk_of_its_own():
    chunks = texts_of(heading("A"), text("a"), heading("B"), heading("C", 3), heading("D"))
    assert chunks == ["# A\n\na\n\n# B\n\n### C\n\n# D"]
    full = texts_of(heading("A"), text("x" * CHUNK_CHARACTERS), heading("B"))
    assert full == [f"# A\n\n{'x' * CHUNK_CHARACTERS}\n\n# B"]


def test_headings_alone_are_kept_in_chunks_of_the_usual_size():
    assert texts_of(heading("One"), heading("Two", 2)) == ["# One\n\n## Two"]
    many = [heading(f"Heading number {number:03} of the harbour rules") for number in range(200)]
    chunks = texts_of(*many)
    told = "".join(chunks)
    assert all(block.text in told for block in many)
    assert max(map(len, chunks)) <= 2 * CHUNK_CHARACTERS


def test_a_line_too_long_for_a_heading_is_text():
    [chunk] = chunks_of(heading("x" * 301), text("a"))
    assert chunk.heading_path == ()
    assert chunk.text == f"# {'x' * 301}\n\na"


def test_a_code_block_stays_whole_with_its_fence():
    lines = "\n".join(f"tool set option{number} value" for number in range(60))
    chunks = texts_of(text("Install."), Block("code", lines, language="bash"), text("Next."))
    assert f"```bash\n{lines}\n```" in chunks[1]
    assert len(lines) > CHUNK_CHARACTERS


def test_a_listing_longer_than_that_is_cut_between_lines_each_part_with_a_fence():
    lines = [f"    tool set option{number} value" for number in range(300)]
    chunks = texts_of(Block("code", "\n".join(lines)))
    assert all(chunk.startswith("```\n") and chunk.endswith("\n```") for chunk in chunks)
    told = [line for chunk in chunks for line in chunk.split("\n") if line and line != "```"]
    assert told == lines
    assert max(map(len, chunks)) <= CHUNK_CHARACTERS + 8 < CODE_CHARACTERS


def test_a_fence_is_longer_than_any_in_the_code():
    assert texts_of(Block("code", "````\na")) == ["`````\n````\na\n`````"]


def test_each_chunk_of_a_table_has_its_header_and_its_path():
    rows = [row(f"Plan {number} | {number * 10}") for number in range(200)]
    chunks = chunks_of(heading("Limits"), text("By plan:"), *rows)
    assert chunks[0].text.startswith(f"# Limits\n\nBy plan:\n\n{HEADER}\nPlan 0 | 0\nPlan 1 | 10\n")
    assert all(chunk.text.startswith(f"{HEADER}\n") for chunk in chunks[1:])
    assert {chunk.heading_path for chunk in chunks} == {("Limits",)}
    assert max(len(chunk.text) for chunk in chunks) <= CHUNK_CHARACTERS + len("# Limits") + 20
    told = "\n".join(chunk.text for chunk in chunks).splitlines()
    assert [line for line in told if line.startswith("Plan ") and line != HEADER] == [
        block.text for block in rows
    ]


def test_rows_that_name_their_columns_stand_apart():
    assert texts_of(row("a: 1\nb: 2", header=""), row("a: 3", header="")) == ["a: 1\nb: 2\n\na: 3"]


def test_two_tables_keep_their_own_headers():
    assert texts_of(row("1 | 2"), row("3", header="Other")) == [f"{HEADER}\n1 | 2\n\nOther\n3"]


def test_a_row_longer_than_a_chunk_is_cut_and_each_part_has_the_header():
    chunks = texts_of(row(SENTENCE * 40))
    assert len(chunks) > 2
    assert all(chunk.startswith(f"{HEADER}\n") for chunk in chunks)


def test_a_chunk_names_the_page_on_which_it_begins():
    chunks = chunks_of(
        heading("A", page=3), text(SENTENCE * 10, page=4), text(SENTENCE * 10, page=5)
    )
    assert [chunk.page for chunk in chunks] == [3, 5]
    assert chunks_of(text("a"))[0].page is None


def test_the_same_blocks_and_document_give_the_same_ids_and_others_give_others():
    blocks = [text(SENTENCE * 50)]
    first = split_into_chunks(blocks, "d1", "a.txt")
    other = split_into_chunks(blocks, "d2", "a.txt")
    assert first == split_into_chunks(blocks, "d1", "a.txt")
    assert len({chunk.id for chunk in first + other}) == len(first) + len(other)
    assert [chunk.position for chunk in first] == list(range(len(first)))


def test_in_context_a_chunk_stands_below_the_headings_that_it_does_not_begin_with():
    chunks = chunks_of(
        heading("Port"), text(SENTENCE * 10), heading("Berths", 2), text(SENTENCE * 20)
    )
    first, begins, rest = chunks
    assert first.in_context == first.text
    assert begins.in_context == f"Port\n\n{begins.text}"
    assert begins.text.startswith("## Berths")
    assert rest.in_context == f"Port > Berths\n\n{rest.text}"


def test_no_blocks_make_no_chunks():
    assert chunks_of() == []


@pytest.mark.parametrize("kind", ["text", "row", "code"])
def test_a_block_of_millions_of_letters_is_cut_in_seconds_and_nothing_of_it_is_lost(kind):
    words = [f"w{number}" for number in range(400_000)]
    began = time.process_time()
    chunks = texts_of(Block(kind, " ".join(words)))

    assert time.process_time() - began < 10  # minutes, when it was cut at once
    assert [word for chunk in chunks for word in chunk.replace("`", "").split()] == words


def test_a_long_block_is_cut_at_the_same_places_as_a_short_one():
    short, long = SENTENCE * 200, SENTENCE * 2_000

    assert texts_of(text(long))[:10] == texts_of(text(short))[:10]
    assert max(map(len, texts_of(text(long)))) <= CHUNK_CHARACTERS
    assert min(map(len, texts_of(text(long))[:-1])) > CHUNK_CHARACTERS // 2
