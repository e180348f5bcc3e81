"""Which lines of a PDF are headings, by its outline (bookmarks) and by how they are printed."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import pypdfium2 as pdfium
from pypdfium2 import PdfiumError

from services.reading.pdf_lines import Line
from services.reading.pdf_tables import Table

_MOST_BOOKMARKS = 20_000
_LARGER = 1.12  # than the text, by which a line is taken for a heading
_LONGEST = 160
_LISTED = re.compile(r"^([•◦▪‣○●■□*·\u2013—>$#%/]|-\s|\(?[a-z]\)|\d+\))")
_LEADER = re.compile(r"(\. ?){4,}|…{2,}|_{4,}")  # of a table of contents
_WITH_PAGE = re.compile(r"\s(\d+|[ivxl]+)$")
_LETTER = re.compile(r"[^\W\d_]")
_PLACE = re.compile(
    r"^((chapter|kapitel|appendix|anhang|section|part)\s+)?(([A-Z]\.?)?[\d.]*\d[.:)]?|[A-Z][.:])?\s+",
    re.I,
)
# Titles of boxes, under which only the next paragraph belongs.
ADMONITION = re.compile(
    r"(note|tip|warning|caution|important|hint|hinweis|achtung|warnung|tipp|wichtig)s?:?", re.I
)

Outline = dict[int, dict[str, int]]  # page -> title -> level


def outline_of(document: pdfium.PdfDocument) -> Outline:
    """The titles of the bookmarks by page, from 1; levels from 1 to 6."""
    outline: Outline = defaultdict(dict)
    try:
        for index, mark in enumerate(document.get_toc(max_depth=6)):
            if index >= _MOST_BOOKMARKS:
                break
            target = mark.get_dest()
            page = target.get_index() if target else None
            if page is not None:
                outline[page + 1].setdefault(_plainest(mark.get_title()), min(6, mark.level + 1))
    except (PdfiumError, ValueError, IndexError):
        return {}
    return outline


def _plainest(title: str) -> str:
    """A title without its number, spaces and case: bookmarks and pages differ in those."""
    return re.sub(r"\W+", "", _PLACE.sub("", title, count=1).casefold())


def _ranks(sizes: Counter[int]) -> dict[int, int]:
    """Sizes to levels. Those used once or twice, on a title page, make nothing deeper than 2."""
    usual = sorted((size for size, times in sizes.items() if times > 2), reverse=True)
    usual = usual or sorted(sizes, reverse=True)
    titled = max(sizes, default=0) > usual[0] if usual else False
    return {
        size: min(6, 1 + sum(other > size for other in usual) + (titled and size <= usual[0]))
        for size in sizes
    }


class Headings:
    """Knows the level of each line that is a heading."""

    def __init__(self, pages: Sequence[Iterable[Line | Table]], outline: Outline) -> None:
        lines = [item for items in pages for item in items if isinstance(item, Line)]
        letters: Counter[float] = Counter()
        mono = total = bold = 0
        for line in lines:
            size, length = line.style.size, len(line.text)
            total += length
            mono += length * line.style.mono
            bold += length * line.style.bold
            if not line.style.mono:
                letters[size] += length
        self.all_mono = mono > 0.7 * total
        self.all_bold = bold > 0.4 * total
        self.body = letters.most_common(1)[0][0] if letters else 10.0
        self._outline = outline
        leaders = Counter(line.page for line in lines if _LEADER.search(line.text))
        self._contents = {page for page, times in leaders.items() if times >= 5}
        self._levels = self._learned(lines)
        larger = Counter(round(line.style.size * 2) for line in lines if self._is_larger(line))
        self._ranks = _ranks(larger)

    def _learned(self, lines: list[Line]) -> dict[tuple[int, bool], int]:
        """The level at which most bookmarked lines of a size are."""
        votes: dict[tuple[int, bool], Counter[int]] = defaultdict(Counter)
        for line in lines:
            if level := self._bookmarked(line):
                votes[round(line.style.size * 2), line.style.bold][level] += 1
        return {style: levels.most_common(1)[0][0] for style, levels in votes.items()}

    def _bookmarked(self, line: Line) -> int | None:
        titles = self._outline.get(line.page)
        if (
            not titles
            or _LEADER.search(line.text)
            or len(line.text) > _LONGEST
            or _LISTED.match(line.text)
        ):
            return None
        stands_out = line.style.bold or line.style.size > 1.05 * self.body
        return titles.get(_plainest(line.text)) if stands_out or not line.style.mono else None

    def _is_larger(self, line: Line) -> bool:
        return (
            line.style.size >= _LARGER * self.body
            and not (line.style.mono and not self.all_mono)
            and len(line.text) <= _LONGEST
            and bool(_LETTER.search(line.text))
            and not _LEADER.search(line.text)
        )

    def level(self, line: Line, before: Line | None, after: Line | None) -> int | None:
        """The level of `line` between its neighbours, or None if it is no heading."""
        if line.page in self._contents and _WITH_PAGE.search(line.text):
            return None
        if level := self._bookmarked(line):
            return level
        if ADMONITION.fullmatch(line.text):
            return None
        if self._is_larger(line):
            if _LISTED.match(line.text) or line.text[-1:] in ",;":
                return None
            size = round(line.style.size * 2)
            learned = self._levels.get((size, line.style.bold))
            return learned or self._ranks.get(size)
        if self._is_bold_line(line, before, after):
            known = self._levels.get((round(line.style.size * 2), True))
            deepest = max([*self._levels.values(), *self._ranks.values()], default=0)
            return known or min(6, deepest + 1)
        return None

    def _is_bold_line(self, line: Line, before: Line | None, after: Line | None) -> bool:
        """Whether a line is a bold one of its own, with room above and text below."""
        style = line.style
        if not style.bold or style.mono or self.all_bold or style.size < 0.95 * self.body:
            return False
        if len(line.text) > 90 or line.text[-1:] in ".,;:" or not _LETTER.search(line.text):
            return False
        if _LISTED.match(line.text) or _LEADER.search(line.text):
            return False
        if not after or after.style.bold:
            return False
        if before is None or before.page != line.page or before.y > line.y:
            return True
        return line.y - before.y > 1.35 * style.size
