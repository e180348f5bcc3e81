"""What pdfium finds on a page: words, form values, lines that are drawn. Top-down coordinates, in
points; a turned page is turned upright."""

from __future__ import annotations

import ctypes
import math
import re
from dataclasses import dataclass, field
from typing import NamedTuple

import pypdfium2 as pdfium
import pypdfium2.raw as c

from services.reading.pdf_characters import HYPHEN_AT_LINE_END, plain

# pdfium writes U+FFFE (U+0002 in older versions) for a hyphen at the end of a line, and goes on
# with the next line without a space.
_WORD = re.compile("[^\\s\ufffe\u0002]+[\ufffe\u0002]?|[\ufffe\u0002]")
_BROKEN = re.compile("[\ufffe\u0002]")
_MOST_DRAWN = 4_000  # objects of a page looked at for lines: a map has hundreds of thousands
_THIN = 2.5
_MONOSPACE = re.compile(
    r"mono|courier|consol|typewriter|menlo|fixed|(^|\+)(cm|ec|sf|lm)(tt|tc|sltt)|inconsolata"
    r"|(^|[+-])code",
    re.I,
)
_BOLD = re.compile(r"bold|black|heavy|demi|(^|\+)(cmbx|cmssbx|ecbx|sfbx|ecssdc|ptmb|phvb)", re.I)


class Style(NamedTuple):
    """How letters look: `size` in points as seen, so after all scaling."""

    size: float
    bold: bool
    mono: bool


class Word(NamedTuple):
    """Letters without a space between them. `y` is the line they stand on; `order` their place in
    the file."""

    x0: float
    x1: float
    y: float
    text: str
    style: Style
    order: int


class Rule(NamedTuple):
    """A drawn line. Flat if y0 == y1, upright if x0 == x1."""

    x0: float
    y0: float
    x1: float
    y1: float


@dataclass(slots=True)
class Page:
    """A page as it lies before the eye. `sideways` holds words that run up or down."""

    number: int
    width: float
    height: float
    words: list[Word] = field(default_factory=list)
    sideways: list[Word] = field(default_factory=list)
    rules: list[Rule] = field(default_factory=list)
    images: int = 0
    turn: Turn = field(default_factory=lambda: Turn(1, 0, 0, 0, -1, 0))


def read_page(page: pdfium.PdfPage, number: int, most_characters: int) -> Page | None:
    """The words and drawn lines of `page`; None if it holds more than `most_characters`."""
    rotation = page.get_rotation()
    left, bottom, right, top = page.get_bbox()
    width, height = right - left, top - bottom
    seen = Page(number, *((height, width) if rotation in (90, 270) else (width, height)))
    text_page = page.get_textpage()
    try:
        count = c.FPDFText_CountChars(text_page)
        if count > most_characters:
            return None
        turn = seen.turn = _turner(rotation, (left, bottom, right, top))
        if count > 0:
            _add_words(text_page, count, turn, seen)
    finally:
        text_page.close()
    _add_drawn(page, seen, turn)
    if len(seen.sideways) > 3 * len(seen.words):
        _turn_upright(seen)
    return seen


class Turn(NamedTuple):
    """x, y -> a*x + b*y + e, c*x + d*y + f; `angle` is added to the angle of the letters."""

    a: float
    b: float
    e: float
    c: float
    d: float
    f: float

    def point(self, x: float, y: float) -> tuple[float, float]:
        return self.a * x + self.b * y + self.e, self.c * x + self.d * y + self.f


def _turner(rotation: int, box: tuple[float, float, float, float]) -> Turn:
    left, bottom, right, top = box
    if rotation == 90:
        return Turn(0, 1, -bottom, 1, 0, -left)
    if rotation == 180:
        return Turn(-1, 0, right, 0, 1, -bottom)
    if rotation == 270:
        return Turn(0, -1, top, -1, 0, right)
    return Turn(1, 0, -left, 0, -1, top)


class _Letters:
    """Asks pdfium where the letters of a text page are. Buffers are kept and calls are few, because
    a manual has millions of letters."""

    def __init__(self, text_page: pdfium.PdfTextPage) -> None:
        self.raw = text_page.raw
        self._x, self._y = ctypes.c_double(), ctypes.c_double()
        self._origin = (ctypes.byref(self._x), ctypes.byref(self._y))
        self._box = c.FS_RECTF()
        self._box_ref = ctypes.byref(self._box)
        self._styles: dict[bytes, tuple[Style, float]] = {}
        self._faces: dict[bytes, tuple[bool, bool]] = {}

    def origin(self, index: int) -> tuple[float, float]:
        c.FPDFText_GetCharOrigin(self.raw, index, *self._origin)
        return self._x.value, self._y.value

    def box(self, index: int) -> c.FS_RECTF:
        c.FPDFText_GetLooseCharBox(self.raw, index, self._box_ref)
        return self._box

    def style(self, index: int) -> tuple[Style, float]:
        """How the letter looks, and the angle at which it stands, in degrees."""
        key = bytes(c.FPDFText_GetTextObject(self.raw, index))
        found = self._styles.get(key)
        if found is None:
            found = self._styles[key] = self._style(index)
        return found

    def _style(self, index: int) -> tuple[Style, float]:
        matrix = c.FS_MATRIX()
        scale, angle = 1.0, 0.0
        if c.FPDFText_GetMatrix(self.raw, index, matrix):
            scale = math.hypot(matrix.c, matrix.d) or 1.0
            angle = math.degrees(math.atan2(matrix.b, matrix.a))
        size = round(abs(c.FPDFText_GetFontSize(self.raw, index)) * scale, 1)
        return Style(min(size, 1000.0), *self._face(index)), angle

    def _face(self, index: int) -> tuple[bool, bool]:
        """Whether the font is bold, and whether its letters are all of one width."""
        key = bytes(c.FPDFTextObj_GetFont(c.FPDFText_GetTextObject(self.raw, index)))
        if key in self._faces:
            return self._faces[key]
        name = ctypes.create_string_buffer(128)
        flags = ctypes.c_int()
        c.FPDFText_GetFontInfo(self.raw, index, name, 128, flags)
        face = name.value.decode("latin-1")
        bold = bool(_BOLD.search(face)) or bool(flags.value & (1 << 18))
        mono = bool(flags.value & 1) or bool(_MONOSPACE.search(face))
        self._faces[key] = bold, mono
        return bold, mono


def _text(text_page: pdfium.PdfTextPage, count: int) -> str:
    """The letters, one for each of pdfium's indexes."""
    buffer = ctypes.create_string_buffer(2 * (count + 1))
    got = c.FPDFText_GetText(
        text_page.raw, 0, count, ctypes.cast(buffer, ctypes.POINTER(ctypes.c_ushort))
    )
    text = buffer.raw[: 2 * max(0, got - 1)].decode("utf-16-le", "replace")
    if len(text) == count:
        return text
    codes = (c.FPDFText_GetUnicode(text_page.raw, i) for i in range(count))
    return "".join(chr(code) if 0 < code < 0x110000 else "\ufffd" for code in codes)


def _add_words(text_page: pdfium.PdfTextPage, count: int, turn: Turn, seen: Page) -> None:
    letters = _Letters(text_page)
    text = _text(text_page, count)
    upright = (turn.a, turn.b) == (1, 0)
    flat, e, f = seen.words.append, turn.e, turn.f
    for match in _WORD.finditer(text):
        start, end = match.span()
        style, angle = letters.style(start)
        if upright and -5 < angle < 5:
            x, y = letters.origin(start)
            box = letters.box(end - 1)
            if end - start < 2 or (box.bottom - 1 <= y <= box.top + 1 and box.right >= x):
                right = box.right if box.right > x else x
                flat(Word(x + e, right + e, f - y, _plain(match[0]), style, start))
                continue
        for first, last in _parts(letters, start, end):
            _add_turned(letters, text, first, last, turn, seen)


def _plain(part: str) -> str:
    if part.isascii():
        return part.replace("\x02", HYPHEN_AT_LINE_END) if "\x02" in part else part
    return plain(_BROKEN.sub(HYPHEN_AT_LINE_END, part))


def _add_turned(
    letters: _Letters, text: str, first: int, last: int, turn: Turn, seen: Page
) -> None:
    """A word on a turned page, or one that runs up, down or askew."""
    x, y = turn.point(*letters.origin(first))
    box = letters.box(last - 1)
    corner, opposite = turn.point(box.left, box.bottom), turn.point(box.right, box.top)
    style, angle = letters.style(first)
    angle = (angle - math.degrees(math.atan2(turn.c, turn.a))) % 360
    part = _plain(text[first:last])
    if angle < 15 or angle > 345:
        right = max(corner[0], opposite[0], x)
        seen.words.append(Word(x, right, y, part, style, first))
        return
    # As if the page was turned by a quarter: what runs up runs to the right.
    up = angle < 180
    far = min(corner[1], opposite[1]) if up else max(corner[1], opposite[1])
    sign = -1.0 if up else 1.0
    seen.sideways.append(Word(sign * y, sign * far, -sign * x, part, style, first))


def _parts(letters: _Letters, start: int, end: int) -> list[tuple[int, int]]:
    """A word as it is, or cut where it jumps to another line: pdfium sometimes sees no space."""
    style, angle = letters.style(start)
    if abs(angle) > 5 or end - start > 10_000:
        return [(start, end)]
    x, y = letters.origin(start)
    parts, begin = [], start
    for index in range(start + 1, end):
        at_x, at_y = letters.origin(index)
        if abs(at_y - y) > 0.8 * style.size or at_x < x - style.size:
            parts.append((begin, index))
            begin = index
        x, y = at_x, at_y
    return [*parts, (begin, end)]


def _turn_upright(seen: Page) -> None:
    """Make the words that run up or down the page's words, for a table printed sideways."""
    least_x = min(word.x0 for word in seen.sideways)
    least_y = min(word.y for word in seen.sideways)
    turned = [
        word._replace(x0=word.x0 - least_x + 36, x1=word.x1 - least_x + 36, y=word.y - least_y + 72)
        for word in seen.sideways
    ]
    seen.words, seen.sideways = turned, seen.words
    seen.width, seen.height = seen.height, seen.width
    seen.rules = []


def _add_drawn(page: pdfium.PdfPage, seen: Page, turn: Turn) -> None:
    """Count the images, and keep the lines that could be of a table."""
    count = min(c.FPDFPage_CountObjects(page.raw), _MOST_DRAWN)
    edges = [ctypes.c_float() for _ in range(4)]
    refs = [ctypes.byref(edge) for edge in edges]
    for index in range(count):
        drawn = c.FPDFPage_GetObject(page.raw, index)
        kind = c.FPDFPageObj_GetType(drawn)
        if kind == c.FPDF_PAGEOBJ_IMAGE or kind == c.FPDF_PAGEOBJ_FORM:
            seen.images += kind == c.FPDF_PAGEOBJ_IMAGE or not seen.words
        elif kind == c.FPDF_PAGEOBJ_PATH and c.FPDFPageObj_GetBounds(drawn, *refs):
            left, bottom, right, top = (edge.value for edge in edges)
            (ax, ay), (bx, by) = turn.point(left, bottom), turn.point(right, top)
            box = (min(ax, bx), min(ay, by), max(ax, bx), max(ay, by))
            seen.rules.extend(_rules_of_box(*box) or _rules_of_path(drawn, turn))


def _rules_of_box(x0: float, y0: float, x1: float, y1: float) -> list[Rule]:
    if y1 - y0 <= _THIN and x1 - x0 > 8:
        return [Rule(x0, (y0 + y1) / 2, x1, (y0 + y1) / 2)]
    if x1 - x0 <= _THIN and y1 - y0 > 4:
        return [Rule((x0 + x1) / 2, y0, (x0 + x1) / 2, y1)]
    return []


def _rules_of_path(drawn: object, turn: Turn) -> list[Rule]:
    """The flat and upright parts of a path: the edges of a frame, or a grid drawn at once."""
    matrix = c.FS_MATRIX()
    if not c.FPDFPageObj_GetMatrix(drawn, matrix):
        return []
    count = c.FPDFPath_CountSegments(drawn)
    if not 2 <= count <= 2_000:
        return []
    x, y = ctypes.c_float(), ctypes.c_float()
    rules: list[Rule] = []
    at = start = (0.0, 0.0)
    for index in range(count):
        segment = c.FPDFPath_GetPathSegment(drawn, index)
        kind = c.FPDFPathSegment_GetType(segment)
        if kind not in (c.FPDF_SEGMENT_LINETO, c.FPDF_SEGMENT_MOVETO):
            return []  # a drawing
        c.FPDFPathSegment_GetPoint(segment, x, y)
        to = turn.point(
            matrix.a * x.value + matrix.c * y.value + matrix.e,
            matrix.b * x.value + matrix.d * y.value + matrix.f,
        )
        if kind == c.FPDF_SEGMENT_MOVETO:
            start = to
        else:
            rules.extend(_rule(at, to))
            if c.FPDFPathSegment_GetClose(segment):
                rules.extend(_rule(to, start))
        at = to
    return rules


def _rule(a: tuple[float, float], b: tuple[float, float]) -> list[Rule]:
    return _rules_of_box(min(a[0], b[0]), min(a[1], b[1]), max(a[0], b[0]), max(a[1], b[1]))
