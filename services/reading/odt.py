"""OpenDocument texts (LibreOffice Writer), with all changes accepted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from services.reading import rejections
from services.reading.blocks import Block, Source
from services.reading.docx_styles import number
from services.reading.flow import Flow, TableRows, in_a_cell
from services.reading.packed import Package, opened

_LEFT_OUT = {
    "text:tracked-changes", "office:annotation", "text:table-of-content",
    "table:covered-table-cell",
    "text:page-number", "text:page-count", "office:forms", "text:sequence-decls", "svg:title",
    "text:bibliography-mark", "text:ruby-text", "text:variable-decls", "text:user-field-decls",
}  # fmt: skip
_MOST_REPEATED = 1_000


def read(source: Source) -> Iterator[Block]:
    """Headings, paragraphs, lists and tables. A footnote follows its paragraph.

    Raises:
        DocumentRejected: the document is locked, damaged or larger than its reader admits.
    """
    with opened(source) as package:
        if "content.xml" not in package:
            raise rejections.damaged(source.name)
        if _is_encrypted(package):
            raise rejections.locked(source.name)
        body = _Body()
        for done in package.feed("content.xml", body):
            source.progress(done / package.size("content.xml"))
            yield from body.flow.taken()
        yield from body.flow.all()
    for kind, words in _TOLD.items():
        if count := body.counts[kind]:
            source.note(words.format(count, s="" if count == 1 else "s"))


_TOLD = {
    "notes": "{} footnote{s}",
    "images": "{} image{s} without text",
    "office:annotation": "{} comment{s} left out",
    "text:table-of-content": "the table of contents left out",
}


def _is_encrypted(package: Package) -> bool:
    about = "META-INF/manifest.xml"
    return about in package and any(True for _ in package.elements(about, "encryption-data"))


@dataclass(slots=True)
class _Paragraph:
    level: int = 0
    parts: list[str] = field(default_factory=list)
    notes: list[Block] = field(default_factory=list)


class _Body:
    """Receives content.xml from the parser, element by element."""

    def __init__(self) -> None:
        self._left_out = 0
        self._paragraphs: list[_Paragraph] = []
        self._lists: list[int] = []  # the items so far, by depth
        self._mark = ""
        self._tables: list[TableRows] = []
        self._rows: list[list[str]] = []
        self._in_header = 0
        self._spans: list[int] = []
        self._image_has_text = True
        self._citation: list[str] | None = None
        self._description: list[str] | None = None
        self.flow = Flow()
        self._flows = [self.flow]
        self.counts: Counter[str] = Counter()

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        if self._left_out:
            self._left_out += 1
            return
        name = _short(tag)
        if name in _LEFT_OUT:
            self._left_out = 1
            self.counts[name] += 1
            if name == "table:covered-table-cell" and self._rows:
                self._rows[-1].append("")
        elif handler := _STARTS.get(name):
            handler(self, {_short(key): text for key, text in attributes.items()})

    def data(self, text: str) -> None:
        if self._left_out:
            return
        if self._description is not None:
            self._description.append(text)
        elif self._citation is not None:
            self._citation.append(text)
        elif self._paragraphs:
            self._paragraphs[-1].parts.append(text)

    def end(self, tag: str) -> None:
        if self._left_out:
            self._left_out -= 1
        elif handler := _ENDS.get(_short(tag)):
            handler(self)

    def close(self) -> None:
        self.flow.close()

    def put(self, text: str) -> None:
        if self._paragraphs:
            self._paragraphs[-1].parts.append(text)

    def start_heading(self, given: Mapping[str, str]) -> None:
        level = number(given.get("text:outline-level")) or 1
        self._paragraphs.append(_Paragraph(max(1, min(level, 6))))

    def start_paragraph(self, _: Mapping[str, str]) -> None:
        self._paragraphs.append(_Paragraph())

    def start_spaces(self, given: Mapping[str, str]) -> None:
        self.put(" " * min(number(given.get("text:c")) or 1, _MOST_REPEATED))

    def end_paragraph(self) -> None:
        if not self._paragraphs:
            return
        paragraph, flow = self._paragraphs.pop(), self._flows[-1]
        text = "\n".join(" ".join(line.split()) for line in "".join(paragraph.parts).split("\n"))
        if not text.strip():
            pass
        elif paragraph.level:
            flow.put(Block("heading", " ".join(text.split()), level=paragraph.level))
        elif self._lists:
            flow.put_item(self._mark, " ".join(text.split()), len(self._lists) - 1)
            self._mark = " "
        else:
            flow.put_text(text.strip())
        for note in paragraph.notes:
            flow.put_after(note)

    def start_list(self, _: Mapping[str, str]) -> None:
        self._lists.append(0)

    def end_list(self) -> None:
        if self._lists:
            self._lists.pop()
        if not self._lists:
            self._flows[-1].close()

    def start_item(self, _: Mapping[str, str]) -> None:
        self._mark = "-"

    def start_note(self, _: Mapping[str, str]) -> None:
        self.counts["notes"] += 1
        self.put(f"[{self.counts['notes']}]")
        self._flows.append(Flow())

    def start_citation(self, _: Mapping[str, str]) -> None:
        self._citation = []

    def end_citation(self) -> None:
        self._citation = None

    def end_note(self) -> None:
        text = in_a_cell(self._flows.pop().all())
        if self._paragraphs and text:
            mark = f"[{self.counts['notes']}]"
            self._paragraphs[-1].notes.append(Block("text", f"{mark} {text}"))

    def start_box(self, _: Mapping[str, str]) -> None:
        self._flows.append(Flow())

    def end_box(self) -> None:
        blocks = self._flows.pop().all()
        if self._paragraphs:
            self._paragraphs[-1].notes += blocks
        else:
            for block in blocks:
                self._flows[-1].put(block)

    def start_image(self, _: Mapping[str, str]) -> None:
        self.counts["images"] += 1

    def start_description(self, _: Mapping[str, str]) -> None:
        self._description = []

    def end_description(self) -> None:
        text = " ".join("".join(self._description or []).split())
        self._description = None
        if text:
            self.counts["images"] -= 1
            self.put(f"[Image: {text}]")

    def start_table(self, _: Mapping[str, str]) -> None:
        self._tables.append(TableRows())

    def start_header(self, _: Mapping[str, str]) -> None:
        self._in_header += 1

    def end_header(self) -> None:
        self._in_header -= 1

    def start_row(self, _: Mapping[str, str]) -> None:
        self._rows.append([])

    def start_cell(self, _: Mapping[str, str]) -> None:
        self._flows.append(Flow())

    def end_cell(self) -> None:
        text = in_a_cell(self._flows.pop().all())
        if self._rows:
            self._rows[-1].append(text)

    def end_row(self) -> None:
        if not self._rows or not self._tables:
            return
        cells = self._rows.pop()
        if len(self._tables) > 1:
            if text := ", ".join(filter(None, cells)):
                self._flows[-1].put(Block("row", text))
            return
        for block in self._tables[-1].add(cells, is_header=self._in_header > 0):
            self._flows[-1].put(block)

    def end_table(self) -> None:
        if self._tables:
            for block in self._tables.pop().end():
                self._flows[-1].put(block)


_PREFIXES = {
    "urn:oasis:names:tc:opendocument:xmlns:text:1.0": "text",
    "urn:oasis:names:tc:opendocument:xmlns:table:1.0": "table",
    "urn:oasis:names:tc:opendocument:xmlns:office:1.0": "office",
    "urn:oasis:names:tc:opendocument:xmlns:drawing:1.0": "draw",
    "urn:oasis:names:tc:opendocument:xmlns:svg-compatible:1.0": "svg",
}


def _short(tag: str) -> str:
    space, _, local = tag.removeprefix("{").partition("}")
    return f"{_PREFIXES.get(space, '')}:{local}"


_STARTS: dict[str, Callable[[_Body, Mapping[str, str]], None]] = {
    "text:h": _Body.start_heading,
    "text:p": _Body.start_paragraph,
    "text:s": _Body.start_spaces,
    "text:tab": lambda body, _: body.put("\t"),
    "text:line-break": lambda body, _: body.put("\n"),
    "text:list": _Body.start_list,
    "text:list-item": _Body.start_item,
    "text:note": _Body.start_note,
    "text:note-citation": _Body.start_citation,
    "draw:text-box": _Body.start_box,
    "draw:image": _Body.start_image,
    "svg:desc": _Body.start_description,
    "table:table": _Body.start_table,
    "table:table-header-rows": _Body.start_header,
    "table:table-row": _Body.start_row,
    "table:table-cell": _Body.start_cell,
}
_ENDS: dict[str, Callable[[_Body], None]] = {
    "text:h": _Body.end_paragraph,
    "text:p": _Body.end_paragraph,
    "text:list": _Body.end_list,
    "text:note": _Body.end_note,
    "text:note-citation": _Body.end_citation,
    "draw:text-box": _Body.end_box,
    "svg:desc": _Body.end_description,
    "table:table": _Body.end_table,
    "table:table-header-rows": _Body.end_header,
    "table:table-row": _Body.end_row,
    "table:table-cell": _Body.end_cell,
}
