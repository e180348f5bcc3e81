"""Words of a page to lines, and lines to text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from services.reading.pdf_words import Style, Word

Row = list[Word]  # words on about one line, from left to right

_SAME_LINE = 0.4  # of the size of the letters
_RAISED = 0.56  # the same for letters of two sizes, as in exponents
_TALLEST_LINE = 0.85
_NO_SPACE = 0.06  # of the size: two words as near as this are one
_TABLE_GAP = 0.95  # of the size: more than a justified line has between words
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff]")
_WIDE = re.compile("[\u3000-\u30ff\u3400-\u9fff\uff00-\uffef]")


@dataclass(slots=True)
class Line:
    """A line of text; `left` and `right` are the edges of the column it stands in."""

    text: str
    x0: float
    x1: float
    y: float
    style: Style
    page: int
    left: float = 0.0
    right: float = 0.0
    first_width: float = 0.0  # of its first word
    letter_width: float = 0.0  # of one letter, about
    mono_share: float = 0.0  # of the letters


def rows_of(words: Iterable[Word]) -> list[Row]:
    """The words, line by line from top to bottom; in a line from left to right."""
    rows: list[Row] = []
    row: Row = []
    first = last = near = 0.0
    for word in sorted(words, key=_y):
        size = word.style.size
        if row:
            size = max(size, row[-1].style.size)
            raised = min(word.style.size, row[-1].style.size) < 0.86 * size
            near = (_RAISED if raised else _SAME_LINE) * size
        if row and word.y - last <= near and word.y - first <= _TALLEST_LINE * size:
            row.append(word)
        else:
            row = [word]
            rows.append(row)
            first = word.y
        last = word.y
    for row in rows:
        row.sort()
    return rows


def _y(word: Word) -> float:
    return word.y


def segments_of(row: Row) -> list[Row]:
    """A row cut where there is more room than between two words of a sentence."""
    parts: list[Row] = [[row[0]]]
    right = row[0].x1
    for word in row[1:]:
        if word.x0 - right > _TABLE_GAP * max(word.style.size, parts[-1][-1].style.size):
            parts.append([word])
        else:
            parts[-1].append(word)
        right = max(right, word.x1)
    return parts


def text_of(row: Sequence[Word]) -> str:
    """The words of a row as one line, with a space where there is room for one."""
    if len(row) == 1:
        return row[0].text
    if any(not w.text.isascii() and _RIGHT_TO_LEFT.search(w.text) for w in row):
        row = sorted(row, key=lambda w: w.order)
        return " ".join(w.text for w in row)
    parts = [row[0].text]
    before = row[0]
    for word in row[1:]:
        room = word.x0 - before.x1
        if (
            room > _NO_SPACE * before.style.size
            or word.order - before.order == len(before.text) + 1
        ):
            wide = room < before.style.size and _both_wide(before.text[-1:], word.text[:1])
            parts.append("" if wide else " ")
        parts.append(word.text)
        before = word
    return "".join(parts)


def _both_wide(a: str, b: str) -> bool:
    """Whether there is no space between two characters, as they are Chinese or Japanese."""
    return bool(a > "\u2fff" and b > "\u2fff" and _WIDE.match(a) and _WIDE.match(b))


def code_of(row: Sequence[Word], letter_width: float) -> str:
    """A row of letters of one width, with the spaces it shows between words."""
    parts = [row[0].text]
    for before, word in pairwise(row):
        room = word.x0 - before.x1
        parts.append(" " * min(60, max(room > 0.1, round(room / letter_width))))
        parts.append(word.text)
    return "".join(parts)


def line_of(row: Row, page: int, left: float, right: float) -> Line:
    style = style_of(row)
    longest = max(row, key=lambda w: len(w.text))
    letter_width = max(0.5, (longest.x1 - longest.x0) / max(1, len(longest.text)))
    text = code_of(row, letter_width) if style.mono else text_of(row)
    baseline = next(w.y for w in row if w.style.size >= style.size - 0.1)
    first = row[0]
    x1 = max(w.x1 for w in row)
    width = first.x1 - first.x0
    mono = sum(len(w.text) for w in row if w.style.mono) / sum(len(w.text) or 1 for w in row)
    return Line(text, first.x0, x1, baseline, style, page, left, right, width, letter_width, mono)


def right_edge(rows: Sequence[Row]) -> float:
    """Where most lines of a column end; a line may run over that, and a table too."""
    ends = sorted(max(w.x1 for w in row) for row in rows)
    end, times = Counter(round(x) for x in ends).most_common(1)[0]
    if times >= max(3, 0.15 * len(ends)) and end > 0.6 * ends[-1]:
        return end + 0.5
    return ends[int(0.9 * (len(ends) - 1))] if len(ends) > 8 else ends[-1]


def style_of(row: Sequence[Word]) -> Style:
    """The style of most of the letters; bold and monospaced only if nearly all are."""
    first = row[0].style
    if all(w.style is first or w.style == first for w in row):
        return first
    total = sum(len(w.text) for w in row)
    sizes: Counter[float] = Counter()
    bold = mono = 0
    for word in row:
        length = len(word.text)
        sizes[word.style.size] += length
        bold += length * word.style.bold
        mono += length * word.style.mono
    return Style(sizes.most_common(1)[0][0], bold >= 0.9 * total, mono >= 0.8 * total)
