"""The order in which the words of a page are read: columns one after the other, and what runs over
all columns where it stands."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import accumulate, pairwise
from statistics import median

from services.reading.pdf_lines import Row, rows_of
from services.reading.pdf_words import Word

_GUTTER = 0.75  # of the size of the letters: the least room between columns
_DEEPEST = 5  # halvings: more columns than a page has
_TRIES = 4  # places looked at for a gutter
_CROSSED = 0.3  # of a row that leaves a place free, which a row across it counts against that


def in_reading_order(rows: list[Row], depth: int = 0) -> list[list[Row]]:
    """The rows of a page as groups, each of one column, in the order in which they are read."""
    if len(rows) < 3 or depth >= _DEEPEST:
        return [rows] if rows else []
    for x in _gutters(rows):
        bands = list(_bands(rows, x))
        if not any(columns for columns, _ in bands):
            continue
        groups: list[list[Row]] = []
        for columns, band in bands:
            if columns:
                for side in _sides(band, x):
                    groups += in_reading_order(rows_of(side), depth + 1)
            else:
                groups += in_reading_order(band, depth + 1)
        return groups
    return [rows]


def _sides(band: list[Row], x: float) -> tuple[list[Word], list[Word]]:
    left: list[Word] = []
    right: list[Word] = []
    for row in band:
        for word in row:
            (left if word.x1 <= x else right).append(word)
    return left, right


def _gutters(rows: list[Row]) -> list[float]:
    """Where most rows have room, best first: candidates for the middle of a gutter."""
    edges: list[tuple[float, int]] = []
    for row in rows:
        right = row[0].x1
        for word in row:
            if word[0] - right >= _GUTTER * word[4][0]:
                edges += [(right, 1), (word[0], -1)]
            if word[1] > right:
                right = word[1]
    edges.sort()
    found: list[tuple[int, float]] = []  # rows with room there, and the place
    count = 0
    for index, (x, step) in enumerate(edges):
        count += step
        if step > 0 and count >= 3 and edges[index + 1][1] < 0:
            found.append((count, (x + edges[index + 1][0]) / 2))
    crossings = _crossings(rows, [x for _, x in found])
    scored = [(count - _CROSSED * crossings[x], x) for count, x in found]
    scored.sort(reverse=True)
    return [x for _, x in scored[:_TRIES]]


def _crossings(rows: list[Row], places: list[float]) -> dict[float, int]:
    """How many words stand across each of the places, which ascend."""
    change = [0] * (len(places) + 1)
    for row in rows:
        for word in row:
            change[bisect_right(places, word.x0)] += 1
            change[bisect_left(places, word.x1)] -= 1
    return dict(zip(places, accumulate(change), strict=False))


def _bands(rows: list[Row], x: float) -> Iterator[tuple[bool, list[Row]]]:
    """The rows in bands from top to bottom, and whether a band is of two columns parted at `x`."""
    kept: list[Row] = []
    for apart, band in _runs(rows, x):
        if apart and _are_columns(band, x):
            if kept:
                yield False, kept
            yield True, band
            kept = []
        else:
            kept = kept + band
    if kept:
        yield False, kept


def _runs(rows: list[Row], x: float) -> Iterator[tuple[bool, list[Row]]]:
    """Consecutive rows that leave `x` free, and the others."""
    ys = [row[0].y for row in rows]
    leading = median(b - a for a, b in pairwise(ys))
    run: list[Row] = []
    free = True
    last = max((i for i, row in enumerate(rows) if row[-1].x0 >= x), default=-1)
    for index, row in enumerate(rows):
        alone = index < last and _stands_alone(rows, index, x, leading)
        now = _leaves_free(row, x) and not alone
        if run and now != free:
            yield free, run
            run = []
        free = now
        run.append(row)
    if run:
        yield free, run


def _leaves_free(row: Row, x: float) -> bool:
    left, right = 0.0, 1e9
    for word in row:
        if word.x1 <= x:
            left = max(left, word.x1)
        elif word.x0 >= x:
            right = min(right, word.x0)
        else:
            return False
    return left == 0.0 or right == 1e9 or right - left >= _GUTTER * row[0].style.size


def _stands_alone(rows: list[Row], index: int, x: float, leading: float) -> bool:
    """Whether a row on one side has room above and below on both: a heading over both columns."""
    row = rows[index]
    if row[0].x1 > x or row[-1].x1 > x:
        return False
    y, room = row[0].y, 1.45 * leading
    above = index == 0 or y - rows[index - 1][0].y >= room
    below = index == len(rows) - 1 or rows[index + 1][0].y - y >= room
    return above and below


def _are_columns(band: list[Row], x: float) -> bool:
    """Whether both sides are texts of their own, and not the cells of a table."""
    sides = _sides(band, x)
    if not all(sides):
        return False
    room = min(w.x0 for w in sides[1]) - max(w.x1 for w in sides[0])
    lines = [rows_of(side) for side in sides]
    if room < 0.6 * sides[0][0].style.size or min(map(len, lines)) < 3:
        return False
    return all(map(_is_prose, lines)) or _are_out_of_step(lines[0], lines[1])


def _is_prose(lines: list[Row]) -> bool:
    """Whether lines are filled with words, as those of a paragraph are."""
    widths = sorted(row[-1].x1 - row[0].x0 for row in lines)
    width = widths[(3 * len(widths)) // 4]  # a page number may stand far out
    words = sum(len(row) for row in lines)
    filled = sum(word.x1 - word.x0 for row in lines for word in row)
    letters = sum(len(word.text) for row in lines for word in row)
    spaceless = letters >= 8 * words  # Chinese and Japanese
    full = sum(wide >= 0.7 * width for wide in widths)
    return (words >= 2.5 * len(lines) or spaceless) and (
        filled >= 0.5 * width * len(lines) and full >= 0.5 * len(lines)
    )


def _are_out_of_step(left: list[Row], right: list[Row]) -> bool:
    """Whether the lines of two sides stand at different heights, which those of a table do not."""
    if min(len(left), len(right)) < 5:
        return False
    fewer, more = sorted((left, right), key=len)
    ys = [row[0].y for row in more]  # ascending
    near = 0.15 * fewer[0][0].style.size
    level = sum(
        bisect_right(ys, row[0].y + near) > bisect_left(ys, row[0].y - near) for row in fewer
    )
    return level < 0.5 * len(fewer)
