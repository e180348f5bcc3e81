"""The text of a Word document, parsed as a stream: no tree of its XML is ever built.

A tree takes a hundred times the size of the file: 75 kB can hold 4.5 million empty paragraphs. And
the layout in the XML is not trusted: a cell is read once, however many columns it claims to span.
"""

from __future__ import annotations

import io
import posixpath
import re
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any, cast

from lxml import etree

from services.knowledge.rejections import (
    Allowance,
    damaged,
    locked,
    too_intricate,
)

MAX_UNPACKED_BYTES = 200_000_000
MAX_ELEMENTS = 2_000_000  # a document of two million characters has under one
_MAX_TREE_BYTES = 3_000_000  # of the parts about the document, which are read as trees
_BYTES_AT_ONCE = 65_536
_OLE_SIGNATURE = bytes.fromhex("d0cf11e0a1b11ae1")  # old Office, and encrypted new Office
_WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_SIGNS = {"tab": "\t", "ptab": "\t", "cr": "\n", "noBreakHyphen": "-"}
# What is not text, is deleted text, or occurs elsewhere too.
_LEFT_OUT = {
    f"{_WORD}{name}"
    for name in (
        "tabs",
        "del",
        "moveFrom",
        "pPrChange",
        "tcPrChange",
        "trPrChange",
    )
} | {"{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"}


def docx_text(name: str, content: bytes) -> str:
    """Return paragraphs and tables, separated by empty lines; a table row is a line "a | b".

    Raises:
        DocumentRejected: the document is locked, damaged or too large.
    """
    if content.startswith(_OLE_SIGNATURE):
        raise locked(name)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            _refuse_bombs(name, archive)
            document = _related(name, archive, "", "officeDocument")
            if document is None:
                raise damaged(name)
            levels = _heading_levels(name, archive, document)
            return "\n\n".join(_blocks(name, archive, document, levels))
    except (
        zipfile.BadZipFile,
        etree.LxmlError,
        zlib.error,
        EOFError,
        LookupError,
        OSError,
        RuntimeError,
        ValueError,
    ) as error:
        raise damaged(name) from error


def _refuse_bombs(name: str, archive: zipfile.ZipFile) -> None:
    unpacked = sum(entry.file_size for entry in archive.infolist())
    if unpacked > MAX_UNPACKED_BYTES:
        raise too_intricate(name, f"unpacks to {unpacked / 1e6:.0f} MB")
    # Only these are unpacked piece by piece, and never beyond their declared size.
    known = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    if any(entry.compress_type not in known for entry in archive.infolist()):
        raise damaged(name)


def _related(name: str, archive: zipfile.ZipFile, part: str, kind: str) -> str | None:
    """The part that `part` ("" for the package) refers to as its `kind`."""
    folder, base = posixpath.split(part)
    about = posixpath.join(folder, "_rels", f"{base}.rels")
    if about not in archive.namelist():  # a document without references
        return None
    for relationship in _tree(name, archive, about).iter("{*}Relationship"):
        if relationship.get("Type", "").endswith(f"/{kind}"):
            target = posixpath.join("/", folder, relationship.get("Target", ""))
            return posixpath.normpath(target).strip("/")
    return None


def _heading_levels(name: str, archive: zipfile.ZipFile, document: str) -> dict[str, int]:
    """The level of each heading style by id. Ids depend on Word's language; names do not."""
    styles = _related(name, archive, document, "styles")
    levels = {}
    for style in _tree(name, archive, styles).iter(f"{_WORD}style") if styles else ():
        named = style.find(f"{_WORD}name")
        title = "" if named is None else named.get(f"{_WORD}val", "")
        if heading := re.fullmatch(r"heading ([1-9])", title, re.IGNORECASE):
            levels[style.get(f"{_WORD}styleId", "")] = int(heading[1])
    return levels


def _tree(name: str, archive: zipfile.ZipFile, part: str) -> etree._Element:
    size = archive.getinfo(part).file_size
    if size > _MAX_TREE_BYTES:
        raise too_intricate(name, f"has {size / 1e6:.0f} MB of styles or links")
    return etree.fromstring(archive.read(part), _parser())


def _blocks(
    name: str, archive: zipfile.ZipFile, document: str, levels: Mapping[str, int]
) -> list[str]:
    parser = _parser(target=_Body(name, levels))
    with archive.open(document) as xml:
        while piece := xml.read(_BYTES_AT_ONCE):
            parser.feed(piece)
    return cast(list[str], parser.close())  # what its target makes


def _parser(**options: Any) -> etree.XMLParser:
    return etree.XMLParser(resolve_entities=False, no_network=True, **options)


class _Table:
    """The outermost table that is being read. It tracks the grid column in which each cell begins.

    A cell merged with the one above repeats its text, because each row is read by itself later. A
    cell over several columns appears once.
    """

    def __init__(self, allowance: Allowance) -> None:
        self.paragraphs: list[str] = []  # of the cell
        self.span, self.goes_on = 1, False  # the cell
        self.column = 0
        self.rows: list[str] = []
        self._allowance = allowance
        self._row: dict[int, str] = {}
        self._above: dict[int, str] = {}

    def end_cell(self) -> None:
        text = "\n".join(self.paragraphs)
        if self.goes_on:
            text = self._allowance.take(self._above.get(self.column, ""))
        self._row[self.column] = text
        self.column += self.span
        self.paragraphs, self.span, self.goes_on = [], 1, False

    def end_row(self) -> None:
        self.rows.append(" | ".join(self._row.values()))
        self._above, self._row, self.column = self._row, {}, 0


class _Body:
    """Receives a document's body from the parser, element by element."""

    def __init__(self, name: str, levels: Mapping[str, int]) -> None:
        self._name = name
        self._levels = levels
        self._allowance = Allowance(name)
        self._elements = 0
        self._left_out = 0  # how deep inside an element that is left out
        self._is_text = False
        self._paragraphs: list[list[str]] = []  # open ones: a text box is inside a paragraph
        self._tables = 0  # nesting depth; a table in a cell is text of that cell
        self._table = _Table(self._allowance)
        self._blocks: list[str] = []

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        self._elements += 1
        if self._elements > MAX_ELEMENTS:
            raise too_intricate(self._name, f"has more than {MAX_ELEMENTS:,} parts")
        if self._left_out or tag in _LEFT_OUT:
            self._left_out += 1
            return
        kind = tag.removeprefix(_WORD)
        if kind == "t":
            self._is_text = True
        elif kind == "p":
            self._paragraphs.append([])
        elif kind == "tbl":
            self._tables += 1
        elif kind in _SIGNS:
            self._put(_SIGNS[kind])
        elif kind == "br" and attributes.get(f"{_WORD}type", "textWrapping") == "textWrapping":
            self._put("\n")
        elif kind == "pStyle" and not self._tables:
            if level := self._levels.get(attributes.get(f"{_WORD}val", "")):
                self._put(f"{'#' * level} ")
        elif self._tables == 1:
            self._note_layout(kind, attributes.get(f"{_WORD}val"))

    def _note_layout(self, kind: str, value: str | None) -> None:
        if kind == "gridBefore" and value:
            self._table.column += int(value)
        elif kind == "gridSpan" and value:
            self._table.span = int(value)
        elif kind == "vMerge":
            self._table.goes_on = value != "restart"

    def data(self, text: str) -> None:
        if self._is_text and not self._left_out:
            self._put(text)

    def end(self, tag: str) -> None:
        if self._left_out:
            self._left_out -= 1
            return
        kind = tag.removeprefix(_WORD)
        if kind == "t":
            self._is_text = False
        elif kind == "p":
            text = "".join(self._paragraphs.pop())
            (self._table.paragraphs if self._tables else self._blocks).append(text)
        elif kind == "tc" and self._tables == 1:
            self._table.end_cell()
        elif kind == "tr" and self._tables == 1:
            self._table.end_row()
        elif kind == "tbl":
            self._tables -= 1
            if not self._tables:
                self._blocks.append("\n".join(self._table.rows))
                self._table = _Table(self._allowance)

    def close(self) -> list[str]:
        return self._blocks

    def _put(self, text: str) -> None:
        if self._paragraphs:
            self._paragraphs[-1].append(self._allowance.take(text))
