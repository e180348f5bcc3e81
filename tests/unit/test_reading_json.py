"""JSON and JSON lines."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.errors import DocumentRejected
from services.reading.blocks import Block, Source
from services.reading.json_records import read


def texts_of(content: str | bytes, name: str = "a.json") -> list[str]:
    encoded = content.encode() if isinstance(content, str) else content
    return [block.text for block in read(Source(name, encoded))]


def test_each_record_of_a_list_is_a_block():
    assert list(read(Source("a.json", b'[{"a": 1, "b": {"c": "x", "d": [1, 2]}}, {"a": 2}]'))) == [
        Block("row", "a: 1\nb.c: x\nb.d: 1, 2"),
        Block("row", "a: 2"),
    ]


def test_lists_of_records_in_an_object_stand_under_their_name():
    content = '{"title": "Ports", "ports": [{"name": "Bonn"}, {"name": "Ulm"}], "tags": ["a", "b"]}'

    assert list(read(Source("a.json", content.encode()))) == [
        Block("row", "title: Ports\ntags: a, b"),
        Block("heading", "ports", level=1),
        Block("row", "name: Bonn"),
        Block("row", "name: Ulm"),
    ]


def test_lists_of_records_in_a_record_are_numbered():
    assert texts_of('[{"n": "x", "berths": [{"d": 4}, {"d": 5}], "mixed": [1, {"a": 2}]}]') == [
        "n: x\nberths 1.d: 4\nberths 2.d: 5\nmixed 1: 1\nmixed 2.a: 2"
    ]


def test_values_stay_as_they_are_written():
    content = '{"a": 1.10, "b": 12345678901234567890, "c": true, "d": null, "e": "", "f": "x\\ny"}'

    assert texts_of(content) == ["a: 1.10\nb: 12345678901234567890\nc: true\nf: x\ny"]


def test_a_key_that_comes_twice_keeps_both_values():
    assert texts_of('{"a": 1, "a": 2}') == ["a: 1\na (2): 2"]


def test_a_long_list_of_values_has_a_line_for_each():
    long = ["word " * 30, "more " * 30]

    assert texts_of(json.dumps({"a": long})) == [
        f"a 1: {long[0].strip()}\na 2: {long[1].strip()}"
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_each_line_of_json_lines_is_a_block(name):
    assert texts_of('{"q": "x"}\n\n{"q": "y"}\n[1, 2]\n"z"\n', name) == [
        "q: x",
        "q: y",
        "1, 2",
        "z",
    ]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-8"])
def test_the_encoding_is_found(encoding):
    assert texts_of('{"größe": "naïve"}'.encode(encoding)) == ["größe: naïve"]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.json", '{"a": 1,\n}', "line 2 cannot be read"),
        ("a.json", "", "line 1 cannot be read"),
        ("a.jsonl", '{"a": 1}\n{"a"', "line 2 cannot be read"),
        ("a.json", "[" * 100_000, "nested hundreds of times"),
        ("a.jsonl", "[" * 100_000, "nested hundreds of times"),
        ("a.json", "PK\3\4", "zip"),
    ],
)
def test_what_is_no_json_is_refused_with_its_line(name, content, words):
    with pytest.raises(DocumentRejected, match=words):
        texts_of(content, name)


VALUES = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=9)


@given(
    st.recursive(
        VALUES | st.integers() | st.booleans(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(VALUES, inner, max_size=4),
        max_leaves=12,
    )
)
def test_no_value_is_lost(value):
    text = "".join("".join(texts_of(json.dumps(value))).split())

    def check(inner: object) -> None:
        if isinstance(inner, dict):
            for each in inner.values():
                check(each)
        elif isinstance(inner, list):
            for each in inner:
                check(each)
        elif not isinstance(inner, bool):
            assert "".join(str(inner).split()) in text

    check(value)
