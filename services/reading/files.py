"""A file to blocks: chooses the reader by the file's extension, and counts what it reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import PurePath

from services.reading import rejections
from services.reading.blocks import Block, Reading, Source
from services.reading.limits import MAX_BYTES, MAX_CHARACTERS, MAX_WORD
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

Read = Callable[[Source], Iterator[Block]]


def read_file(name: str, content: bytes, on_progress: Callable[[float], None]) -> Reading:
    """Read one file that is not a container.

    Raises:
        DocumentRejected: there is no usable text; the message names the file and what to do.
    """
    module = READERS.get(PurePath(name).suffix.lower())
    if module is None:
        raise rejections.unsupported(name)
    if not content:
        raise rejections.empty(name)
    if len(content) > MAX_BYTES:
        raise rejections.too_large(name, len(content))
    read: Read = import_module(f"services.reading.{module}").read
    source = Source(name, content, on_progress=on_progress)
    blocks = tuple(_counted(name, read(source)))
    if not blocks:
        raise rejections.empty(name)
    return Reading(name, blocks, tuple(source.notes))


def _counted(name: str, blocks: Iterable[Block]) -> Iterator[Block]:
    """The blocks that hold text, tidied; refuses more than a document may have while it is read."""
    left = MAX_CHARACTERS
    for block in blocks:
        left -= len(block.text) + len(block.header)
        if left < 0:
            raise rejections.too_long(name)
        tidied = tidy(block.text)
        if not tidied:
            continue
        if len(tidied) > MAX_WORD and len(max(tidied.split(), key=len)) > MAX_WORD:
            raise rejections.too_intricate(name, f"has a word of more than {MAX_WORD:,} letters")
        yield replace(block, text=tidied, header=tidy(block.header))
