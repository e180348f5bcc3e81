"""The tables of a web page: data, or a layout around other text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from services.reading.blocks import Block
from services.reading.flow import TableRows, in_a_cell

_MOST_COLUMNS = 100  # that cells can cover in a row: a layout may say a thousand for each
_LONG_TEXT = 1_000  # characters in one cell: more than data, if it has several paragraphs


@dataclass(slots=True)
class Cell:
    """A cell, and how many columns and rows it covers."""

    is_heading: bool = False
    columns: int = 1
    rows: int = 1
    blocks: list[Block] = field(default_factory=list)


@dataclass(slots=True)
class HtmlTable:
    """A table that is being read."""

    is_layout: bool = False
    rows: list[tuple[list[Cell], bool]] = field(default_factory=list)  # and whether in a thead
    is_in_head: bool = False

    def start_row(self) -> None:
        self.rows.append(([], self.is_in_head))

    def add(self, cell: Cell) -> None:
        if not self.rows:
            self.start_row()
        self.rows[-1][0].append(cell)

    def blocks(self, *, is_nested: bool) -> Iterator[Block]:
        """Its rows, or what is in its cells if it is a layout.

        A cell over several columns stands once; one over several rows stands in each of them,
        because each row is read by itself later.
        """
        rows = [(cells, in_head) for cells, in_head in self.rows if any(c.blocks for c in cells)]
        if self._is_layout(rows):
            for cells, _ in rows:
                for cell in cells:
                    yield from cell.blocks
            return
        made = TableRows()
        for number, (line, in_head) in enumerate(_filled(rows)):
            if is_nested:
                if text := ", ".join(filter(None, line)):
                    yield Block("row", text)
                continue
            is_header = in_head or (
                _is_all_headings(rows[number][0])
                and all(in_head or _is_all_headings(row) for row, in_head in rows[:number])
            )
            yield from made.add(line, is_header=is_header)
        yield from made.end()

    def _is_layout(self, rows: list[tuple[list[Cell], bool]]) -> bool:
        if self.is_layout or all(len(cells) <= 1 for cells, _ in rows):
            return True
        return any(
            block.kind in ("heading", "code")
            or (block.kind == "row" and not _holds_data(rows))
            or (len(cell.blocks) > 1 and sum(len(b.text) for b in cell.blocks) > _LONG_TEXT)
            for cells, _ in rows
            for cell in cells
            for block in cell.blocks
        )


def _holds_data(rows: list[tuple[list[Cell], bool]]) -> bool:
    """Whether the rows around a nested table are data: a layout has few cells and no headings."""
    return any(cell.is_heading for cells, _ in rows for cell in cells) or (
        len(rows) > 1 and min(len(cells) for cells, _ in rows) > 1
    )


def _is_all_headings(cells: list[Cell]) -> bool:
    return all(cell.is_heading or not cell.blocks for cell in cells)


def _filled(rows: list[tuple[list[Cell], bool]]) -> Iterator[tuple[list[str], bool]]:
    """The text of each row by column, with the cells that reach down into it."""
    reaching: dict[int, tuple[str, int]] = {}  # column -> text, and rows that are still to come
    headings = sum(1 for cells, in_head in rows if in_head)
    for cells, in_head in rows:
        line: list[str] = []
        row = iter(cells)
        cell = next(row, None)
        while cell is not None or len(line) in reaching:
            if len(line) in reaching:
                text, left = reaching.pop(len(line))
                if left > 1:
                    reaching[len(line)] = (text, left - 1)
                line.append(text)
                continue
            assert cell is not None
            text = in_a_cell(cell.blocks)
            covers = min(cell.columns, max(1, _MOST_COLUMNS - len(line)))
            repeated = text if in_head and headings > 1 else ""
            for number in range(covers):
                shown = text if number == 0 else repeated
                if cell.rows > 1 and len(line) < _MOST_COLUMNS:
                    reaching[len(line)] = (shown, cell.rows - 1)
                line.append(shown)
            cell = next(row, None)
        yield line, in_head


def count(text: str | None, most: int) -> int:
    """A count of rows or columns as browsers read it: 1 unless it is a number."""
    return max(1, min(int(text), most)) if text and re.fullmatch("[0-9]{1,9}", text) else 1
