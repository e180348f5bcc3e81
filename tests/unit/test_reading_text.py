"""Plain text, Markdown and encodings."""

from __future__ import annotations

import pytest

from services.errors import DocumentRejected
from services.reading import markdown, plain_text
from services.reading.blocks import Block, Source
from services.reading.decoding import encoding_of, text_of

GERMAN = "Über die Größe der Häfen: für schöne Schiffe, die täglich ankommen, gebührenfrei."


def text_blocks(text: str | bytes) -> list[Block]:
    content = text.encode() if isinstance(text, str) else text
    return list(plain_text.read(Source("a.txt", content)))


def markdown_blocks(text: str) -> list[Block]:
    return list(markdown.read(Source("a.md", text.encode())))


# Encodings


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Price: 15 € per unit, naïve approach", "cp1252"),
        ("naïve", "latin-1"),
        ("“Quoted” \u2013 it\u2019s 5 €", "cp1252"),
        ("El niño comió una piña; ¿dónde está? ¡Allí!", "cp1252"),
        ("Øresund, Århus, smørrebrød", "cp1252"),
        ("Élève français, où est l'œuvre à l'été", "cp1252"),
        (GERMAN, "cp1252"),
        (GERMAN, "utf-8"),
        (GERMAN, "utf-8-sig"),
        (GERMAN, "utf-16"),
        (GERMAN, "utf-16-le"),
        (GERMAN, "utf-16-be"),
        ("Съешь ещё этих мягких булок.\nИ чаю.", "utf-16-le"),
        ("Съешь ещё этих мягких булок.\nИ чаю.", "utf-16-be"),
        ("日本語のテキストです。\n\n一つの文章と漢字が\u3000混ざっています。", "utf-16-le"),
        ("这是一个中文文本。\n我们希望它是正确的。", "utf-16-be"),
        (GERMAN, "utf-32"),
        (GERMAN, "mac_roman"),
        (GERMAN, "cp850"),
        ("Zażółć gęślą jaźń, łódź, święto, książka", "cp1250"),
        ("Zażółć gęślą jaźń, łódź, święto, książka", "iso8859_2"),
        ("Съешь ещё этих мягких французских булок, да выпей чаю. " * 3, "cp1251"),
        ("Съешь ещё этих мягких французских булок, да выпей чаю. " * 3, "koi8_r"),
        ("日本語のテキストです。これは長い文章です。漢字とかなが混ざっています。", "cp932"),
        ("这是一个中文文本。用来测试编码检测的结果。我们希望它是正确的。", "gb18030"),
        ("", "utf-8"),
        ("plain", "ascii"),
    ],
)
def test_the_encoding_of_a_text_is_found(text, encoding):
    assert text_of("a.txt", text.encode(encoding)) == text


def test_what_a_file_declares_counts_only_where_it_is_no_utf_8():
    assert encoding_of("a", "naïve".encode(), "cp1252") == "utf-8"
    assert encoding_of("a", "naïve".encode("cp1252"), "cp1250") == "cp1250"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"%PDF-1.3\n1 0 obj\n<<\n/F1 2 0 R\n>>\nendobj", "inside, it is a PDF file"),
        (b"PK\x03\x04\x14\0\0\0", "a zip or Office file"),
        (bytes.fromhex("d0cf11e0a1b11ae1") + b"\0" * 50, "an old Office file"),
        (b"{\\rtf1\\ansi Hello}", "an RTF file"),
        (b"\x1f\x8b\x08\0\0\0", "a gzip file"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256)), "is not text"),
        (bytes(range(256)) * 20, "is not text"),
        (b"\0\1\2\3" * 50, "is not text"),
        (b"\0" * 8, "is not text"),
        (b"\x7fELF\2\1\1" + b"\0" * 100, "is not text"),
    ],
)
def test_a_file_of_another_kind_is_refused_in_words(content, words):
    with pytest.raises(DocumentRejected, match=words) as caught:
        text_blocks(content)
    assert str(caught.value).startswith("a.txt")
    assert caught.value.next_step != DocumentRejected.next_step


# Plain text


def test_paragraphs_stand_between_empty_lines_and_keep_their_lines():
    assert text_blocks("One\r\n  two\r\n\r\n \r\nthree\x0cfour  \n") == [
        Block("text", "One\n  two"),
        Block("text", "three"),
        Block("text", "four"),
    ]


def test_a_hash_is_a_heading_only_between_empty_lines():
    text = "# Port\n\n# start the pump\npump --start\n\n#!/bin/sh\n\n## Dues ##\n\nx\n\n#tag\n"

    assert text_blocks(text) == [
        Block("heading", "Port", level=1),
        Block("text", "# start the pump\npump --start"),
        Block("text", "#!/bin/sh"),
        Block("heading", "Dues", level=2),
        Block("text", "x"),
        Block("text", "#tag"),
    ]


# Markdown


def test_headings_are_known_in_both_ways():
    text = "# A *b* #\n\n##\n\nC\n===\n\nD\ne\n---\n\n####### no\n\n#no\n\n---\n\nx"

    assert markdown_blocks(text) == [
        Block("heading", "A *b*", level=1),
        Block("heading", "", level=2),
        Block("heading", "C", level=1),
        Block("heading", "D e", level=2),
        Block("text", "####### no"),
        Block("text", "#no"),
        Block("text", "x"),
    ]


def test_rows_carry_the_headings_of_their_table():
    text = "Limits:\n\n| Plan | Price |\n|:--|--:|\n| 1 | 3 \\| 4 |\n| `2` | a\\_b |\n\nEnd"

    assert markdown_blocks(text) == [
        Block("text", "Limits:"),
        Block("row", "1 | 3 | 4", header="Plan | Price"),
        Block("row", "`2` | a_b", header="Plan | Price"),
        Block("text", "End"),
    ]


def test_a_table_may_lack_its_outer_bars_and_follow_text_at_once():
    assert markdown_blocks("Text\na | b\n--|--\n1 | 2\n") == [
        Block("text", "Text"),
        Block("row", "1 | 2", header="a | b"),
    ]


def test_code_stays_whole_with_its_language():
    text = "x\n```python title=a\n# no heading\n\n| a |\n|---|\n```\ny\n~~~\n```\n~~~\n"

    assert markdown_blocks(text) == [
        Block("text", "x"),
        Block("code", "# no heading\n\n| a |\n|---|", language="python"),
        Block("text", "y"),
        Block("code", "```"),
    ]


def test_a_fence_that_is_never_closed_reaches_the_end():
    assert markdown_blocks("````\na\n```\nb") == [Block("code", "a\n```\nb")]


def test_indented_code_is_code_and_an_indented_item_is_not():
    assert markdown_blocks("x\n\n    a\n\n      b\n\ny") == [
        Block("text", "x"),
        Block("code", "a\n\n  b"),
        Block("text", "y"),
    ]


def test_lists_are_whole_and_code_in_them_is_code():
    text = "- a\n  - b\n\n  more\n* c\n\n1. x\n   ```sh\n   run\n     it\n   ```\n2. y\n\nEnd"

    assert markdown_blocks(text) == [
        Block("text", "- a\n  - b\n  more\n* c\n1. x"),
        Block("code", "run\n  it", language="sh"),
        Block("text", "2. y"),
        Block("text", "End"),
    ]


def test_data_before_the_text_is_text_and_no_heading():
    assert markdown_blocks("---\ntitle: Port\ntags: [a]\n---\n\n# A\n") == [
        Block("text", "title: Port\ntags: [a]"),
        Block("heading", "A", level=1),
    ]


def test_other_text_stays_as_it_is_but_for_backslashes_before_signs():
    text = "Run pg\\_dump, `a\\_b` and **x** <b>[l](u)</b>\n> q\n\nC:\\new\\dir"

    assert markdown_blocks(text) == [
        Block("text", "Run pg_dump, `a\\_b` and **x** <b>[l](u)</b>\n> q"),
        Block("text", "C:\\new\\dir"),
    ]


def test_a_line_of_backticks_takes_no_time():
    line = "\\_ " + "`" * 100_000 + "a"

    assert markdown_blocks(line) == [Block("text", line)]


def test_a_comment_alone_on_its_line_is_left_out():
    assert markdown_blocks("<!-- toc -->\n\na <!-- b -->") == [Block("text", "a <!-- b -->")]
