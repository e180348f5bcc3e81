"""Word documents: as they read with all changes accepted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from services.reading import rejections
from services.reading.blocks import Block, Source
from services.reading.docx_body import Body
from services.reading.docx_elements import Elements
from services.reading.docx_parts import Surroundings
from services.reading.docx_styles import Numbering, styles_of
from services.reading.packed import Package, opened

_TOLD = {
    "footnotes": "{} footnote{s}",
    "endnotes": "{} endnote{s}",
    "changes": "{} tracked change{s}, read as accepted",
    "images": "{} image{s} without text",
    "described images": "{} image{s} known by description only",
    "charts": "{} chart{s} left out",
    "objects": "{} embedded object{s} left out",
    "comments": "{} comment{s} left out",
}


def read(source: Source) -> Iterator[Block]:
    """Page headers, the body, page footers. A footnote follows the paragraph that refers to it.

    Raises:
        DocumentRejected: the document is locked, damaged or larger than its reader admits.
    """
    with opened(source) as package:
        document = next(iter(package.related_as("", "officeDocument")), None)
        if document is None:
            raise rejections.damaged(source.name)
        around = _surroundings(package, document)
        counts: Counter[str] = Counter()
        yield from _margins(package, document, around, "header", counts)
        body = Body(around)
        for done in package.feed(document, Elements(body)):
            source.progress(done / package.size(document))
            yield from body.flow.taken()
        yield from body.flow.all()
        yield from _margins(package, document, around, "footer", counts)
    _tell(source, body.counts + counts)


def _surroundings(package: Package, document: str) -> Surroundings:
    around = Surroundings()
    for part in package.related_as(document, "styles"):
        around.styles = styles_of(package, part)
    for part in package.related_as(document, "numbering"):
        around.numbering.load(package, part, dict(around.styles))
    around.diagrams = {
        reference: _diagram_text(package, part)
        for reference, (kind, part) in package.related(document).items()
        if kind == "diagramData" and part in package
    }
    around.footnotes = _notes(package, document, around, "footnotes")
    around.endnotes = _notes(package, document, around, "endnotes")
    return around


def _notes(package: Package, document: str, around: Surroundings, kind: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in package.related_as(document, kind):
        body = Body(Surroundings(around.styles))
        for _ in package.feed(part, Elements(body)):
            pass
        found |= body.notes
    return found


def _diagram_text(package: Package, part: str) -> str:
    """The texts of a SmartArt graphic, one on each line."""
    lines = ("".join(map(str, point.itertext())).strip() for point in package.elements(part, "pt"))
    return "\n".join(line for line in lines if line)


def _margins(
    package: Package, document: str, around: Surroundings, kind: str, counts: Counter[str]
) -> Iterator[Block]:
    """What stands at the top or the bottom of pages, once, as text."""
    seen = set()
    for part in package.related_as(document, kind):
        body = Body(Surroundings(around.styles, Numbering()))
        for _ in package.feed(part, Elements(body)):
            pass
        for block in body.flow.all():
            if block.text not in seen:
                seen.add(block.text)
                yield Block("text", block.text)
        counts["described images"] += body.counts["described images"]


def _tell(source: Source, counts: Counter[str]) -> None:
    for kind, words in _TOLD.items():
        if count := counts[kind]:
            source.note(words.format(count, s="" if count == 1 else "s"))
    if counts["contents"]:
        source.note("the table of contents left out")
    if counts["hidden"]:
        source.note("hidden text left out")
