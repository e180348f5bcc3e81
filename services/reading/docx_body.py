"""The body of a Word document, parsed as a stream: no tree of its XML is ever built.

A tree takes a hundred times the size of the file: 75 kB can hold 4.5 million empty paragraphs. And
the layout in the XML is not trusted: a cell is read once, however many columns it claims to span.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from services.reading import rejections
from services.reading.blocks import Block
from services.reading.docx_fields import OFF, Fields, attribute
from services.reading.docx_styles import BODY_LEVEL, Numbering, Style, in_format, number
from services.reading.docx_tables import Tables
from services.reading.flow import Flow

MAX_ELEMENTS = 8_000_000
MAX_EMPTY_ELEMENTS = 1_000_000  # one after the other, without any text between them
_LONGEST_HEADING = 300
_W = (
    "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}",
    "{http://purl.oclc.org/ooxml/wordprocessingml/main}",  # as "Strict Open XML"
)
_M = (
    "{http://schemas.openxmlformats.org/officeDocument/2006/math}",
    "{http://purl.oclc.org/ooxml/officeDocument/math}",
)
_SIGNS = {"tab": "\t", "ptab": "\t", "cr": "\n", "noBreakHyphen": "-"}
_SYMBOLS = {"F0FE": "☒", "F0A8": "☐", "F06F": "☐", "F0FC": "✓", "F0FB": "✗", "F0E0": "→"}
_GENERATED = re.compile(
    r"\s*(?:Description|Descripción|Beschreibung) automatically generated.*|"
    r"\s*Automatisch generierte Beschreibung.*",
    re.I | re.S,
)


@dataclass(slots=True)
class Surroundings:
    """What a body refers to."""

    styles: Mapping[str, Style] = field(default_factory=dict)
    numbering: Numbering = field(default_factory=Numbering)
    footnotes: Mapping[str, str] = field(default_factory=dict)
    endnotes: Mapping[str, str] = field(default_factory=dict)
    diagrams: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Paragraph:
    parts: list[str] = field(default_factory=list)
    style: str = ""
    outline: int | None = None
    numbering: str | None = None
    depth: int | None = None
    is_joined: bool = False  # its end was deleted: the next one goes on from here
    has_page_number: bool = False
    boxes: list[Block] = field(default_factory=list)
    notes: list[Block] = field(default_factory=list)


class Body:
    """Receives a part of a document from the parser, element by element.

    `flow` holds the blocks, `counts` what to tell of, and `notes` the text of each footnote if the
    part is one of footnotes.
    """

    def __init__(self, name: str, around: Surroundings) -> None:
        self._name = name
        self._around = around
        self._default = next((k for k, s in around.styles.items() if s.is_default), "")
        self._elements = self._elements_with_text = 0
        self._left_out = 0  # how deep inside an element that is left out
        self._is_text = self._is_instruction = self._is_hidden = self._is_about = False
        self._is_about_row = False
        self._paragraphs: list[_Paragraph] = []  # open ones: a text box is inside a paragraph
        self._carried: _Paragraph | None = None
        self._choices: list[bool] = []  # whether one of the alternatives was taken
        self._alt = ""
        self.flow = Flow()
        self._flows = [self.flow]
        self.tables = Tables(self._flows)
        self.fields = Fields()
        self.counts: Counter[str] = Counter()
        self.notes: dict[str, str] = {}
        self._note = ""

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        self._elements += 1
        if self._elements - self._elements_with_text > MAX_EMPTY_ELEMENTS:
            raise rejections.too_intricate(self._name, "has a million parts without text")
        if self._elements > MAX_ELEMENTS:
            raise rejections.too_intricate(self._name, f"has more than {MAX_ELEMENTS:,} parts")
        if self._left_out:
            self._left_out += 1
        elif handler := _STARTS.get(tag):
            handler(self, attributes)

    def data(self, text: str) -> None:
        if self._left_out:
            return
        if self._is_text:
            self._elements_with_text = self._elements
            if self._is_hidden:
                self.counts["hidden"] += 1
            else:
                self.put(text)
        elif self._is_instruction:
            self.fields.instruct(text)

    def end(self, tag: str) -> None:
        if self._left_out:
            self._left_out -= 1
        elif handler := _ENDS.get(tag):
            handler(self)

    def close(self) -> None:
        """The end of the part."""
        if self._carried:
            self._finish(self._carried)
            self._carried = None
        self.flow.close()

    def put(self, text: str) -> None:
        """Text of the open paragraph."""
        if self._paragraphs and text and self.fields.admits(text):
            if self.fields.shows_page_number:
                self._paragraphs[-1].has_page_number = True
            else:
                self._paragraphs[-1].parts.append(text)

    def _leave_out(self, _: Mapping[str, str]) -> None:
        self._left_out = 1

    def _leave_out_change(self, _: Mapping[str, str]) -> None:
        self._left_out = 1
        self.counts["changes"] += 1
        if self._is_about_row:
            self.tables.delete_row()
        elif self._is_about and self._paragraphs:
            self._paragraphs[-1].is_joined = True

    def _start_insertion(self, _: Mapping[str, str]) -> None:
        self.counts["changes"] += 1

    # Text

    def _start_instruction(self, _: Mapping[str, str]) -> None:
        self._is_instruction = True

    def _end_instruction(self) -> None:
        self._is_instruction = False

    def _start_about_row(self, _: Mapping[str, str]) -> None:
        self._is_about_row = True

    def _end_about_row(self) -> None:
        self._is_about_row = False

    def _start_text(self, _: Mapping[str, str]) -> None:
        self._is_text = True

    def _end_text(self) -> None:
        self._is_text = False

    def _start_run(self, _: Mapping[str, str]) -> None:
        self._is_hidden = False

    def _start_hidden(self, attributes: Mapping[str, str]) -> None:
        if not self._is_about:
            self._is_hidden = attribute(attributes) not in OFF

    def _start_break(self, attributes: Mapping[str, str]) -> None:
        if (attribute(attributes, "type") or "textWrapping") == "textWrapping":
            self.put("\n")

    def _start_symbol(self, attributes: Mapping[str, str]) -> None:
        code = (attribute(attributes, "char") or "").upper()
        if code in _SYMBOLS:
            self.put(_SYMBOLS[code])
        elif re.fullmatch("[0-9A-F]{4}", code) and not "E000" <= code <= "F8FF":
            self.put(chr(int(code, 16)))

    # Paragraphs

    def _start_paragraph(self, _: Mapping[str, str]) -> None:
        paragraph = _Paragraph()
        if self._carried:
            paragraph.parts = self._carried.parts
            paragraph.boxes, paragraph.notes = self._carried.boxes, self._carried.notes
            self._carried = None
        self._paragraphs.append(paragraph)

    def _start_about(self, _: Mapping[str, str]) -> None:
        self._is_about = True

    def _end_about(self) -> None:
        self._is_about = False

    def _start_style(self, attributes: Mapping[str, str]) -> None:
        if self._paragraphs:
            self._paragraphs[-1].style = attribute(attributes) or ""

    def _start_outline(self, attributes: Mapping[str, str]) -> None:
        if self._paragraphs:
            self._paragraphs[-1].outline = number(attribute(attributes))

    def _start_numbering(self, attributes: Mapping[str, str]) -> None:
        if self._paragraphs:
            self._paragraphs[-1].numbering = attribute(attributes)

    def _start_depth(self, attributes: Mapping[str, str]) -> None:
        if self._paragraphs:
            self._paragraphs[-1].depth = number(attribute(attributes))

    def _end_paragraph(self) -> None:
        if not self._paragraphs:
            return
        paragraph = self._paragraphs.pop()
        paragraph.parts += self.fields.released()
        if paragraph.is_joined:
            self._carried = paragraph
        else:
            self._finish(paragraph)

    def _finish(self, paragraph: _Paragraph) -> None:
        flow = self._flows[-1]
        text = "".join(paragraph.parts)
        style_id = paragraph.style or self._default
        style = self._around.styles.get(style_id) or Style()
        outline = paragraph.outline
        level = style.heading if outline is None else (outline + 1) % (BODY_LEVEL + 1)
        mark, depth = self._mark(paragraph, style_id, style)
        if paragraph.has_page_number and _says_only_page(text):
            text = ""
        if style.is_contents:
            self.counts["contents"] += bool(text.strip())
        elif style.is_code:
            flow.put_code(text)
        elif not text.strip():
            pass
        elif level and len(text) <= _LONGEST_HEADING:
            title = f"{'' if mark == '-' else mark} {' '.join(text.split())}".strip()
            flow.put(Block("heading", title, level=min(level, 6)))
        elif mark:
            flow.put_item(mark, " ".join(text.split()), depth)
        else:
            flow.put_text(text.strip())
        for block in paragraph.boxes:
            flow.put_after(block)
        for block in paragraph.notes:
            if self.tables:
                self.tables.put_note(block)
            else:
                flow.put_after(block)

    def _mark(self, paragraph: _Paragraph, style_id: str, style: Style) -> tuple[str, int]:
        numbering, depth = paragraph.numbering, paragraph.depth
        if numbering is None:
            numbering = style.numbering
            if depth is None and numbering:
                depth = self._around.numbering.depth_of_style(numbering, style_id)
        if depth is None:
            depth = style.depth or 0
        if not numbering or numbering == "0":
            return "", 0
        return self._around.numbering.next_mark(numbering, depth), depth

    # Text boxes, notes, images

    def _start_box(self, _: Mapping[str, str]) -> None:
        self._flows.append(Flow())

    def _end_box(self) -> None:
        blocks = self._flows.pop().all()
        if self._paragraphs:
            self._paragraphs[-1].boxes += blocks
        else:
            for block in blocks:
                self._flows[-1].put(block)

    def _start_note(self, attributes: Mapping[str, str]) -> None:
        is_text = (attribute(attributes, "type") or "normal") == "normal"
        self._note = (attribute(attributes, "id") or "") if is_text else ""
        self._flows.append(Flow())

    def _end_note(self) -> None:
        text = " ".join(block.text for block in self._flows.pop().all())
        if self._note:
            self.notes[self._note] = text

    def _refer(self, attributes: Mapping[str, str], kind: str, texts: Mapping[str, str]) -> None:
        text = texts.get(attribute(attributes, "id") or "")
        if not text or not self._paragraphs:
            return
        self.counts[kind] += 1
        form = "decimal" if kind == "footnotes" else "lowerRoman"
        mark = f"[{in_format(self.counts[kind], form)}]"
        if attribute(attributes, "customMarkFollows") not in (None, *OFF):
            mark = ""
        self.put(mark)
        self._paragraphs[-1].notes.append(Block("text", f"{mark} {text}".strip()))

    def _start_footnote_mark(self, attributes: Mapping[str, str]) -> None:
        self._refer(attributes, "footnotes", self._around.footnotes)

    def _start_endnote_mark(self, attributes: Mapping[str, str]) -> None:
        self._refer(attributes, "endnotes", self._around.endnotes)

    def _start_alternatives(self, _: Mapping[str, str]) -> None:
        self._choices.append(False)

    def _end_alternatives(self) -> None:
        self._choices.pop()

    def _start_alternative(self, _: Mapping[str, str]) -> None:
        if self._choices and self._choices[-1]:
            self._left_out = 1
        elif self._choices:
            self._choices[-1] = True

    def _start_described(self, attributes: Mapping[str, str]) -> None:
        self._alt = attributes.get("descr") or attributes.get("title") or ""

    def _start_shape(self, attributes: Mapping[str, str]) -> None:
        self._alt = attributes.get("alt") or ""

    def _start_image(self, _: Mapping[str, str]) -> None:
        alt = " ".join(_GENERATED.sub("", self._alt).split())
        self._alt = ""
        self.counts["described images" if alt else "images"] += 1
        if alt:
            self.put(f"[Image: {alt}]")

    def _start_chart(self, _: Mapping[str, str]) -> None:
        self.counts["charts"] += 1

    def _start_diagram(self, attributes: Mapping[str, str]) -> None:
        text = self._around.diagrams.get(attribute(attributes, "dm") or "")
        if text and self._paragraphs:
            self._paragraphs[-1].boxes.append(Block("text", text))


def _says_only_page(text: str) -> bool:
    """Whether nothing is left of "Page 3 of 9" but its words."""
    words = re.findall(r"\w+", text)
    return len(words) <= 2 and all(len(word) <= 7 for word in words)


_Start = Callable[[Body, Mapping[str, str]], None]
_End = Callable[[Body], None]


def _putting(text: str) -> _Start:
    return lambda body, _: body.put(text)


# Elements of WordprocessingML by local name, and of the other languages by their whole names.
_WORD_STARTS: dict[str, _Start] = {
    **{name: _putting(sign) for name, sign in _SIGNS.items()},
    **dict.fromkeys(("tabs", "rt", "pPrChange", "rPrChange", "tblPrChange"), Body._leave_out),
    **dict.fromkeys(("tcPrChange", "trPrChange", "sectPrChange"), Body._leave_out),
    **dict.fromkeys(("tblGridChange", "tblPrExChange", "numberingChange"), Body._leave_out),
    "del": Body._leave_out_change,
    "moveFrom": Body._leave_out_change,
    "ins": Body._start_insertion,
    "t": Body._start_text,
    "r": Body._start_run,
    "vanish": Body._start_hidden,
    "br": Body._start_break,
    "sym": Body._start_symbol,
    "fldChar": lambda body, given: body.fields.mark(given),
    "instrText": Body._start_instruction,
    "fldSimple": lambda body, given: body.fields.start_simple(given),
    "checkBox": lambda body, given: body.fields.start_check_box(given),
    "default": lambda body, given: body.fields.check(given),
    "checked": lambda body, given: body.fields.check(given),
    "result": lambda body, given: body.fields.choose(given),
    "listEntry": lambda body, given: body.fields.offer(given),
    "p": Body._start_paragraph,
    "pPr": Body._start_about,
    "pStyle": Body._start_style,
    "outlineLvl": Body._start_outline,
    "numId": Body._start_numbering,
    "ilvl": Body._start_depth,
    "txbxContent": Body._start_box,
    "footnote": Body._start_note,
    "endnote": Body._start_note,
    "footnoteReference": Body._start_footnote_mark,
    "endnoteReference": Body._start_endnote_mark,
    "commentReference": lambda body, _: body.counts.update(["comments"]),
    "object": lambda body, _: body.counts.update(["objects"]),
    "altChunk": lambda body, _: body.counts.update(["objects"]),
    "subDoc": lambda body, _: body.counts.update(["objects"]),
    "tbl": lambda body, given: body.tables.start(given),
    "tblLook": lambda body, given: body.tables.look(given),
    "tr": lambda body, given: body.tables.start_row(given),
    "trPr": Body._start_about_row,
    "tblHeader": lambda body, given: body.tables.mark_header(given),
    "gridBefore": lambda body, given: body.tables.skip_columns(given),
    "tc": lambda body, given: body.tables.start_cell(given),
    "gridSpan": lambda body, given: body.tables.span(given),
    "vMerge": lambda body, given: body.tables.merge(given),
    "hMerge": lambda body, given: body.tables.merge(given),
    "cellDel": lambda body, given: body.tables.delete_cell(given),
}
_WORD_ENDS: dict[str, _End] = {
    "t": Body._end_text,
    "instrText": Body._end_instruction,
    "fldSimple": lambda body: body.fields.end_simple(),
    "checkBox": lambda body: body.put(body.fields.end_check_box()),
    "ddList": lambda body: body.put(body.fields.end_list()),
    "p": Body._end_paragraph,
    "pPr": Body._end_about,
    "txbxContent": Body._end_box,
    "footnote": Body._end_note,
    "endnote": Body._end_note,
    "trPr": Body._end_about_row,
    "tc": lambda body: body.tables.end_cell(),
    "tr": lambda body: body.tables.end_row(),
    "tbl": lambda body: body.tables.end(),
}
_MATH_STARTS: dict[str, _Start] = {
    "t": Body._start_text,
    "den": _putting("/"),
    "sup": _putting("^"),
    "sub": _putting("_"),
}
_DRAWING = "{http://schemas.openxmlformats.org/drawingml/2006/"
_STRICT_DRAWING = "{http://purl.oclc.org/ooxml/drawingml/"
_MARKUP = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
_SHAPES = "{urn:schemas-microsoft-com:vml}"
_STARTS: dict[str, _Start] = {
    **{space + name: handler for space in _W for name, handler in _WORD_STARTS.items()},
    **{space + name: handler for space in _M for name, handler in _MATH_STARTS.items()},
    f"{_MARKUP}AlternateContent": Body._start_alternatives,
    f"{_MARKUP}Choice": Body._start_alternative,
    f"{_MARKUP}Fallback": Body._start_alternative,
    f"{_SHAPES}shape": Body._start_shape,
    f"{_SHAPES}imagedata": Body._start_image,
    **{
        space + name: handler
        for space in (_DRAWING, _STRICT_DRAWING)
        for name, handler in {
            "wordprocessingDrawing}docPr": Body._start_described,
            "picture}pic": Body._start_image,
            "chart}chart": Body._start_chart,
            "diagram}relIds": Body._start_diagram,
        }.items()
    },
}
_ENDS: dict[str, _End] = {
    **{space + name: handler for space in _W for name, handler in _WORD_ENDS.items()},
    **{f"{space}t": Body._end_text for space in _M},
    f"{_MARKUP}AlternateContent": Body._end_alternatives,
}
