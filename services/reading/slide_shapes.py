"""The shapes of a slide, and the text in them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lxml import etree

from services.reading.docx_styles import in_format, number, value
from services.reading.flow import Flow

_TITLES = {"title", "ctrTitle"}
_GROUPS = {"grpSp", "AlternateContent", "Choice", "cSld", "spTree"}
SHAPES = {"sp", "pic", "graphicFrame", "cxnSp"}
_MOST_DEPTH = 50
_NUMBER_FORMATS = {
    "alphaLc": "lowerLetter", "alphaUc": "upperLetter",
    "romanLc": "lowerRoman", "romanUc": "upperRoman",
}  # fmt: skip


def local(element: Any) -> str:
    return str(element.tag).rpartition("}")[2]


def first(element: Any, name: str) -> Any:
    return next(element.iter(f"{{*}}{name}"), None)


def shapes_of(element: etree._Element, depth: int = 0) -> Iterator[etree._Element]:
    """The shapes in the order in which they are read out, those of groups in their place."""
    for child in element.iterchildren(tag=etree.Element):
        name = local(child)
        if name in SHAPES:
            yield child
        elif name in _GROUPS and depth < _MOST_DEPTH:
            yield from shapes_of(child, depth + 1)
            if name == "Choice":  # the others show the same in another way
                return


def placeholder(shape: etree._Element) -> str:
    """What a shape is on its slide: "title", "body", "sldNum"..., or "" for a free one."""
    mark = first(shape, "ph")
    return "" if mark is None else mark.get("type", "body")


def is_title(shape: etree._Element) -> bool:
    return local(shape) == "sp" and placeholder(shape) in _TITLES


def paragraphs_of(shape: etree._Element) -> Iterator[tuple[str, int, etree._Element | None]]:
    """Each paragraph: its text, its depth in a list, and its properties."""
    for paragraph in shape.iter("{*}p"):
        about = next(iter(paragraph.findall("{*}pPr")), None)
        yield _text(paragraph), number(value(about, "lvl")) or 0, about


def _text(paragraph: etree._Element) -> str:
    parts = []
    for element in paragraph.iter():
        name = local(element)
        if name == "t":
            field = element.getparent()
            is_page = field is not None and (field.get("type") or "") == "slidenum"
            parts.append("" if is_page else element.text or "")
        elif name == "br":
            parts.append("\n")
    return "".join(parts)


def put_paragraphs(shape: etree._Element, flow: Flow) -> None:
    """The text of a shape: a list if its paragraphs have bullets, as those of a body have."""
    paragraphs = [each for each in paragraphs_of(shape) if each[0].strip()]
    is_body = placeholder(shape) == "body" and len(paragraphs) > 1
    counts: dict[int, int] = {}
    lines: list[str] = []
    for text, depth, about in paragraphs:
        mark = _mark(about, depth, counts, is_body=is_body)
        if mark:
            _put_lines(lines, flow)
            flow.put_item(mark, " ".join(text.split()), depth)
        else:
            lines.append(text.strip())
    _put_lines(lines, flow)
    flow.close()


def _put_lines(lines: list[str], flow: Flow) -> None:
    if lines:
        flow.put_text("\n".join(lines))
        lines.clear()


def _mark(about: Any, depth: int, counts: dict[int, int], *, is_body: bool) -> str:
    numbering = None if about is None else about.find("{*}buAutoNum")
    if numbering is not None:
        counts[depth] = counts.get(depth, (number(value(numbering, "startAt")) or 1) - 1) + 1
        for deeper in [each for each in counts if each > depth]:
            del counts[deeper]
        kind = value(numbering, "type") or ""
        form = next((f for start, f in _NUMBER_FORMATS.items() if kind.startswith(start)), "")
        return in_format(counts[depth], form) + (")" if "Paren" in kind else ".")
    if about is not None and about.find("{*}buNone") is not None:
        return ""
    has_bullet = about is not None and about.find("{*}buChar") is not None
    return "-" if has_bullet or is_body else ""


def table_rows(frame: etree._Element) -> Iterator[tuple[list[str], bool]]:
    """The rows of the table in a frame, and whether each is its header. Merged cells once."""
    for table in frame.iter("{*}tbl"):
        about = table.find("{*}tblPr")
        has_header = value(about, "firstRow") in ("1", "true")
        rows = table.findall("{*}tr")
        for place, row in enumerate(rows):
            cells = [
                ""
                if value(cell, "hMerge") in ("1", "true") or value(cell, "vMerge") in ("1", "true")
                else " ".join(" ".join(text.split()) for text, *_ in paragraphs_of(cell)).strip()
                for cell in row.findall("{*}tc")
            ]
            yield cells, has_header and place == 0 and len(rows) > 1


def series_of_chart(chart: etree._Element) -> Iterator[str]:
    """A line for the title of a chart, and one for each of its series: its values by category."""
    title = first(chart, "title")
    words = "" if title is None else " ".join(_text(p) for p in title.iter("{*}p")).strip()
    if words:
        yield f"Chart: {words}"
    for series in chart.iter("{*}ser"):
        names = _cached(series.find("{*}tx"))
        categories = _cached(series.find("{*}cat")) or _cached(series.find("{*}xVal"))
        values = _cached(series.find("{*}val")) or _cached(series.find("{*}yVal"))
        pairs = [
            f"{categories[place]} {each}" if place < len(categories) else each
            for place, each in enumerate(values)
        ]
        if pairs:
            yield f"{' '.join(names) or 'Series'}: {', '.join(pairs)}"


def _cached(element: Any) -> list[str]:
    return [] if element is None else [each.text or "" for each in element.iter("{*}v")]


def diagram_text(tree: etree._Element) -> str:
    """The texts of a SmartArt graphic, one on each line."""
    lines = ["".join(each.text or "" for each in p.iter("{*}t")) for p in tree.iter("{*}pt")]
    return "\n".join(line for line in lines if line.strip())
