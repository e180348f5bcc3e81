"""What all readers have in common: the choice by extension, counting, containers, notes."""

from __future__ import annotations

import io
import time
import zipfile

import pytest

from services.reading import files, limits
from services.reading.blocks import Block, Reading, Source
from services.reading.files import read_file


def outcomes(name: str, content: bytes, shares: list[float] | None = None):
    told = [] if shares is None else shares
    return list(read_file(name, content, told.append))


def refusal(name: str, content: bytes) -> str:
    [(_, error)] = outcomes(name, content)
    return f"{error} {error.next_step}"


def zip_of(**members: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in members.items():
            archive.writestr(name.replace("__", "."), text)
    return buffer.getvalue()


def counted(*blocks: Block) -> list[Block]:
    return list(files._counted("a.txt", blocks))


def test_a_file_is_read_by_its_extension_in_any_case():
    [reading] = outcomes("A.TXT", b"Berth 4.")
    assert reading == Reading("A.TXT", (Block("text", "Berth 4."),))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.txt", b"a\n" * 3_000_001, "more than 3,000,000 lines"),
        ("a.csv", b"a\n" * 3_000_001, "more than 3,000,000 lines"),
        ("a.md", b"# a\n" * 3_000_001, "more than 3,000,000 lines"),
        ("a.jsonl", b"1\n" * 3_000_001, "more than 3,000,000 lines"),
        ("a.json", b"[" + b"1," * 3_000_001 + b"1]", "more than 3,000,000 values"),
        ("a.eml", b"From: a\n" + b"\n--b\n" * 20_001, "more than 1,000 parts"),
    ],
)
def test_what_has_millions_of_lines_or_values_is_refused_before_it_is_parsed(name, content, words):
    began = time.process_time()
    assert words in refusal(name, content)
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a.doc", "Save it as docx"),
        ("a.ppt", "Save it as pptx"),
        ("a.rar", "Pack it as zip"),
        ("a.png", "text recognition"),
        ("a.exe", "Use a txt, md, html"),
        ("noextension", "Use a txt, md, html"),
    ],
)
def test_a_kind_that_is_not_read_is_refused_with_what_to_do(name, words):
    said = refusal(name, b"x")
    assert said.startswith(f"{name} is of a type that cannot be read.")
    assert words in said


def test_a_file_without_content_or_text_is_empty():
    assert "is empty" in refusal("a.txt", b"")
    assert "is empty" in refusal("a.txt", b" \n\t ")


def test_a_file_may_have_a_limited_size(monkeypatch):
    monkeypatch.setattr(files, "MAX_BYTES", 10)
    assert len(outcomes("a.txt", b"0123456789")) == 1
    assert "is too large" in refusal("a.txt", b"01234567890")


def test_characters_are_counted_while_they_are_read(monkeypatch):
    monkeypatch.setattr(files, "MAX_CHARACTERS", 50)
    seen = []

    def endless():
        while True:
            seen.append(1)
            yield Block("text", "x" * 10)

    with pytest.raises(files.DocumentRejected, match="more than"):
        list(files._counted("a.txt", endless()))
    assert len(seen) == 2  # each counts 20 more than its characters


def test_a_word_that_nobody_wrote_is_refused():
    assert len(counted(Block("text", "x" * limits.MAX_WORD))) == 1
    with pytest.raises(files.DocumentRejected, match="has a word of more than"):
        counted(Block("text", "a " + "x" * (limits.MAX_WORD + 1)))
    assert len(counted(Block("text", "x " * limits.MAX_WORD))) == 1


def test_a_header_too_long_for_each_chunk_becomes_a_row():
    long, short = "h" * (limits.MAX_HEADER + 1), "h" * limits.MAX_HEADER
    assert counted(Block("row", "1", header=short)) == [Block("row", "1", header=short)]
    assert counted(Block("row", "1", header=long), Block("row", "2", header=long)) == [
        Block("row", long),
        Block("row", "1"),
        Block("row", "2"),
    ]


def test_each_file_of_a_zip_has_its_own_outcome():
    found = outcomes("port.zip", zip_of(a__txt="Berth 4.", b__exe="x", c__md="# Dues\n\nPay."))
    assert [outcome.name for outcome in found if isinstance(outcome, Reading)] == [
        "port/a.txt",
        "port/c.md",
    ]
    [(name, error)] = [outcome for outcome in found if not isinstance(outcome, Reading)]
    assert (name, "cannot be read" in str(error)) == ("port/b.exe", True)


def test_a_container_tells_its_notes_with_its_last_document():
    content = zip_of(a__txt="Berth 4.", **{"__MACOSX/a__txt": "x", "b__txt": "Dues."})
    first, last = outcomes("port.zip", content)
    assert first.notes == ()
    assert any("hidden" in note for note in last.notes)


def test_the_progress_of_a_zip_goes_up_with_each_file_in_it():
    """Each step is a sign of life, for which the process that reads is given more time."""
    shares: list[float] = []
    outcomes("port.zip", zip_of(**{f"f{n}__txt": "Berth. " * 2_000 for n in range(20)}), shares)
    rising = [share for share, before in zip(shares[1:], shares, strict=False) if share > before]
    assert len(rising) >= 19
    assert max(shares) <= 1.01


def test_containers_in_containers_are_opened_so_far(monkeypatch):
    content = zip_of(a__txt="Berth 4.")
    for _ in range(limits.MAX_DEPTH - 1):
        content = _zip_with(content)
    [reading] = outcomes("port.zip", content)
    assert isinstance(reading, Reading)
    assert "packed in too many others" in refusal("port.zip", _zip_with(content))


def _zip_with(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("in.zip", content)
    return buffer.getvalue()


def test_an_empty_container_is_empty_and_a_full_one_is_read_so_far(monkeypatch):
    assert "is empty" in refusal("port.zip", zip_of())
    monkeypatch.setattr(files, "MAX_MEMBERS", 2)
    found = outcomes("port.zip", zip_of(a__txt="A.", b__txt="B.", c__txt="C."))
    assert len(found) == 3
    assert "holds more than" in str(found[-1][1])


def test_a_source_says_what_it_is_told():
    told: list[float] = []
    source = Source("a.txt", b"", on_progress=told.append)
    source.progress(0.5)
    source.note("2 images")
    assert (told, source.notes) == ([0.5], ["2 images"])
