"""Rows of cells to blocks that carry the names of their columns.

Every row is written as lines "column: value", never under a shared line of headings: so each piece
of a table carries its column names, even where a wide row is cut into several chunks, and a reader
of one row need not count bars. A table without headings has no names to give: "a | b | c".
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice

from services.reading.blocks import Block

Row = Sequence[str]

LOOK_AHEAD = 200  # rows, to find out where the headings are
_MOST_PREAMBLE = 30  # rows above the headings
_SHARE_IN_KIND = 0.6  # of the lines of a column, which make up its kind
_SENTENCE_ENDS = ".!?\u2026\u3002\uff1f"
_MUCH_LONGER = 3
_MOST_WORDS_OF_NAME = 4
_SHORT = 200  # characters: a value that is shown on one line
_NUMBER = re.compile(r"[-+(]?[$€£¥]?\s*[-+]?\d[\d.,'\s\u00a0]*\)?\s*(?:%|[$€£¥]|[eE][-+]?\d+)?")
_DATE = re.compile(
    r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}\.?(?:[T ]\d{1,2}:\d{2}.*)?"
    r"|\d{1,2}:\d{2}(?::\d{2})?(?:\s*[ap]m)?",
    re.IGNORECASE,
)
_YEAR = re.compile(r"(?:19|20)\d\d")
_ADDRESS = re.compile(r"\S+@\S+\.\w+|https?://\S+|\+?\d[\d ()/-]{6,}")


def record_blocks(rows: Iterable[Row], page: int | None = None) -> Iterator[Block]:
    """The rows of a table that may have lines above it, and may have no headings.

    Lines above the table become text. No value of a cell is left out; a cell beyond the headings is
    named by its number, and so is a blank heading. A heading without any value is named at the end,
    and a single row is a row.
    """
    rows = iter(rows)
    first = list(islice(rows, LOOK_AHEAD))
    start = _table_start(first)
    for row in first[:start]:
        yield from _preamble(row, page)
    table = first[start:]
    if not has_header(table):
        for row in chain(table, rows):
            if text := joined(row):
                yield Block("row", text, page=page)
        return
    columns = named(table[0])
    unused = {number: name for number, name in enumerate(table[0]) if name.strip()}
    has_rows = False
    for row in chain(islice(table, 1, None), rows):
        if text := _record(columns, row, unused):
            has_rows = True
            yield Block("row", text, page=page)
    if not has_rows:
        yield Block("row", joined(table[0]), page=page)
    elif unused:
        empty = ", ".join(columns[number] for number in unused)
        yield Block("text", f"Columns without values: {empty}", page=page)


def _preamble(row: Row, page: int | None) -> Iterator[Block]:
    if text := joined([cell for cell in row if cell.strip()]):
        yield Block("text", text, page=page)


def _record(columns: list[str], row: Row, unused: dict[int, str]) -> str:
    lines = []
    for number, cell in enumerate(row):
        if not cell or cell.isspace():
            continue
        if unused:
            unused.pop(number, None)
        name = columns[number] if number < len(columns) else f"column {number + 1}"
        lines.append(f"{name}: {on_one_line(cell) if len(cell) <= _SHORT else cell.strip()}")
    return "\n".join(lines)


def named(header: Row) -> list[str]:
    """The headings of all columns: a blank one gets its number, a repeated one a count."""
    names: list[str] = []
    taken = {on_one_line(cell) for cell in header}
    seen: Counter[str] = Counter()
    for number, cell in enumerate(header, 1):
        name = on_one_line(cell) or f"column {number}"
        seen[name] += 1
        if seen[name] > 1:
            plain = name
            while name in taken:
                name = f"{plain} ({seen[plain]})"
                seen[plain] += name in taken
            taken.add(name)
        names.append(name)
    return names


def joined(cells: Row) -> str:
    """A row on one line: "a | b | c", without the empty cells at its end."""
    lines = [on_one_line(cell) for cell in cells]
    while lines and not lines[-1]:
        lines.pop()
    return " | ".join(lines)


def on_one_line(cell: str) -> str:
    return " ".join(cell.splitlines()).strip() if not cell.isprintable() else cell.strip()


def has_header(rows: Sequence[Row]) -> bool:
    """Whether the first row names the columns of the others.

    It does not if it holds numbers, dates or addresses, or a value that comes again below it. Nor
    does the first of a single column, if it is like the others.
    """
    if not rows:
        return False
    header = [on_one_line(cell) for cell in rows[0]]
    if not any(header):
        return False
    values = [cell for cell in header if _is_value(cell)]
    years = [cell for cell in values if _YEAR.fullmatch(cell)]
    are_named_by_years = len(years) == len(values) > 1 and sorted(set(years)) == years
    if values and not are_named_by_years:
        return False
    below: Counter[tuple[int, str]] = Counter(
        (number, on_one_line(cell)) for row in rows[1:] for number, cell in enumerate(row[:50])
    )
    if any(below[number, cell] for number, cell in enumerate(header[:50]) if cell):
        return False
    others = [cell for row in rows[1:] for cell in map(on_one_line, row) if cell]
    is_one_column = others and all(len(row) < 2 for row in rows)
    return not is_one_column or _names(header[0], others)


def _names(first: str, others: Sequence[str]) -> bool:
    """Whether the first line of a column differs from the others in kind: a word above sentences,
    a question above answers, words above values, "part_no" or "NAME" above names."""

    def most(*are: bool) -> bool:
        return sum(are) >= _SHARE_IN_KIND * len(others)

    if first[-1] in ".!\u2026\u3002":
        return False
    if first[-1] in "?\uff1f":
        return not any(other[-1] in "?\uff1f" for other in others)
    are_much_longer = most(*(len(other) > _MUCH_LONGER * len(first) for other in others))
    words = first.split()
    if len(words) > _MOST_WORDS_OF_NAME or are_much_longer:
        return are_much_longer
    return (
        first[-1] == ":"
        or most(*(other[-1] in _SENTENCE_ENDS for other in others))
        or most(*map(_is_value, others))
        or (not re.search(r"\d", first) and most(*(bool(re.search(r"\d", o)) for o in others)))
        or (first.islower() and not most(*(other.islower() for other in others)))
        or (first.isupper() and not most(*(other.isupper() for other in others)))
        or ("_" in first and not any("_" in other for other in others))
        or (len(words) < 3 and most(*(len(other.split()) > len(words) for other in others)))
    )


def _is_value(cell: str) -> bool:
    return len(cell) < 60 and any(pattern.fullmatch(cell) for pattern in (_NUMBER, _DATE, _ADDRESS))


def _names_columns(rows: Sequence[Row], usual: int) -> bool:
    """Whether there is a row, as wide as the table, that holds words alone."""
    return any(
        len(row) == usual and all(cell.strip() and not _is_value(cell.strip()) for cell in row)
        for row in rows
    )


def _table_start(rows: Sequence[Row]) -> int:
    """The number of rows above the table: shorter than half of it, or with one cell filled."""
    widths = Counter(len(row) for row in rows if any(cell.strip() for cell in row))
    if not widths:
        return 0
    usual = max(widths, key=lambda width: (widths[width], width))
    start = 0
    for number, row in enumerate(rows[:_MOST_PREAMBLE]):
        filled = sum(1 for cell in row if cell.strip())
        is_above = filled == 0 or (
            usual > 1 and (len(row) * 2 <= usual or (filled == 1 and usual > 2))
        )
        if number and number == start and len(row) < usual:  # below lines that are above the table
            is_above = is_above or _names_columns(rows[number + 1 : number + 2], usual)
        if not is_above:
            return number
        start = number + 1
    return start if start < len(rows) else 0
