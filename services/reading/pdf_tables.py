"""Tables without drawn lines between their columns: words that stand below each other."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from services.reading.pdf_drawn import Rule
from services.reading.pdf_lines import Row, segments_of, style_of, text_of

_NUMBER = re.compile(r"^[-+(<>~≈$€£¥]?\s?\d")
_MARKER = re.compile(r"^([•◦▪‣○●■□*·\u2013—-]|\(?\d{1,3}[.)]|\(?[a-zA-Z][.)]|\[\d+\]|[ivx]+[.)])$")
_LEADER = re.compile(r"(\. ?){4,}|…{2,}|_{4,}")
_FILLED = 0.45  # of the cells of a table: a formula in pieces has less
_FAR = 2.3  # of the size: rows of one table are not farther apart
_NEXT_LINE = 1.45  # of the size: a line of the same cell is not farther below
_MORE_ROOM = 1.15  # between rows than between lines
_FEWEST_ROWS = 3
_MOST_LINES = 200  # of a table on a page
_MOST_LINES_OF_ROW = 8


@dataclass(slots=True)
class Table:
    rows: list[list[str]]
    header: bool  # whether the first row names the columns
    page: int
    y: float
    bottom: float
    x0: float = 0.0
    x1: float = 0.0


def lines_joined(lines: list[str]) -> str:
    """Lines of a cell as one, without the hyphens at their ends."""
    text = ""
    for line in lines:
        text = text[:-1] + line if text.endswith("\u00ad") else f"{text} {line}" if text else line
    return text.replace("\u00ad", "-")


def names_columns(rows: list[list[str]]) -> bool:
    """Whether the first row differs from the others in kind: words above numbers."""
    first, rest = rows[0], rows[1:]
    if not rest or any(_NUMBER.match(cell) for cell in first) or sum(map(bool, first)) < 2:
        return False
    if any(len(cell) > 60 for cell in first):
        return False
    for index, name in enumerate(first):
        cells = [row[index] for row in rest if index < len(row) and row[index]]
        if name and cells and sum(bool(_NUMBER.match(cell)) for cell in cells) >= 0.6 * len(cells):
            return True
        if all(first) and _is_label_above_sentences(name, cells, first):
            return True
    return False


def _is_label_above_sentences(name: str, cells: list[str], first: list[str]) -> bool:
    short = all(
        3 <= len(cell) <= 25 and cell[-1] not in ".;,:" and cell[0].isalpha() for cell in first
    )
    return short and len(cells) > 1 and median(map(len, cells)) >= 3 * len(name)


def carry_headers(pages: Iterable[Sequence[object]]) -> None:
    """Give a table that goes on at the top of a page the header it has on the page before."""
    above: Table | None = None
    for items in pages:
        first = items[0] if items else None
        if isinstance(first, Table) and above and not first.header and _goes_on(above, first):
            first.rows.insert(0, above.rows[0])
            first.header = True
        last = items[-1] if items else above
        above = last if isinstance(last, Table) and last.header else None


def _goes_on(above: Table, below: Table) -> bool:
    same = len(above.rows[0]) == len(below.rows[0])
    return same and abs(above.x0 - below.x0) < 12 and abs(above.x1 - below.x1) < 12


def with_tables(rows: list[Row], rules: list[Rule], page: int) -> Iterator[Row | Table]:
    """The rows as they come, with a table in place of those that are one."""
    parts = [_segments(row) for row in rows]
    index = 0
    while index < len(rows):
        end = _run(parts, index)
        begins = _rows_with_room(parts, index)
        if begins and begins[-1] >= end:
            end = begins.pop()
            table = _table(parts[index:end], rules, page, {at - index for at in begins})
        else:
            table = _table(parts[index:end], rules, page) if end > index else None
        if table:
            yield table
        else:
            end = max(end, index + 1)
            yield from rows[index:end]
        index = end


def _segments(row: Row) -> list[Row]:
    parts = segments_of(row)
    if len(parts) == 1:
        return parts
    if len(parts[0]) == 1 and _MARKER.match(parts[0][0].text):
        parts[:2] = [parts[0] + parts[1]]
    if len(parts) > 1 and (style_of(row).mono or _LEADER.search(text_of(row))):
        return [row]
    return parts


def _run(parts: list[list[Row]], start: int) -> int:
    """The end of the rows from `start` that could be one table, or `start`."""
    if len(parts[start]) < 2:
        return start
    end, spans = start, _extents(parts[start])
    for index in range(start, len(parts)):
        row = parts[index]
        if index > start and _distance(parts[index - 1], row) > _FAR:
            break
        if len(row) == 1:
            if not _fits_one(row[0], spans):
                break
            continue
        joint = _joined_extents(spans + _extents(row))
        if len(joint) < 2 or (index > start and not _keeps_columns(spans, joint)):
            break
        spans = joint
        end = index + 1
    # What follows the last row with several cells, if it goes on with one of them.
    while end < len(parts) and len(parts[end]) == 1 and end > start + 1:
        near = _distance(parts[end - 1], parts[end]) < 1.35
        if not near or not _fits_one(parts[end][0], spans[1:]):
            break
        end += 1
    several = [row for row in parts[start:end] if len(row) > 1]
    enough = len(several) >= 3 or (len(several) == 2 and min(map(len, several)) >= 3)
    return end if enough else start


def _distance(above: list[Row], below: list[Row]) -> float:
    return (below[0][0].y - above[0][0].y) / max(1.0, below[0][0].style.size)


def _extents(row: list[Row]) -> list[tuple[float, float]]:
    return [(part[0].x0, max(w.x1 for w in part)) for part in row]


def _joined_extents(spans: list[tuple[float, float]]) -> list[tuple[float, float]]:
    joint: list[tuple[float, float]] = []
    for x0, x1 in sorted(spans):
        if joint and x0 <= joint[-1][1] + 1:
            joint[-1] = (joint[-1][0], max(joint[-1][1], x1))
        else:
            joint.append((x0, x1))
    return joint


def _keeps_columns(before: list[tuple[float, float]], joint: list[tuple[float, float]]) -> bool:
    """Whether no two columns have run into each other."""
    return all(sum(a[0] <= b[0] and b[1] <= a[1] for b in before) <= 1 for a in joint)


def _fits_one(part: Row, spans: list[tuple[float, float]]) -> bool:
    x0, x1 = part[0].x0, max(w.x1 for w in part)
    touched = [s for s in spans if s[0] <= x1 and x0 <= s[1]]
    return len(touched) == 1 and abs(touched[0][0] - x0) < 25 and x1 <= touched[0][1] + 25


def _rows_with_room(parts: list[list[Row]], start: int) -> list[int]:
    """Where each row of a table begins that starts with `start`, and its end, if there is more room
    between its rows than between the lines of a cell; else nothing."""
    if len(parts[start]) < 2:
        return []
    end = start + 1
    while (
        end < min(len(parts), start + _MOST_LINES) and _distance(*parts[end - 1 : end + 1]) <= _FAR
    ):
        end += 1
    steps = [_distance(*parts[index - 1 : index + 1]) for index in range(start + 1, end)]
    for within, between in pairwise(sorted(set(steps))):
        if 0.45 <= within <= _NEXT_LINE and between >= _MORE_ROOM * within:
            begins = [index for index, step in enumerate(steps, start + 1) if step >= between]
            if rows := _rows_that_fit(parts, [start, *begins, end]):
                return rows
    return []


def _rows_that_fit(parts: list[list[Row]], bounds: list[int]) -> list[int]:
    """The first of the bounds, between which there is one row of a table each; if any, three."""
    spans: list[tuple[float, float]] = []
    fit = bounds[:1]
    for begin, end in pairwise(bounds):
        lines = parts[begin:end]
        joint = _joined_extents(spans + [extent for line in lines for extent in _extents(line)])
        if len(joint) < 2 or not _keeps_columns(spans, joint) or not _is_one_row(lines, joint):
            break
        spans = joint
        fit.append(end)
    filled = Counter(
        column
        for begin, end in pairwise(fit)
        for column in {_column(part, spans) for line in parts[begin:end] for part in line}
    )
    fits = len(fit) > _FEWEST_ROWS and fit[-1] - fit[0] >= len(fit)
    return fit if fits and min(filled.values()) > _FILLED * (len(fit) - 1) else []


def _is_one_row(lines: list[list[Row]], spans: list[tuple[float, float]]) -> bool:
    """Whether lines are those of cells beside each other. Rows of their own fill each column, or
    have numbers below each other."""
    columns = [[(_column(part, spans), text_of(part)) for part in line] for line in lines]
    filled = {column for line in columns for column, _ in line}
    full = sum(len({column for column, _ in line}) == len(filled) for line in columns)
    numbers = Counter(column for line in columns for column, text in line if _NUMBER.match(text))
    return (
        0 in filled
        and len(filled) > 1
        and full < 2
        and len(lines) <= _MOST_LINES_OF_ROW
        and max(numbers.values(), default=0) < 2
    )


def _column(part: Row, spans: list[tuple[float, float]]) -> int:
    return max(index for index, span in enumerate(spans) if span[0] <= part[0].x0 + 1)


def _table(
    parts: list[list[Row]], rules: list[Rule], page: int, begins: set[int] | None = None
) -> Table | None:
    """The table in lines, if they are one; `begins` says with which of them a row begins."""
    spans = _joined_extents([s for row in parts for s in _extents(row)])
    if len(spans) < 2:
        return None
    lines: list[list[list[str]]] = []  # row -> column -> lines of the cell
    reach: list[float] = []  # how far the cell of each column went in the last line
    for index, row in enumerate(parts):
        cells: list[Row] = [[] for _ in spans]
        for part in row:
            at = _column(part, spans)
            cells[at] = cells[at] + part
        filled = [i for i, cell in enumerate(cells) if cell]
        goes_on = bool(
            lines
            and (not cells[0] or filled == [0])
            and _distance(parts[index - 1], row) < _NEXT_LINE
            and all(lines[-1][i] and reach[i] >= 0.6 for i in filled)
        )
        if index in begins if begins else not goes_on:
            lines.append([[] for _ in spans])
            reach = [0.0] * len(spans)
        for i in filled:
            lines[-1][i].append(text_of(cells[i]))
            reach[i] = (cells[i][-1].x1 - spans[i][0]) / max(1.0, spans[i][1] - spans[i][0])
    rows = [[lines_joined(cell) for cell in row] for row in lines]
    if len(rows) < 2 or sum(bool(cell) for row in rows for cell in row) < _FILLED * len(rows) * len(
        spans
    ):
        return None
    below = min(begins - {0}) if begins else 1  # the number of the line below the first row
    y0, y1 = parts[below - 1][0][0].y, parts[below][0][0].y
    first = [w for row in parts[:below] for part in row for w in part]
    rest = [w for row in parts[below:] for part in row for w in part]
    bold = style_of(first).bold and not style_of(rest).bold
    width = spans[-1][1] - spans[0][0]
    line = any(r.y0 == r.y1 and y0 < r.y0 < y1 and r.x1 - r.x0 > 0.5 * width for r in rules)
    others = any(r.y0 == r.y1 and y1 < r.y0 < parts[-1][0][0].y for r in rules)
    header = sum(map(bool, rows[0])) > 1 and (bold or (line and not others) or names_columns(rows))
    return Table(rows, header, page, parts[0][0][0].y, parts[-1][0][0].y, spans[0][0], spans[-1][1])
