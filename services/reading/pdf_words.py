"""The words of a page, and where they stand. In points from the top left corner, with a turned page
turned upright."""

from __future__ import annotations

import ctypes
import math
import re
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pypdfium2 as pdfium
import pypdfium2.raw as c

from services.reading.pdf_characters import HYPHEN_AT_LINE_END, plain
from services.reading.pdf_drawn import Rule, Turn, drawn_on

# pdfium writes U+FFFE (U+0002 in older versions) for a hyphen at the end of a line, and goes on
# with the next line without a space.
_WORD = re.compile("[^\\s\ufffe\u0002]+[\ufffe\u0002]?|[\ufffe\u0002]")
_BROKEN = re.compile("[\ufffe\u0002]")
_NARROW_SPACE = 0.16  # of the size
_MONOSPACE = re.compile(
    r"mono|courier|consol|typewriter|menlo|fixed|(^|\+)(cm|ec|sf|lm)(tt|tc|sltt)|inconsolata"
    r"|(^|[+-])code|(^|\+)[a-z0-9]*tt([-_\d]|$)|nimbusmon|cursor|sftt|(^|\+)zi4",
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


@dataclass(slots=True)
class Page:
    """A page as it lies before the eye. `sideways` holds words that run up or down, `overturned`
    those that stand on their heads."""

    number: int
    width: float
    height: float
    words: list[Word] = field(default_factory=list)
    sideways: list[Word] = field(default_factory=list)
    overturned: list[Word] = field(default_factory=list)
    rules: list[Rule] = field(default_factory=list)
    images: int = 0
    turn: Turn = field(default_factory=lambda: Turn(1, 0, 0, 0, -1, 0))


def read_page(
    page: pdfium.PdfPage, number: int, most_characters: int, *, narrow: bool = False
) -> Page | None:
    """The words and drawn lines of `page`; None if it holds more than `most_characters`.

    With `narrow` it looks for room within words: groff sets spaces so narrow that pdfium sees none.
    """
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
            if narrow:
                seen.words = _cut_at_narrow_spaces(text_page, seen.words, turn)
    finally:
        text_page.close()
    seen.rules, seen.images = drawn_on(page, turn, has_words=bool(seen.words))
    if len(seen.overturned) > 3 * (len(seen.words) + len(seen.sideways)):
        seen.words, seen.overturned = _upright(seen.overturned), seen.words
        seen.rules = []
    seen.sideways += seen.overturned
    if len(seen.sideways) > 3 * len(seen.words):
        # A table printed sideways.
        seen.words, seen.sideways = _upright(seen.sideways), seen.words
        seen.width, seen.height = seen.height, seen.width
        seen.rules = []
    return seen


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

    @property
    def buffers(self) -> tuple[Any, Any, tuple[Any, Any], Any, Any]:
        """x, y, the two to be passed to pdfium, a box, and that to be passed."""
        return self._x, self._y, self._origin, self._box, self._box_ref

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
    # By their own names, as this is done for each word of a manual.
    raw, origin_of, box_of = letters.raw, c.FPDFText_GetCharOrigin, c.FPDFText_GetLooseCharBox
    at_x, at_y, origin, box, box_ref = letters.buffers
    for match in _WORD.finditer(text):
        start, end = match.span()
        style, angle = letters.style(start)
        if upright and -5 < angle < 5:
            origin_of(raw, start, *origin)
            x, y = at_x.value, at_y.value
            box_of(raw, end - 1, box_ref)
            if end - start < 2 or (box.bottom - 1 <= y <= box.top + 1 and box.right >= x):
                right = box.right if box.right > x else x
                if shown := _plain(match[0]):
                    flat(Word(x + e, right + e, f - y, shown, style, start))
                continue
        for first, last in _parts(letters, start, end):
            _add_turned(letters, text, first, last, turn, seen)


def _cut_at_narrow_spaces(
    text_page: pdfium.PdfTextPage, words: list[Word], turn: Turn
) -> list[Word]:
    letters = _Letters(text_page)
    cut: list[Word] = []
    for word in words:
        least = _NARROW_SPACE * word.style.size
        start, x0, right = 0, word.x0, -1e9
        for index in range(len(word.text)) if (turn.a, turn.b) == (1, 0) else ():
            box = letters.box(word.order + index)
            if index and box.left - right > least:
                cut.append(word._replace(x0=x0, x1=right + turn.e, text=word.text[start:index]))
                start, x0 = index, box.left + turn.e
            right = max(right, box.right)
        cut.append(word._replace(x0=x0, text=word.text[start:], order=word.order + start))
    return cut


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
    if not part:
        return
    if angle < 15 or angle > 345:
        right = max(corner[0], opposite[0], x)
        seen.words.append(Word(x, right, y, part, style, first))
        return
    if 165 < angle < 195:
        left = min(corner[0], opposite[0], x)
        seen.overturned.append(Word(-x, -left, -y, part, style, first))
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


def _upright(turned: list[Word]) -> list[Word]:
    """Words of a page that is turned for them, moved to where such a page has its text."""
    least_x = min(word.x0 for word in turned)
    least_y = min(word.y for word in turned)
    return [
        word._replace(x0=word.x0 - least_x + 36, x1=word.x1 - least_x + 36, y=word.y - least_y + 72)
        for word in turned
    ]
