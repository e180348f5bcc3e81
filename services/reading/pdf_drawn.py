"""What is drawn on a page of a PDF: the lines of tables, and images."""

from __future__ import annotations

import ctypes
from typing import NamedTuple

import pypdfium2 as pdfium
import pypdfium2.raw as c

_MOST_DRAWN = 4_000  # objects of a page looked at for lines: a map has hundreds of thousands
_THIN = 2.5


class Rule(NamedTuple):
    """A drawn line. Flat if y0 == y1, upright if x0 == x1."""

    x0: float
    y0: float
    x1: float
    y1: float


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


def drawn_on(page: pdfium.PdfPage, turn: Turn, *, has_words: bool) -> tuple[list[Rule], int]:
    """The lines that could be of a table, and the number of images."""
    rules: list[Rule] = []
    images = 0
    count = min(c.FPDFPage_CountObjects(page.raw), _MOST_DRAWN)
    edges = [ctypes.c_float() for _ in range(4)]
    refs = [ctypes.byref(edge) for edge in edges]
    for index in range(count):
        drawn = c.FPDFPage_GetObject(page.raw, index)
        kind = c.FPDFPageObj_GetType(drawn)
        if kind == c.FPDF_PAGEOBJ_IMAGE or kind == c.FPDF_PAGEOBJ_FORM:
            images += kind == c.FPDF_PAGEOBJ_IMAGE or not has_words
        elif kind == c.FPDF_PAGEOBJ_PATH and c.FPDFPageObj_GetBounds(drawn, *refs):
            left, bottom, right, top = (edge.value for edge in edges)
            (ax, ay), (bx, by) = turn.point(left, bottom), turn.point(right, top)
            box = (min(ax, bx), min(ay, by), max(ax, bx), max(ay, by))
            rules.extend(_rules_of_box(*box) or _rules_of_path(drawn, turn))
    return rules, images


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
