"""Running headers, footers and page numbers: what stands at the edges of page after page."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from services.reading.pdf_lines import Line
from services.reading.pdf_tables import Table

_DEEP = 3  # lines at each edge of a page that may be running ones
_ZONE = 0.25  # of the height of a page, at its top and at its foot
_APART = 1.55  # of the size: the room between a running line and the text
_NEAR = 3.0  # points by which a running line may stand higher or lower
_TOKEN = re.compile(r"\d+|\b[ivxlc]+\b")
_PAGE_WORD = re.compile(r"(page|seite|p[áa]gina|p\.)\s*$", re.I)
_PAGE_OF = re.compile(
    r"\W*(page|seite|página|pagina|p\.)?\W*\d+(\W*(of|/|von|de|di|sur)\W*\d+)?\W*", re.I
)
_PART_AND_PAGE = re.compile(r"\W*\w{1,3}\s?[-\u2013.]\s?\d{1,3}\W*")
_ROMAN = {"i": 1, "v": 5, "x": 10, "l": 50, "c": 100}

Item = Line | Table


@dataclass(frozen=True, slots=True)
class _Edge:
    """A line near the top or the foot of a page."""

    page: int
    top: bool
    line: Line
    key: str  # the text, with # for the number of the page
    apart: bool  # whether there is room between it and the text further in


def without_running_lines(
    pages: Sequence[list[Item]], heights: Sequence[float]
) -> tuple[list[list[Item]], Counter[str]]:
    """The pages without their running lines, and how often each of those was found."""
    edges = [
        edge
        for items, height in zip(pages, heights, strict=True)
        for top in (True, False)
        for edge in _edges(items, height, top)
    ]
    offsets = _page_number_offsets(edges)
    same = Counter(text for _, text in {(edge.page, edge.line.text) for edge in edges})
    edges = [_with_key(edge, offsets, same) for edge in edges]
    running = _running(edges, len(pages), _body_size(pages))
    outermost = defaultdict(list)
    for edge in edges:
        outermost[edge.page, edge.top].append(edge)
    found: dict[int, dict[int, _Edge]] = defaultdict(dict)  # page -> id of a line
    for group in outermost.values():
        for edge in _outer_part(group, running):
            found[edge.page][id(edge.line)] = edge
    emptied = {page for page, out in found.items() if len(out) == len(pages[page - 1])}
    # What is all there is on a page is its text, unless other pages show that it is not.
    proved = {e.key for page, out in found.items() if page not in emptied for e in out.values()}
    texts: Counter[str] = Counter()
    left: list[list[Item]] = []
    for page, items in enumerate(pages, start=1):
        out = {
            line: edge
            for line, edge in found[page].items()
            if page not in emptied or edge.key in proved or not re.search(r"[^\W\d#]", edge.key)
        }
        texts.update(list(dict.fromkeys(edge.key for edge in out.values())))
        left.append([item for item in items if id(item) not in out])
    return left, texts


def _body_size(pages: Sequence[list[Item]]) -> float:
    letters: Counter[float] = Counter()
    for items in pages:
        for item in items:
            if isinstance(item, Line):
                letters[item.style.size] += len(item.text)
    return letters.most_common(1)[0][0] if letters else 10.0


def _edges(items: list[Item], height: float, top: bool) -> list[_Edge]:
    """The lines from the edge of a page inwards, as far as a table or `_DEEP` heights."""
    tables = [item for item in items if isinstance(item, Table)]
    lines = sorted(
        (item for item in items if isinstance(item, Line)), key=lambda i: i.y, reverse=not top
    )
    if top and tables:
        lines = [line for line in lines if line.y <= min(t.y for t in tables) + 1]
    elif tables:
        lines = [line for line in lines if line.y >= max(t.bottom for t in tables) - 1]
    edges: list[_Edge] = []
    heights: list[float] = []
    for index, line in enumerate(lines):
        if (line.y > _ZONE * height) if top else (line.y < (1 - _ZONE) * height):
            break
        if not heights or abs(line.y - heights[-1]) > 1:
            heights.append(line.y)
            if len(heights) > _DEEP:
                break
        inner = next((o for o in lines[index + 1 :] if abs(o.y - line.y) > 1), None)
        size = max(line.style.size, inner.style.size) if inner and top else line.style.size
        apart = inner is None or abs(inner.y - line.y) > _APART * size
        edges.append(_Edge(line.page, top, line, line.text, apart))
    return edges


def _number(token: str) -> int | None:
    if token.isdigit():
        return int(token) if len(token) < 6 else None
    values = [_ROMAN[letter] for letter in token]
    pairs = zip(values, [*values[1:], 0], strict=True)
    return sum(-value if value < after else value for value, after in pairs)


def _tokens(text: str) -> list[re.Match[str]]:
    """The numbers of a line that could be that of the page."""
    if len(text) > 200:
        return []
    found = [
        m
        for m in _TOKEN.finditer(text)
        if m.start() <= 2 or m.end() >= len(text) - 2 or _PAGE_WORD.search(text, 0, m.start())
    ]
    ends = (0, len(text))
    return [m for m in found if m[0].isdigit() or m.start() in ends or m.end() in ends]


def _page_number_offsets(edges: list[_Edge]) -> Counter[int]:
    """By how much printed page numbers differ from counted ones, and on how many pages."""
    pages: dict[int, set[int]] = defaultdict(set)
    for edge in edges:
        for token in _tokens(edge.line.text):
            number = _number(token[0])
            if number is not None:
                pages[number - edge.page].add(edge.page)
    return Counter({offset: len(on) for offset, on in pages.items() if len(on) >= 2})


def _with_key(edge: _Edge, offsets: Counter[int], same: Counter[str]) -> _Edge:
    text = edge.line.text
    key = text
    numbers = [(_number(token[0]), token) for token in _tokens(text)]
    known = [(offsets[n - edge.page], t) for n, t in numbers if n is not None]
    known = [pair for pair in known if pair[0] and same[text] < 2]
    if known:
        _, token = max(known, key=lambda pair: pair[0])
        key = f"{text[: token.start()]}#{text[token.end() :]}"
    elif _PART_AND_PAGE.fullmatch(text) and any(c.isdigit() for c in text):
        key = "#-#"
    return _Edge(edge.page, edge.top, edge.line, key.strip(), edge.apart)


def _running(edges: list[_Edge], pages: int, body: float) -> set[int]:
    """The ids of lines that are repeated, or stand where nearly all others are repeated."""
    seen: dict[tuple[bool, str, float], list[_Edge]] = defaultdict(list)
    for edge in edges:
        seen[edge.top, edge.key, round(edge.line.style.size)].append(edge)
    running: set[int] = set()
    enough = 3 if pages > 4 else 2
    for (_, key, _), group in seen.items():
        level = _at_one_height(group)
        if "#" in key and group[0].line.style.size > 1.15 * body:
            continue  # "Chapter 2" on page 2
        on = {edge.page for edge in level}
        alone = len(on) >= 2 and "#" in key and len(key) < 12
        if len(on) >= enough or alone:
            running.update(id(edge.line) for edge in level)
        if not re.search(r"[^\W\d#]", key):
            running.update(id(e.line) for e in group if "#" in e.key and e.apart and pages > 1)
    if pages <= 4:
        running.update(
            id(e.line)
            for e in edges
            if e.apart
            and re.search(r"[a-z/]", e.line.text, re.I)
            and _PAGE_OF.fullmatch(e.line.text)
        )
    return running | _in_their_place(edges, running, body)


def _ends(key: str) -> tuple[str, ...]:
    """How a line begins and ends: a header names the chapter at one side and the section at the
    other."""
    words = key.split()
    return (" ".join(words[:3]), " ".join(words[-3:])) if len(words) > 3 else (key,)


def _at_one_height(group: list[_Edge]) -> list[_Edge]:
    """Those of a group that stand where most of it stands."""
    heights = Counter(round(edge.line.y / _NEAR) for edge in group)
    usual = heights.most_common(1)[0][0] * _NEAR
    return [edge for edge in group if abs(edge.line.y - usual) <= 2 * _NEAR]


def _in_their_place(edges: list[_Edge], running: set[int], body: float) -> set[int]:
    """Lines as high and as large as running ones are: the header of a chapter of one page."""
    places: dict[tuple[bool, int, int], list[_Edge]] = defaultdict(list)
    for edge in edges:
        if edge.line.style.size <= 1.1 * body and len(edge.key) < 150:
            places[edge.top, round(edge.line.y), round(edge.line.style.size)].append(edge)
    found: set[int] = set()
    for group in places.values():
        apart = [edge for edge in group if edge.apart]
        if len(apart) < max(5, 0.8 * len(group)):
            continue
        ends = Counter(end for edge in apart for end in _ends(edge.key))
        known = sum(
            id(edge.line) in running or any(ends[end] > 2 for end in _ends(edge.key))
            for edge in apart
        )
        if known >= 0.6 * len(apart):
            found.update(id(edge.line) for edge in apart)
    return found


def _outer_part(group: list[_Edge], running: set[int]) -> list[_Edge]:
    """From the edge inwards, the running lines before the room that parts them from the text."""
    part: list[_Edge] = []
    whole: list[_Edge] = []
    for edge in group:
        if id(edge.line) not in running:
            break
        part.append(edge)
        if edge.apart or (len(part) == 1 and "#" in edge.key):
            whole = list(part)
    return whole
