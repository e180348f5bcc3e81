"""Tables with drawn lines between their columns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from services.reading.pdf_drawn import Rule
from services.reading.pdf_lines import Row, rows_of, style_of, text_of
from services.reading.pdf_tables import Table, lines_joined, names_columns
from services.reading.pdf_words import Word

_NEAR = 3.0  # points between lines that are drawn at the same place


@dataclass(slots=True)
class _Grid:
    xs: list[float] = field(default_factory=list)
    ys: list[float] = field(default_factory=list)
    upright: list[Rule] = field(default_factory=list)


def _merged(values: list[float]) -> list[float]:
    """Sorted, and one for those that are near each other."""
    merged: list[float] = []
    for value in sorted(values):
        if not merged or value - merged[-1] > _NEAR:
            merged.append(value)
    return merged


def ruled_tables(rules: list[Rule], words: list[Word], page: int) -> list[tuple[Table, list[Word]]]:
    """The tables with drawn lines between columns, each with the words in it."""
    found = []
    for grid in _grids(rules):
        x0, x1, y0, y1 = grid.xs[0], grid.xs[-1], grid.ys[0], grid.ys[-1]
        inside = [
            w
            for w in words
            if x0 - 1 <= (w.x0 + w.x1) / 2 <= x1 + 1 and y0 < w.y - 0.3 * w.style.size <= y1
        ]
        rows = list(_rows_of_grid(grid, inside))
        used = [number for number in range(len(grid.xs) - 1) if any(row[number] for row in rows)]
        rows = [[row[number] for number in used] for row in rows]
        filled = [[cell for cell in row if cell] for row in rows]
        filled = [row for row in filled if row]
        if len(filled) < 2 or max(map(len, filled)) < 2:
            continue
        rows = [row for row in rows if any(row)]
        header = len(filled[0]) > 1 and names_columns(rows)
        top = [w for w in inside if w.y <= grid.ys[1]]
        header = header or (
            bool(top) and style_of(top).bold and not style_of(inside).bold and len(filled[0]) > 1
        )
        found.append((Table(rows, header, page, y0, y1, x0, x1), inside))
    return found


def _grids(rules: list[Rule]) -> Iterator[_Grid]:
    """Groups of flat and upright lines that touch, with two columns and a row at least."""
    flat = [r for r in rules if r.y0 == r.y1 and r.x1 - r.x0 > 8]
    upright = [r for r in rules if r.x0 == r.x1 and r.y1 - r.y0 > 4]
    if len(flat) < 2 or not upright or len(flat) + len(upright) > 3_000:
        return
    for y0, y1 in _spans(upright):
        own = [r for r in upright if y0 - _NEAR <= r.y0 and r.y1 <= y1 + _NEAR]
        left, right = min(r.x0 for r in own), max(r.x0 for r in own)
        across = [
            r
            for r in flat
            if y0 - _NEAR <= r.y0 <= y1 + _NEAR and r.x0 <= right + _NEAR and r.x1 >= left - _NEAR
        ]
        if len(across) < 2:
            continue
        edges = [min(r.x0 for r in across), max(r.x1 for r in across)]
        xs = _merged([r.x0 for r in own] + edges)
        wide = 0.5 * (xs[-1] - xs[0])
        ys = [y for y in _merged([r.y0 for r in across]) if _covered(across, y) >= wide]
        if len(xs) >= 3 and len(ys) >= 2:
            yield _Grid(xs, ys, own)


def _covered(flat: list[Rule], y: float) -> float:
    return sum(r.x1 - r.x0 for r in flat if abs(r.y0 - y) <= _NEAR)


def _spans(upright: list[Rule]) -> list[tuple[float, float]]:
    """The heights that upright lines cover together."""
    spans: list[tuple[float, float]] = []
    for rule in sorted(upright, key=lambda r: r.y0):
        if spans and rule.y0 <= spans[-1][1] + _NEAR:
            spans[-1] = (spans[-1][0], max(spans[-1][1], rule.y1))
        else:
            spans.append((rule.y0, rule.y1))
    return spans


def _rows_of_grid(grid: _Grid, words: list[Word]) -> Iterator[list[str]]:
    for top, bottom in zip(grid.ys, grid.ys[1:], strict=False):
        middle = (top + bottom) / 2
        edges = _merged([r.x0 for r in grid.upright if r.y0 <= middle <= r.y1])
        inner = [x for x in edges if grid.xs[0] + _NEAR < x < grid.xs[-1] - _NEAR]
        band = [w for w in words if top < w.y - 0.3 * w.style.size <= bottom]
        lines = rows_of(band)
        if len(grid.ys) <= 3 and len(lines) > 2 and _in_step(lines, inner):
            yield from (_cells(line, inner, grid.xs) for line in lines)
        elif band:
            yield _cells(band, inner, grid.xs)


def _in_step(lines: list[Row], inner: list[float]) -> bool:
    """Whether each line is a row of its own, with no line drawn below it."""
    return all(len({sum(w.x0 > x for x in inner) for w in line}) > len(inner) / 2 for line in lines)


def _cells(words: list[Word], inner: list[float], xs: list[float]) -> list[str]:
    """One text for each column of the grid; a cell over several columns is in the first of them."""
    columns: list[list[Word]] = [[] for _ in xs[1:]]
    starts = [xs[0], *inner]
    for word in words:
        start = starts[sum((word.x0 + word.x1) / 2 > x for x in inner)]
        at = min(range(len(columns)), key=lambda i: abs(xs[i] - start))
        columns[at].append(word)
    return [_cell(cell) for cell in columns]


def _cell(words: list[Word]) -> str:
    return lines_joined([text_of(row) for row in rows_of(words)]) if words else ""
