"""Lines in reading order to blocks: paragraphs, lists, headings, code and the rows of tables."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from services.reading.blocks import Block
from services.reading.pdf_headings import ADMONITION, Headings
from services.reading.pdf_hyphens import Hyphens
from services.reading.pdf_lines import Line
from services.reading.pdf_tables import Table
from services.reading.tables import joined

Item = Line | Table

_ENDED = re.compile(r"([.!?:;。\uff01\uff1f\uff1a][\"'”\u2019)\]»]*|(?<=[a-z)”\u2019])\.\d{1,2})$")
_BULLET = re.compile(r"^([•◦▪‣○●■□·]\s*|[\u2013—*-]\s+)(?=\S)")
_NUMBERED = re.compile(r"^(\(?\d{1,3}[.)]|\(?[a-z][.)]|\(?[ivx]{1,5}[.)]|\[\d{1,3}\])\s+\S")
_LEADER = re.compile(r"\s*((\. ?){4,}|…{2,}|_{4,})\s*")
_CJK_END = re.compile("[\u3000-\u30ff\u3400-\u9fff\uff00-\uffef]$")
_CJK_START = re.compile("^[\u3000-\u30ff\u3400-\u9fff\uff00-\uffef]")
_NEW_PART = re.compile(r"(chapter|kapitel|section|part|appendix|figure|table)\s+\w+\b|\d+\.", re.I)
_NEXT_LINE = 1.62  # of the size: lines of one paragraph are not farther apart
_NEXT_ITEM = 3.0  # of the size, between items of a list
_FOOTNOTE = 0.9  # of the size of the text


@dataclass(slots=True)
class _Open:
    """What is being put together: lines of text, of a heading or of code."""

    kind: str
    page: int
    lines: list[Line] = field(default_factory=list)
    text: str = ""
    level: int = 0
    item_x: float | None = None  # where the marker of the list item stands


class Paragraphs:
    """Puts lines together, page by page; `blocks` is to be used once."""

    def __init__(self, headings: Headings, hyphens: Hyphens) -> None:
        self._headings = headings
        self._hyphens = hyphens
        self._open: _Open | None = None
        self._held: list[Block] = []  # footnotes, until the sentence over the page's end is whole

    def blocks(self, pages: Sequence[list[Item]]) -> Iterator[tuple[int, Block]]:
        """The blocks in reading order, each with the index of the page that was reached."""
        for index, items in enumerate(pages):
            body, small = self._parted(items)
            for block in self._of_items(body):
                yield index, block
            if small:
                kept, self._open = self._open, None
                self._held += [*self._of_items(small), *self._close()]
                self._open = kept
        for block in self._close():
            yield len(pages) - 1, block

    def _parted(self, items: list[Item]) -> tuple[list[Item], list[Item]]:
        """The items of a page, and the footnotes at its end."""
        end = len(items)
        while end and self._is_small(items[end - 1]):
            end -= 1
        return (items[:end], items[end:]) if end else (items, [])

    def _is_small(self, item: Item) -> bool:
        return (
            isinstance(item, Line)
            and item.style.size <= _FOOTNOTE * self._headings.body
            and not item.style.mono
        )

    def _of_items(self, items: list[Item]) -> Iterator[Block]:
        for index, item in enumerate(items):
            if isinstance(item, Table):
                yield from self._close()
                yield from rows_of_table(item)
                continue
            before = items[index - 1] if index else None
            after = items[index + 1] if index + 1 < len(items) else None
            yield from self._add(
                item,
                before if isinstance(before, Line) else None,
                after if isinstance(after, Line) else None,
            )

    def _add(self, line: Line, before: Line | None, after: Line | None) -> Iterator[Block]:
        level = self._headings.level(line, before, after)
        if level:
            kind = "heading"
        elif self._is_code(line, after):
            kind = "code"
        else:
            kind = "text"
        open_ = self._open
        if open_ and open_.kind == kind and self._goes_on(open_, line, level or 0):
            self._append(open_, line)
            return
        yield from self._close()
        self._open = _Open(kind, line.page, [line], level=level or 0)
        self._open.text = self._begun(self._open, line)

    def _is_code(self, line: Line, after: Line | None) -> bool:
        if self._headings.all_mono or line.mono_share < 0.4 or line.text[0] in "•◦▪‣●\u2013":
            return False
        if line.style.mono:
            return not self._is_in_sentence(line)
        # A line with a comment or a result in other letters, between lines of code.
        open_ = self._open
        if open_ and open_.kind == "code" and line.page == open_.lines[-1].page:
            return 0 < line.y - open_.lines[-1].y < _NEXT_LINE * line.style.size
        near = after and 0 < after.y - line.y < _NEXT_LINE * line.style.size
        return bool(near and after and after.style.mono and abs(after.x0 - line.x0) < 1)

    def _is_in_sentence(self, line: Line) -> bool:
        """Whether a line in code letters goes on with the sentence above it."""
        open_ = self._open
        if not open_ or open_.kind != "text":
            return False
        last = open_.lines[-1]
        return (
            last.page == line.page
            and 0 < line.y - last.y < _NEXT_LINE * last.style.size
            and (abs(line.x0 - last.x0) < 2 or (len(open_.lines) == 1 and line.x0 < last.x0))
            and last.x1 > last.right - 4 * last.style.size
            and not _ENDED.search(last.text)
        )

    def _goes_on(self, open_: _Open, line: Line, level: int) -> bool:
        last = open_.lines[-1]
        near = last.page == line.page and 0 < line.y - last.y < _NEXT_LINE * last.style.size
        if open_.kind == "heading":
            same = open_.level == level and abs(last.style.size - line.style.size) < 0.6
            return same and near and last.style.bold == line.style.bold and len(open_.lines) < 4
        if open_.kind == "code":
            room = line.y - last.y
            return last.page == line.page and 0 < room < 3.2 * last.style.size
        if abs(last.style.size - line.style.size) > 1.2:
            return False
        room = line.y - last.y
        below = last.page == line.page and 0 < room < _NEXT_ITEM * last.style.size
        if below and ADMONITION.fullmatch(open_.text):
            return True
        if below and _LEADER.search(last.text) and _LEADER.search(line.text):
            return True
        if _is_next_item(open_, line) and (below or room <= 0 or line.page == last.page + 1):
            return True
        if not near:
            return self._goes_on_elsewhere(open_, last, line)
        return self._goes_on_below(open_, last, line)

    def _goes_on_elsewhere(self, open_: _Open, last: Line, line: Line) -> bool:
        """Whether a sentence goes on at the top of the next column or page."""
        if last.page == line.page and line.y > last.y and line.x0 < last.x1:
            return False  # below on the same page, with room between
        if line.page > last.page + 2 or _ENDED.search(last.text) or _marked(line.text):
            return False
        if last.text.endswith("\u00ad") or line.text[:1].islower():
            return True
        if _NEW_PART.match(line.text):
            return False
        full = last.x1 > last.right - 1.5 * last.style.size and len(open_.lines) > 1
        return full and line.x0 < line.left + 0.5 * line.style.size and last.text[-1:].isalnum()

    def _goes_on_below(self, open_: _Open, last: Line, line: Line) -> bool:
        em = line.style.size
        if _marked(line.text) and (open_.item_x is not None or _fits_above(last, line)):
            return True  # the next item of the list, or the first under its sentence
        if open_.item_x is not None:
            return line.x0 > open_.item_x + 0.5 * em
        if last.style.bold != line.style.bold and _fits_above(last, line):
            return False
        if line.x0 > last.x0 + 0.8 * em and len(open_.lines) == 1:
            return not (_fits_above(last, line) and _ENDED.search(last.text))
        if line.x0 > last.x0 + 0.8 * em:
            return not _ENDED.search(last.text) and not _fits_above(last, line)
        if line.x0 < last.x0 - 0.8 * em and len(open_.lines) > 1:
            return not _fits_above(last, line) and not _ENDED.search(last.text)
        return not (_fits_above(last, line) and _ENDED.search(last.text))

    def _append(self, open_: _Open, line: Line) -> None:
        last = open_.lines[-1]
        open_.lines.append(line)
        if open_.kind == "code":
            return
        if open_.kind == "text" and self._begins_line(open_, last, line):
            open_.text += "\n" + self._begun(open_, line)
        else:
            open_.text = self._hyphens.joined(open_.text, _cleaned(line.text))

    def _begins_line(self, open_: _Open, last: Line, line: Line) -> bool:
        if last.text.endswith(("-", "\u00ad")):
            return False
        if _LEADER.search(last.text) or _is_next_item(open_, line):
            return True
        if ADMONITION.fullmatch(open_.text):
            return True
        near = last.page == line.page and line.y > last.y
        if _marked(line.text) and (open_.item_x is not None or (near and _fits_above(last, line))):
            return True
        return near and _fits_above(last, line) and not line.text[:1].islower()

    def _begun(self, open_: _Open, line: Line) -> str:
        """The first line of a block, or of an item of a list."""
        text = _cleaned(line.text)
        if open_.kind == "text" and _marked(text):
            open_.item_x = line.x0
            return _BULLET.sub("- ", text)
        return text

    def _close(self) -> Iterator[Block]:
        open_, self._open = self._open, None
        if open_:
            if open_.kind == "code":
                yield Block("code", code_text(open_.lines), page=open_.page)
            elif open_.kind == "heading":
                text = self._hyphens.ended(open_.text)
                yield Block("heading", text, level=open_.level, page=open_.page)
            else:
                yield Block("text", self._hyphens.ended(open_.text), page=open_.page)
        held, self._held = self._held, []
        yield from held


def _cleaned(text: str) -> str:
    return _LEADER.sub(" … ", text).strip() if "." in text or "…" in text or "_" in text else text


def _marked(text: str) -> bool:
    """Whether a line begins as an item of a list does."""
    return bool(_BULLET.match(text) or _NUMBERED.match(text))


def _is_next_item(open_: _Open, line: Line) -> bool:
    """Whether a line has a marker below that of the item above it."""
    if open_.item_x is None or not _marked(line.text):
        return False
    return line.page != open_.page or abs(line.x0 - open_.item_x) < line.style.size


def _fits_above(last: Line, line: Line) -> bool:
    """Whether the first word of `line` would have fitted on the line above: the break was meant."""
    return last.x1 + 0.35 * last.style.size + line.first_width < last.right - 0.3 * last.style.size


def code_text(lines: list[Line]) -> str:
    """The lines of code with their indentation, and with the empty lines between them."""
    left = min(line.x0 for line in lines)
    width = next((line.letter_width for line in lines if line.letter_width), 6.0)
    rooms = [b.y - a.y for a, b in pairwise(lines)]
    usual = min(rooms, default=0.0)
    texts: list[str] = []
    for index, line in enumerate(lines):
        if index and rooms[index - 1] > 1.6 * usual:
            texts.append("")
        indent = min(80, round((line.x0 - left) / width))
        texts.append(" " * indent + line.text.replace("\u00ad", "-"))
    return "\n".join(texts)


def rows_of_table(table: Table) -> Iterator[Block]:
    """The rows of a table; the first one is the header of the others, if it is one."""
    header = ""
    for index, row in enumerate(table.rows):
        if index == 0 and table.header and len(table.rows) > 1:
            header = joined(row)
        else:
            yield Block("row", joined(row), page=table.page, header=header)
