"""Excel workbooks: each sheet under its name, each row as lines "column: value"."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterable, Iterator
from datetime import date, datetime, time, timedelta
from itertools import islice
from typing import Any

import python_calamine
from python_calamine import CalamineError, CalamineWorkbook

from services.reading import rejections
from services.reading.blocks import Block, Source
from services.reading.packed import Package, elements_in, opened
from services.reading.tables import record_blocks

# The library keeps a sheet as one rectangle in memory, with 32 bytes a cell.
MAX_CELLS = 8_000_000
MAX_ELEMENTS = 10_000_000  # of the sheets; a cell has two or three
_VALUE_CELL = re.compile(rb"<(?:\w+:)?c\b[^>]*?\br=\"([A-Z]{1,3})([0-9]{1,7})\"[^>]*[^/]>")
_NO_RESULT = re.compile(
    rb"(?:</(?:\w+:)?f>|<(?:\w+:)?f\b[^>]*/>)\s*(?:<(?:\w+:)?v\s*/>|<v></v>)?\s*</"
)
_ERROR_CELL = re.compile(rb"(<(?:\w+:)?c\b[^>]*?\bt=)(?:\"e\"|'e')")
# A number keeps 15 digits, so what has more is an id, and stays as it is stored.
_LONG_NUMBER = re.compile(
    rb"(<(?:\w+:)?c\b(?:(?!\bt=)[^>])*)(?:\bt=[\"']n[\"'][^>]*)?(>\s*<(?:\w+:)?v>-?[0-9]{16,}<)"
)
_LONG_DIGITS = re.compile(rb"v>-?[0-9]{16}")  # found faster
_LAST_CELL = re.compile(rb"<(?:(?:\w+:)?c\b|[\w:]*$)")  # also one whose name is cut off
_ROWS_BETWEEN_PROGRESS = 500
_DEEPEST_HEADING = 4  # rows
_MOST_ABOVE_HEADING = 30
_OVERLAP = 300  # bytes: no cell's tag is longer


def read(source: Source) -> Iterator[Block]:
    """The sheets in their order; `page` is the number of the sheet. Hidden ones are read and noted.

    A value merged over several rows stands in each of them. Dates are ISO, numbers as they are
    stored: 0.25, not 25%. An error is its sign: "#N/A".

    Raises:
        DocumentRejected: the workbook is locked, damaged or larger than its reader admits.
    """
    with opened(source) as package:
        odd_parts = _look_through(source, package)
    content = _with_odd_cells_as_text(source, odd_parts) if odd_parts else source.content
    try:
        workbook = CalamineWorkbook.from_filelike(io.BytesIO(content))
        for number, about in enumerate(workbook.sheets_metadata, 1):
            if about.typ != python_calamine.SheetTypeEnum.WorkSheet:
                source.note(f"sheet “{about.name}” holds no cells, and is left out")
                continue
            yield from _sheet(source, workbook, number, about)
    except CalamineError as error:
        raise rejections.damaged(source.name) from error


def first_sheet(source: Source) -> list[list[str]]:
    """The rows of the first sheet that has cells, each value as text.

    Raises:
        DocumentRejected: as `read` does.
    """
    with opened(source) as package:
        odd_parts = _look_through(source, package)
    content = _with_odd_cells_as_text(source, odd_parts) if odd_parts else source.content
    try:
        workbook = CalamineWorkbook.from_filelike(io.BytesIO(content))
        for number, about in enumerate(workbook.sheets_metadata):
            is_sheet = about.typ == python_calamine.SheetTypeEnum.WorkSheet
            if is_sheet and (rows := list(_rows(workbook.get_sheet_by_index(number)))):
                return rows
    except CalamineError as error:
        raise rejections.damaged(source.name) from error
    return []


def _look_through(source: Source, package: Package) -> set[str]:
    """Refuse sheets with cells so far apart that no memory holds what is between them, and with
    more of them than can be read in time. Returns the parts with cells that the library loses:
    errors and long numbers."""
    formulas = elements = 0
    odd_parts = set()
    for part in package.parts():
        if not re.fullmatch(r"xl/worksheets/[^/]+\.xml", part):
            continue
        rows: list[int] = []
        columns: list[int] = []
        rest = b""
        for piece in package.pieces(part):
            elements += elements_in(piece)
            if elements > MAX_ELEMENTS:
                raise rejections.too_intricate(
                    source.name, f"has more than {MAX_ELEMENTS // 2:,} cells"
                )
            text = rest + piece
            found = _VALUE_CELL.findall(text)
            if found:
                numbers = [int(row) for _, row in found]
                rows += (min(numbers), max(numbers))
                letters = {letter for letter, _ in found}
                columns += (min(map(_column, letters)), max(map(_column, letters)))
            formulas += len(_NO_RESULT.findall(text))
            if b't="e"' in text or b"t='e'" in text or _LONG_DIGITS.search(text):
                odd_parts.add(part)
            rest = text[-_OVERLAP:]
        if rows and (max(rows) - min(rows) + 1) * (max(columns) - min(columns) + 1) > MAX_CELLS:
            raise rejections.too_intricate(source.name, "has cells millions of cells apart")
    if formulas:
        source.note("formulas without a stored result left out")
    comments = [part for part in package.parts() if re.search(r"xl/(?:threadedC|c)omments", part)]
    if comments:
        source.note("comments left out")
    return odd_parts


def _with_odd_cells_as_text(source: Source, odd_parts: set[str]) -> bytes:
    """The workbook with errors and long numbers as texts. The library drops the errors it knows,
    refuses a workbook with another (#SPILL!), and rounds the numbers."""
    made = io.BytesIO()
    with (
        opened(source) as package,
        zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        for part in package.parts():
            with archive.open(part, "w") as packed:
                pieces = package.pieces(part)
                for piece in _as_text(pieces) if part in odd_parts else pieces:
                    packed.write(piece)
    return made.getvalue()


def _as_text(pieces: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for piece in pieces:
        text = rest + piece
        from_here = max(0, len(text) - _OVERLAP)
        starts = [match.start() for match in _LAST_CELL.finditer(text, from_here)]
        end = starts[-1] if starts else len(text)
        yield _cells_as_text(text[:end])
        rest = text[end:]
    yield _cells_as_text(rest)


def _cells_as_text(text: bytes) -> bytes:
    text = _ERROR_CELL.sub(rb'\1"str"', text)
    return _LONG_NUMBER.sub(rb'\1 t="str"\2', text) if _LONG_DIGITS.search(text) else text


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - ord("A") + 1
    return number


def _sheet(source: Source, workbook: CalamineWorkbook, number: int, about: Any) -> Iterator[Block]:
    sheet = workbook.get_sheet_by_index(number - 1)
    rows = _with_one_heading(sheet, _rows(sheet))
    rows = _with_progress(source, rows, number, workbook, sheet.total_height)
    blocks = record_blocks(rows, page=number)
    first = next(blocks, None)
    if first is None:
        source.note(f"sheet “{about.name}” is empty")
        return
    if about.visible != python_calamine.SheetVisibleEnum.Visible:
        source.note(f"sheet “{about.name}” is hidden, and read too")
    yield Block("heading", about.name, level=1, page=number)
    yield first
    yield from blocks


def _with_progress(
    source: Source, rows: Iterator[list[str]], number: int, workbook: CalamineWorkbook, height: int
) -> Iterator[list[str]]:
    sheets = len(workbook.sheets_metadata)
    for done, row in enumerate(rows):
        if done % _ROWS_BETWEEN_PROGRESS == 0:
            source.progress((number - 1 + done / max(height, 1)) / sheets)
        yield row


def _rows(sheet: Any) -> Iterator[list[str]]:
    merged = {(top, left): bottom for (top, left), (bottom, _) in sheet.merged_cell_ranges or ()}
    reaching: dict[int, tuple[str, int]] = {}  # column -> text, and the last row it reaches
    first = (sheet.start or (0, 0))[1]
    above = (sheet.start or (0, 0))[0]
    columns_merged = {left for _, left in merged}
    for number, row in enumerate(sheet.iter_rows()):
        cells = [_text(value) for value in row]
        for column in columns_merged:
            place = column - first
            if not 0 <= place < len(cells):
                continue
            if bottom := merged.get((number + above, column)):
                reaching[column] = (cells[place], bottom)
            elif column in reaching and number + above <= reaching[column][1] and not cells[place]:
                cells[place] = reaching[column][0]
        yield cells


def _with_one_heading(sheet: Any, rows: Iterator[list[str]]) -> Iterator[list[str]]:
    """The rows, those of a heading of several rows put together: "2026 Plan", "2026 Actual".

    Such a heading is known by its merged cells: some reach down, others to the right.
    """
    above, first = sheet.start or (0, 0)
    merged = sheet.merged_cell_ranges or ()
    down = {
        top: bottom for (top, left), (bottom, right) in merged if bottom > top and left == right
    }
    wide = {top for (top, left), (bottom, right) in merged if bottom == top and left < right}
    tops = [top for top in down if top in wide and top - above < _MOST_ABOVE_HEADING]
    top = min(tops, default=-1) - above
    depth = down[top + above] - (top + above) + 1 if tops else 0
    heading = list(islice(rows, top + depth)) if 1 < depth <= _DEEPEST_HEADING else []
    yield from heading[: max(top, 0)]
    stack = heading[max(top, 0) :]
    if stack and any(re.search("[0-9]", cell) for cell in stack[-1]):
        yield from stack  # values, which are no names of columns
    elif stack:
        for (row, left), (_, right) in merged:
            line = row - above - top
            if 0 <= line < len(stack) and left >= first:
                for column in range(left - first + 1, min(right - first + 1, len(stack[line]))):
                    stack[line][column] = stack[line][column] or stack[line][left - first]
        yield [" ".join(dict.fromkeys(filter(None, parts))) for parts in zip(*stack, strict=True)]
    yield from rows


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e16 else repr(value)
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat(" ")
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, timedelta):
        seconds = round(value.total_seconds())
        hours, rest = divmod(abs(seconds), 3_600)
        return f"{'-' if seconds < 0 else ''}{hours}:{rest // 60:02}:{rest % 60:02}"
    return str(value)
