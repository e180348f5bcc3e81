"""Words of a page to lines, and lines to text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import itemgetter

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
    letter_width: float = 0.0  # of one letter, if they are all of one width
    mono_share: float = 0.0  # of the letters


_y = itemgetter(2)  # of a word: faster than by its name, and asked for millions of times


def rows_of(words: Iterable[Word]) -> list[Row]:
    """The words, line by line from top to bottom; in a line from left to right."""
    rows: list[Row] = []
    row: Row = []
    first = last = last_size = 0.0
    for word in sorted(words, key=_y):
        y, size = word[2], word[4][0]
        larger, smaller = (size, last_size) if size > last_size else (last_size, size)
        near = (_RAISED if smaller < 0.86 * larger else _SAME_LINE) * larger
        if row and y - last <= near and y - first <= _TALLEST_LINE * larger:
            row.append(word)
        else:
            row = [word]
            rows.append(row)
            first = y
        last, last_size = y, size
    for row in rows:
        row.sort()
    return rows


def segments_of(row: Row) -> list[Row]:
    """A row cut where there is more room than between two words of a sentence."""
    right = row[0].x1
    part: Row = []
    parts = [part]
    for word in row:
        if word[0] - right > _TABLE_GAP * word[4][0] and part:
            part = []
            parts.append(part)
        part.append(word)
        if word[1] > right:
            right = word[1]
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
    letter_width = 0.0
    if style.mono:
        longest = max(row, key=lambda w: len(w.text))
        letter_width = max(0.5, (longest.x1 - longest.x0) / max(1, len(longest.text)))
        text = code_of(row, letter_width)
    else:
        text = text_of(row)
    baseline = next(w.y for w in row if w.style.size >= style.size - 0.1)
    first = row[0]
    x1 = max(w.x1 for w in row)
    width = first.x1 - first.x0
    mono = 1.0 if style.mono else _mono_share(row)
    return Line(text, first.x0, x1, baseline, style, page, left, right, width, letter_width, mono)


def _mono_share(row: Sequence[Word]) -> float:
    mono = sum(len(w.text) for w in row if w.style.mono)
    return mono / sum(len(w.text) or 1 for w in row) if mono else 0.0


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
