"""What the elements of a Word document mean: paragraphs, text boxes, notes, images."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

from services.reading.blocks import Block
from services.reading.docx_fields import (
    GENERATED,
    OFF,
    SYMBOL_FONT,
    SYMBOLS,
    Fields,
    attribute,
    says_only_page,
)
from services.reading.docx_parts import Paragraph, Surroundings
from services.reading.docx_styles import BODY_LEVEL, Style, in_format, number
from services.reading.docx_tables import Tables
from services.reading.flow import Flow

_LONGEST_HEADING = 300


class Body:
    """What a part of a document says, element by element; `docx_elements` calls it.

    `flow` holds the blocks, `counts` what to tell of, and `notes` the text of each footnote if the
    part is one of footnotes.
    """

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._default = next((k for k, s in around.styles.items() if s.is_default), "")
        self.leaves_out = False  # the element that has just begun
        self._is_text = self._is_instruction = self._is_hidden = self._is_about = False
        self._is_about_row = False
        self._paragraphs: list[Paragraph] = []  # open ones: a text box is inside a paragraph
        self._carried: Paragraph | None = None
        self._choices: list[bool] = []  # whether one of the alternatives was taken
        self._alt = ""
        self.flow = Flow()
        self._flows = [self.flow]
        self.tables = Tables(self._flows)
        self.fields = Fields()
        self.counts: Counter[str] = Counter()
        self.notes: dict[str, str] = {}
        self._note = ""

    def data(self, text: str) -> None:
        """Text between tags, of whatever is open."""
        if self._is_text:
            if self._is_hidden:
                self.counts["hidden"] += 1
            else:
                self.put(text)
        elif self._is_instruction:
            self.fields.instruct(text)

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

    def show(self, text: str) -> None:
        """Text that is shown whatever field it is in: what a form field was set to."""
        if self._paragraphs:
            self._paragraphs[-1].parts.append(text)

    def leave_out(self, _: Mapping[str, str]) -> None:
        self.leaves_out = True

    def leave_out_change(self, _: Mapping[str, str]) -> None:
        self.leaves_out = True
        self.counts["changes"] += 1
        if self._is_about_row:
            self.tables.delete_row()
        elif self._is_about and self._paragraphs:
            self._paragraphs[-1].is_joined = True

    def start_insertion(self, _: Mapping[str, str]) -> None:
        self.counts["changes"] += 1

    # Text

    def start_instruction(self, _: Mapping[str, str]) -> None:
        self._is_instruction = True

    def end_instruction(self) -> None:
        self._is_instruction = False

    def start_about_row(self, _: Mapping[str, str]) -> None:
        self._is_about_row = True

    def end_about_row(self) -> None:
        self._is_about_row = False

    def start_text(self, _: Mapping[str, str]) -> None:
        self._is_text = True

    def end_text(self) -> None:
        self._is_text = False

    def start_run(self, _: Mapping[str, str]) -> None:
        self._is_hidden = False

    def start_hidden(self, attributes: Mapping[str, str]) -> None:
        if not self._is_about:
            self._is_hidden = attribute(attributes) not in OFF

    def start_break(self, attributes: Mapping[str, str]) -> None:
        if (attribute(attributes, "type") or "textWrapping") == "textWrapping":
            self.put("\n")

    def start_symbol(self, attributes: Mapping[str, str]) -> None:
        code = (attribute(attributes, "char") or "").upper()
        is_greek = (attribute(attributes, "font") or "").lower() == "symbol"
        symbols = SYMBOL_FONT if is_greek else SYMBOLS
        if code in symbols:
            self.put(symbols[code])
        elif re.fullmatch("[0-9A-F]{4}", code) and not "E000" <= code <= "F8FF":
            self.put(chr(int(code, 16)))

    # Paragraphs

    def start_paragraph(self, _: Mapping[str, str]) -> None:
        paragraph = Paragraph()
        if self._carried:
            paragraph.parts = self._carried.parts
            paragraph.boxes, paragraph.notes = self._carried.boxes, self._carried.notes
            self._carried = None
        self._paragraphs.append(paragraph)

    def start_about(self, _: Mapping[str, str]) -> None:
        self._is_about = True

    def end_about(self) -> None:
        self._is_about = False

    def start_style(self, attributes: Mapping[str, str]) -> None:
        if self._paragraphs:
            self._paragraphs[-1].style = attribute(attributes) or ""

    def start_outline(self, attributes: Mapping[str, str]) -> None:
        if self._paragraphs:
            self._paragraphs[-1].outline = number(attribute(attributes))

    def start_numbering(self, attributes: Mapping[str, str]) -> None:
        if self._paragraphs:
            self._paragraphs[-1].numbering = attribute(attributes)

    def start_depth(self, attributes: Mapping[str, str]) -> None:
        if self._paragraphs:
            self._paragraphs[-1].depth = number(attribute(attributes))

    def end_paragraph(self) -> None:
        if not self._paragraphs:
            return
        paragraph = self._paragraphs.pop()
        paragraph.parts += self.fields.released()
        if paragraph.is_joined:
            self._carried = paragraph
        else:
            self._finish(paragraph)

    def _finish(self, paragraph: Paragraph) -> None:
        flow = self._flows[-1]
        text = "".join(paragraph.parts)
        style_id = paragraph.style or self._default
        style = self._around.styles.get(style_id) or Style()
        outline = paragraph.outline
        level = style.heading if outline is None else (outline + 1) % (BODY_LEVEL + 1)
        mark, depth = self._mark(paragraph, style_id, style)
        if paragraph.has_page_number and says_only_page(text):
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

    def _mark(self, paragraph: Paragraph, style_id: str, style: Style) -> tuple[str, int]:
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

    def start_box(self, _: Mapping[str, str]) -> None:
        self._flows.append(Flow())

    def end_box(self) -> None:
        blocks = self._flows.pop().all()
        if self._paragraphs:
            self._paragraphs[-1].boxes += blocks
        else:
            for block in blocks:
                self._flows[-1].put(block)

    def start_note(self, attributes: Mapping[str, str]) -> None:
        is_text = (attribute(attributes, "type") or "normal") == "normal"
        self._note = (attribute(attributes, "id") or "") if is_text else ""
        self._flows.append(Flow())

    def end_note(self) -> None:
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

    def start_footnote_mark(self, attributes: Mapping[str, str]) -> None:
        self._refer(attributes, "footnotes", self._around.footnotes)

    def start_endnote_mark(self, attributes: Mapping[str, str]) -> None:
        self._refer(attributes, "endnotes", self._around.endnotes)

    def start_alternatives(self, _: Mapping[str, str]) -> None:
        self._choices.append(False)

    def end_alternatives(self) -> None:
        self._choices.pop()

    def start_alternative(self, _: Mapping[str, str]) -> None:
        if self._choices and self._choices[-1]:
            self.leaves_out = True
        elif self._choices:
            self._choices[-1] = True

    def start_described(self, attributes: Mapping[str, str]) -> None:
        self._alt = attributes.get("descr") or attributes.get("title") or ""

    def start_shape(self, attributes: Mapping[str, str]) -> None:
        self._alt = attributes.get("alt") or ""

    def start_image(self, _: Mapping[str, str]) -> None:
        alt = " ".join(GENERATED.sub("", self._alt).split())
        self._alt = ""
        self.counts["described images" if alt else "images"] += 1
        if alt:
            self.put(f"[Image: {alt}]")

    def start_chart(self, _: Mapping[str, str]) -> None:
        self.counts["charts"] += 1

    def start_diagram(self, attributes: Mapping[str, str]) -> None:
        text = self._around.diagrams.get(attribute(attributes, "dm") or "")
        if text and self._paragraphs:
            self._paragraphs[-1].boxes.append(Block("text", text))
