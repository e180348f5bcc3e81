"""PowerPoint presentations: each slide under its title, with its notes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any

from lxml import etree

from services.reading import rejections
from services.reading.blocks import Block, Source
from services.reading.docx_styles import value
from services.reading.flow import Flow, TableRows
from services.reading.packed import Package, opened
from services.reading.slide_order import in_reading_order
from services.reading.slide_shapes import (
    diagram_text,
    first,
    is_title,
    local,
    paragraphs_of,
    placeholder,
    put_paragraphs,
    series_of_chart,
    shapes_of,
    table_rows,
)

_MAX_SLIDE_BYTES = 10_000_000  # a tree takes ten times as much
_SAME_ON_ALL_SLIDES = {"sldNum", "dt", "ftr", "hdr"}


def read(source: Source) -> Iterator[Block]:
    """The slides in their order, `page` is the number. First the title, then the shapes as they
    stand on the slide, then the speaker's notes. Hidden slides are read and noted.

    Raises:
        DocumentRejected: the presentation is locked, damaged or larger than its reader admits.
    """
    counts: Counter[str] = Counter()
    with opened(source) as package:
        presentation = next(iter(package.related_as("", "officeDocument")), None)
        if presentation is None:
            raise rejections.damaged(source.name)
        slides = _slides(package, presentation)
        layouts = _Layouts(package)
        hidden = []
        for page, part in enumerate(slides, 1):
            slide = _tree(package, part)
            if slide.get("show") in ("0", "false"):
                hidden.append(str(page))
            shapes = in_reading_order(slide, partial(layouts.of, part))
            yield from _slide(package, part, shapes, page, counts)
            source.progress(page / len(slides))
    if hidden:
        plural = "" if len(hidden) == 1 else "s"
        source.note(f"hidden slide{plural} read too: {', '.join(hidden)}")
    for kind, words in (("images", "image{} without text"), ("comments", "slide{} with comments")):
        if count := counts[kind]:
            source.note(f"{count} {words.format('' if count == 1 else 's')}")


def _slides(package: Package, presentation: str) -> list[str]:
    related = package.related(presentation)
    found = []
    for element in package.elements(presentation, "sldId"):
        kind, part = related.get(value(element, "id") or "", ("", ""))
        for key, reference in element.items():
            if "relationships" in str(key):
                kind, part = related.get(str(reference), ("", ""))
        if kind == "slide" and part in package:
            found.append(part)
    return found


def _tree(package: Package, part: str) -> etree._Element:
    if package.size(part) > _MAX_SLIDE_BYTES:
        raise rejections.too_intricate(package.name, "has slides of many megabytes")
    parser = etree.XMLParser(resolve_entities=False, no_network=True)
    for piece in package.markup(part):
        parser.feed(piece)
    return parser.close()


def _slide(
    package: Package,
    part: str,
    shapes: list[etree._Element],
    page: int,
    counts: Counter[str],
) -> Iterator[Block]:
    related = package.related(part)
    titles = [shape for shape in shapes if is_title(shape)]
    title = " ".join(
        " ".join(text.split()) for shape in titles for text, *_ in paragraphs_of(shape)
    )
    yield Block("heading", title or f"Slide {page}", level=1, page=page)
    flow = Flow()
    for shape in shapes:
        if shape not in titles and placeholder(shape) not in _SAME_ON_ALL_SLIDES:
            _put_shape(package, related, shape, flow, counts)
    for block in flow.all():
        yield Block(block.kind, block.text, page=page, header=block.header)
    for kind, to in related.values():
        if kind == "notesSlide" and to in package:
            yield from _notes(_tree(package, to), page)
        counts["comments"] += kind == "comments"


class _Layouts:
    """The layout of a slide and the master of it, which say where placeholders stand."""

    def __init__(self, package: Package) -> None:
        self._package = package
        self._trees: dict[str, list[etree._Element]] = {}

    def of(self, slide: str) -> list[etree._Element]:
        layout = next(iter(self._package.related_as(slide, "slideLayout")), "")
        if layout not in self._trees:
            parts = [layout, *self._package.related_as(layout, "slideMaster")] if layout else []
            self._trees[layout] = [_tree(self._package, part) for part in parts]
        return self._trees[layout]


def _put_shape(
    package: Package, related: dict[str, tuple[str, str]], shape: Any, flow: Flow, counts: Any
) -> None:
    kind = local(shape)
    if kind == "pic":
        about = first(shape, "cNvPr")
        alt = " ".join((value(about, "descr") or "").split())
        counts["images"] += not alt
        flow.put_text(f"[Image: {alt}]" if alt else "")
    elif kind == "graphicFrame":
        rows = TableRows()
        for cells, is_header in table_rows(shape):
            for block in rows.add(cells, is_header=is_header):
                flow.put(block)
        for block in rows.end():
            flow.put(block)
        _put_graphic(package, related, shape, flow)
    else:
        put_paragraphs(shape, flow)


def _put_graphic(
    package: Package, related: dict[str, tuple[str, str]], shape: Any, flow: Flow
) -> None:
    for element in shape.iter("{*}chart", "{*}relIds"):
        name = "id" if local(element) == "chart" else "dm"
        _, part = related.get(value(element, name) or "", ("", ""))
        if part not in package:
            continue
        tree = _tree(package, part)
        if local(element) == "chart":
            for line in series_of_chart(tree):
                flow.put_text(line)
        else:
            flow.put_text(diagram_text(tree))


def _notes(notes: etree._Element, page: int) -> Iterator[Block]:
    texts = [
        text.strip()
        for shape in shapes_of(notes)
        if local(shape) == "sp" and placeholder(shape) not in (*_SAME_ON_ALL_SLIDES, "sldImg")
        for text, *_ in paragraphs_of(shape)
        if text.strip()
    ]
    if texts:
        yield Block("text", "Notes: " + "\n".join(texts), page=page)
