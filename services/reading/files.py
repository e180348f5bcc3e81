"""A file to readings: chooses the reader by the file's extension, and counts what it reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from importlib import import_module

from services.errors import DocumentRejected
from services.reading import rejections
from services.reading.blocks import Block, Reading, Source
from services.reading.limits import (
    CHARACTERS_OF_A_BLOCK,
    MAX_BYTES,
    MAX_CHARACTERS,
    MAX_DEPTH,
    MAX_HEADER,
    MAX_MEMBERS,
    MAX_WORD,
)
from services.reading.tidying import tidy

# Extension -> the module whose `read` makes blocks of such a file. Imported when it is needed,
# because the parsers take long to import.
READERS = {
    ".txt": "plain_text",
    ".md": "markdown",
    ".markdown": "markdown",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".csv": "delimited",
    ".tsv": "delimited",
    ".xlsx": "spreadsheet",
    ".json": "json_records",
    ".jsonl": "json_records",
    ".pdf": "pdf",
    ".docx": "docx",
    ".pptx": "slides",
    ".odt": "odt",
}
# Extension -> the module whose `members` yields the files in such a file.
CONTAINERS = {".zip": "zip_archive", ".eml": "email_message"}

OnProgress = Callable[[float], None]
Rejected = tuple[str, DocumentRejected]  # the name of the file, and why


def read_file(name: str, content: bytes, on_progress: OnProgress) -> Iterator[Reading | Rejected]:
    """Read a file: one outcome, or one for each file in a container, named "manuals/plan.pdf"."""
    yield from _outcomes(Source(name, content, on_progress=on_progress), depth=0)


def _outcomes(source: Source, depth: int) -> Iterator[Reading | Rejected]:
    try:
        _require_size(source)
        container = CONTAINERS.get(source.extension)
        if container is None:
            yield _reading(source)
        elif depth == MAX_DEPTH:
            raise rejections.too_intricate(source.name, "is packed in too many others")
        else:
            yield from _with_notes(source, _unpacked(source, container, depth))
    except DocumentRejected as error:
        yield source.name, error
    except RecursionError:
        yield source.name, rejections.too_intricate(source.name, "is nested hundreds of times")


def _unpacked(source: Source, container: str, depth: int) -> Iterator[Reading | Rejected]:
    """What the files in a container come to."""
    tell, reached = source.on_progress, 0.0

    def on_progress(share: float) -> None:
        nonlocal reached
        reached = share
        tell(share)

    def within(share: float) -> None:  # a sign of life; how large the others are is not known
        tell(reached + share / 1_000)

    source.on_progress = on_progress
    found = 0
    members = import_module(f"services.reading.{container}").members
    for found, member in enumerate(members(source), start=1):
        if found > MAX_MEMBERS:
            raise rejections.too_many(source.name)
        member.on_progress = within
        yield from _outcomes(member, depth + 1)
    if not found:
        raise rejections.empty(source.name)


def _with_notes(
    source: Source, outcomes: Iterator[Reading | Rejected]
) -> Iterator[Reading | Rejected]:
    """`outcomes`, the last of them with the notes on the container, which are known at its end."""
    last: Reading | Rejected | None = None
    try:
        for outcome in outcomes:
            if last is not None:
                yield last
            last = outcome
    except DocumentRejected:
        if last is not None:
            yield last
        raise
    if isinstance(last, Reading):
        last = replace(last, notes=(*last.notes, *source.notes))
    if last is not None:
        yield last


def _require_size(source: Source) -> None:
    if not source.content:
        raise rejections.empty(source.name)
    if len(source.content) > MAX_BYTES:
        raise rejections.too_large(source.name, len(source.content))


def _reading(source: Source) -> Reading:
    module = READERS.get(source.extension)
    if module is None:
        raise rejections.unsupported(source.name)
    read: Callable[[Source], Iterator[Block]] = import_module(f"services.reading.{module}").read
    blocks = tuple(_counted(source.name, read(source)))
    if not blocks:
        raise rejections.empty(source.name)
    return Reading(source.name, blocks, tuple(source.notes))


def _counted(name: str, blocks: Iterable[Block]) -> Iterator[Block]:
    """The blocks that hold text, tidied; refuses more than a document may have while it is read."""
    left = MAX_CHARACTERS
    for block in _with_short_headers(blocks):
        left -= len(block.text) + CHARACTERS_OF_A_BLOCK
        if left < 0:
            raise rejections.too_long(name)
        try:
            text, header = tidy(block.text), tidy(block.header)
        except ValueError as error:
            raise rejections.not_text(name) from error
        if len(text) > MAX_WORD and len(max(text.split(), key=len)) > MAX_WORD:
            raise rejections.too_intricate(name, f"has a word of more than {MAX_WORD:,} letters")
        if not text:
            continue
        if text != block.text or header != block.header:  # rarely, and it takes long
            block = replace(block, text=text, header=header)
        yield block


def _with_short_headers(blocks: Iterable[Block]) -> Iterator[Block]:
    """A header that is too long to stand in each chunk of its table becomes a row like others."""
    header = ""
    for block in blocks:
        is_new, header = block.header != header, block.header
        if len(header) <= MAX_HEADER:
            yield block
            continue
        if is_new:
            yield replace(block, text=header, header="")
        yield replace(block, header="")
