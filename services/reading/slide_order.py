"""The shapes of a slide in the order in which a person reads them: files have them as drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from lxml import etree

from services.reading.docx_styles import number, value
from services.reading.slide_shapes import SHAPES, first, local, shapes_of

_OVERLAP = 0.25  # of the smaller of two shapes: one of them is still below, or beside, the other
_MOST_SHAPES = 500  # that are looked at together; more are no page to be read
_MOST_DEPTH = 50  # of groups, one in the other
_Box = tuple[int, int, int, int]  # left, top, right, bottom
Layouts = Callable[[], Sequence[etree._Element]]


class _Placed(NamedTuple):
    """A shape, or a group of them, and its box in the units of what it stands in."""

    box: _Box
    shapes: list[etree._Element]


def _from_top(placed: _Placed) -> tuple[int, int]:
    return placed.box[1], placed.box[0]


def _from_left(placed: _Placed) -> int:
    return placed.box[0]


def in_reading_order(slide: etree._Element, layouts: Layouts) -> list[etree._Element]:
    """The shapes of a slide: from top to bottom, those beside each other from left to right, and
    those below each other in a column before the next column. The shapes of a group stay together.
    Shapes that stand nowhere come first. `layouts` are asked where placeholders stand.
    """
    tree = first(slide, "spTree")
    return [] if tree is None else _ordered(tree, layouts, 0)


def _ordered(group: etree._Element, layouts: Layouts, depth: int) -> list[etree._Element]:
    nowhere: list[etree._Element] = []
    placed: list[_Placed] = []
    for child in group.iterchildren(tag=etree.Element):
        if local(child) == "grpSp" and depth < _MOST_DEPTH:
            shapes = _ordered(child, layouts, depth + 1)
        else:
            alone = local(child) in SHAPES
            shapes = [child] if alone else list(shapes_of(child))
            shapes = [shape for shape in shapes if _says_something(shape)]
        if not shapes:
            continue
        box = _box(child) or _box(shapes[0]) or _box_of_placeholder(shapes[0], layouts)
        if box is None:
            nowhere += shapes
        else:
            placed.append(_Placed(box, shapes))
    placed.sort(key=_from_top)
    if len(placed) <= _MOST_SHAPES:
        placed = list(_cut(placed))
    return nowhere + [shape for each in placed for shape in each.shapes]


def _says_something(shape: etree._Element) -> bool:
    """Whether it is no decoration, which would stand behind others and between them."""
    return local(shape) != "sp" or any((text.text or "").strip() for text in shape.iter("{*}t"))


def _cut(placed: list[_Placed]) -> Iterator[_Placed]:
    """Shapes, sorted from the top, cut into bands, those into columns, and so on. Where nothing can
    be cut, the first shape is taken, and the others are cut again."""
    waiting = [placed]
    while waiting:
        part = waiting.pop()
        if len(part) < 2:
            yield from part
            continue
        cuts = _bands(part, 1)
        if len(cuts) == 1:
            columns = _bands(sorted(part, key=_from_left), 0)
            cuts = [sorted(column, key=_from_top) for column in columns]
        if len(cuts) == 1:
            cuts = [part[:1], part[1:]]
        waiting += reversed(cuts)


def _bands(placed: list[_Placed], side: int) -> list[list[_Placed]]:
    """Shapes, sorted by their `side` (0 left, 1 top), parted where nothing reaches over."""
    bands = [[placed[0]]]
    start, reached = placed[0].box[side], placed[0].box[side + 2]  # of what reaches farthest
    for each in placed[1:]:
        begin, end = each.box[side], each.box[side + 2]
        if begin >= reached - _OVERLAP * min(end - begin, reached - start):
            bands.append([])
        bands[-1].append(each)
        if end > reached:
            start, reached = begin, end
    return bands


def _box_of_placeholder(shape: etree._Element, layouts: Layouts) -> _Box | None:
    """Where the layout, or else the master, has a placeholder that does not say so itself."""
    mark = first(shape, "ph")
    for layout in layouts() if mark is not None else ():
        for other in layout.iter("{*}ph"):
            owner = next(other.iterancestors(*(f"{{*}}{name}" for name in SHAPES)), None)
            if owner is not None and _is_same(mark, other) and (box := _box(owner)):
                return box
    return None


def _is_same(mark: Any, other: Any) -> bool:
    """Whether a placeholder of a slide is that of a layout: by its number, or else by its kind."""
    if mark.get("idx") and other.get("idx"):
        return bool(mark.get("idx") == other.get("idx"))
    return bool(mark.get("type", "body") == other.get("type", "body"))


def _box(shape: etree._Element) -> _Box | None:
    """Where a shape says that it stands."""
    about = shape.find("{*}spPr") if shape.find("{*}spPr") is not None else shape.find("{*}grpSpPr")
    frame = (shape if about is None else about).find("{*}xfrm")
    offset = None if frame is None else frame.find("{*}off")
    extent = None if frame is None else frame.find("{*}ext")
    if offset is None or extent is None:
        return None
    left, top = number(value(offset, "x")) or 0, number(value(offset, "y")) or 0
    width, height = number(value(extent, "cx")) or 0, number(value(extent, "cy")) or 0
    return left, top, left + width, top + height
