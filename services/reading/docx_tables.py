"""The tables of a Word document, row by row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from services.reading.blocks import Block
from services.reading.docx_fields import OFF, attribute
from services.reading.docx_styles import number
from services.reading.flow import Flow, TableRows, in_a_cell

_MOST_COLUMNS = 64  # as in Word


@dataclass(slots=True)
class _Row:
    cells: list[tuple[list[Block], int]] = field(default_factory=list)  # and the columns of each
    before: int = 0
    is_header: bool = False
    is_deleted: bool = False


@dataclass(slots=True)
class _Table:
    is_nested: bool
    rows: TableRows = field(default_factory=TableRows)
    row: _Row = field(default_factory=_Row)
    span: int = 1  # of the open cell
    is_left_out: bool = False  # the open cell: merged with the one above, or deleted
    has_columns: bool = False
    notes: list[Block] = field(default_factory=list)


class Tables:
    """The open tables, one inside the other. Each cell is a flow of its own on top of `flows`.

    A merged cell stands once, where it begins. A table in a cell is text of that cell. A row of
    one cell, before any row of several, is a frame around text or a title: its text.
    """

    def __init__(self, flows: list[Flow]) -> None:
        self._flows = flows
        self._open: list[_Table] = []

    def __bool__(self) -> bool:
        return bool(self._open)

    def put_note(self, block: Block) -> None:
        """A footnote of a cell; it comes after the table."""
        self._open[0].notes.append(block)

    def delete_row(self) -> None:
        if self._open:
            self._open[-1].row.is_deleted = True

    def start(self, _: Mapping[str, str]) -> None:
        self._open.append(_Table(is_nested=bool(self._open)))

    def look(self, attributes: Mapping[str, str]) -> None:
        if self._open and attribute(attributes, "firstRow") in OFF:
            self._open[-1].rows.may_have_header = False

    def start_row(self, _: Mapping[str, str]) -> None:
        if self._open:
            self._open[-1].row = _Row()

    def mark_header(self, attributes: Mapping[str, str]) -> None:
        if self._open:
            self._open[-1].row.is_header = attribute(attributes) not in OFF

    def skip_columns(self, attributes: Mapping[str, str]) -> None:
        if self._open:
            self._open[-1].row.before = _columns(attributes)

    def start_cell(self, _: Mapping[str, str]) -> None:
        self._flows.append(Flow())
        if self._open:
            self._open[-1].span, self._open[-1].is_left_out = 1, False

    def span(self, attributes: Mapping[str, str]) -> None:
        if self._open:
            self._open[-1].span = max(1, _columns(attributes))

    def merge(self, attributes: Mapping[str, str]) -> None:
        if self._open:
            self._open[-1].is_left_out = attribute(attributes) != "restart"

    def delete_cell(self, _: Mapping[str, str]) -> None:
        if self._open:
            self._open[-1].is_left_out = True

    def end_cell(self) -> None:
        if len(self._flows) < 2:
            return
        blocks = self._flows.pop().all()
        if self._open:
            table = self._open[-1]
            table.row.cells.append(([] if table.is_left_out else blocks, table.span))

    def end_row(self) -> None:
        if not self._open or self._open[-1].row.is_deleted:
            return
        table, row = self._open[-1], self._open[-1].row
        if len(row.cells) == 1 and not row.before and not table.has_columns:
            self._put(row.cells[0][0])
            return
        table.has_columns = True
        cells = [""] * row.before
        for blocks, span in row.cells:
            cells += [in_a_cell(blocks), *[""] * (span - 1)]
        if not table.is_nested:
            self._put(table.rows.add(cells, is_header=row.is_header))
        elif text := ", ".join(filter(None, cells)):
            self._put([Block("row", text)])

    def end(self) -> None:
        if self._open:
            table = self._open.pop()
            self._put([*table.rows.end(), *table.notes])

    def _put(self, blocks: list[Block]) -> None:
        for block in blocks:
            self._flows[-1].put(block)


def _columns(attributes: Mapping[str, str]) -> int:
    return min(number(attribute(attributes)) or 0, _MOST_COLUMNS)
