"""What the elements of a web page mean: paragraphs, lists, code and tables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from services.reading.blocks import Block
from services.reading.docx_styles import in_format
from services.reading.flow import Flow
from services.reading.html_hidden import skips_to_text
from services.reading.html_tables import Cell, HtmlTable, count

_RAISED = str.maketrans("0123456789+-\u2212", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻")
_LANGUAGE = re.compile(r"(?:lang(?:uage)?|highlight(?:-source)?|brush:?)[-\s]+([\w+#.-]+)")
_PERMALINKS = {"¶", "🔗"}
_MOST_TABLES = 30  # one in the other
_LIST_FORMATS = {"a": "lowerLetter", "A": "upperLetter", "i": "lowerRoman", "I": "upperRoman"}
_RAISED_NUMBER = re.compile(r"\s*[-+\u2212]?[0-9]+\s*")


@dataclass(slots=True)
class _List:
    is_ordered: bool
    next: int = 1
    format: str = "decimal"


class Page:
    """What a page says, element by element; `html_elements` calls it. `flow` holds its blocks."""

    def __init__(self, *, has_heading: bool = True) -> None:
        self._has_heading = has_heading  # of level 1; else the title is taken
        self._is_title = False
        self._parts: list[str] = []  # of the open paragraph
        self._heading = 0
        self._code: list[str] | None = None
        self._language = ""
        self._raised = 0
        self._link_from: int | None = None  # where the open link begins in the paragraph
        self._is_link_within = False  # this page
        self._lists: list[_List] = []
        self._mark = ""  # of the item that has begun
        self._is_term = False
        self._terms: list[str] = []  # that are to be defined
        self._tables: list[HtmlTable] = []
        self._cells: list[Cell] = []
        self._ignored = 0  # tables in too many others: only their text is read
        self.flow = Flow()
        self._flows = [self.flow]
        self.images = 0  # without a description

    def data(self, text: str) -> None:
        if self._code is not None:
            self._code.append(text)
        elif self._raised and _RAISED_NUMBER.fullmatch(text):
            self._parts.append(text.translate(_RAISED))
        else:
            self._parts.append(text)

    def open_aside(self) -> None:
        """What comes now may be left out."""
        self.end_paragraph()
        self._flows.append(Flow())

    def close_aside(self, *, is_kept: bool) -> None:
        self.end_paragraph()
        blocks = self._flows.pop().all()
        for block in blocks if is_kept else ():
            self._flows[-1].put(block)

    def close(self) -> None:
        self.end_paragraph()
        self._flush_terms()
        self.flow.close()

    def start_heading(self, level: int) -> None:
        self._heading = level

    def end_heading(self) -> None:
        self._heading = 0

    # Paragraphs

    def end_paragraph(self) -> None:
        if not self._parts:
            return
        raw, self._parts = "".join(self._parts), []
        lines = (" ".join(line.split()) for line in raw.split("\v"))
        text = "\n".join(lines).strip()
        if not text:
            return
        flow = self._flows[-1]
        if self._is_title:
            if not self._has_heading:
                flow.put(Block("heading", " ".join(text.split()), level=1))
        elif self._heading:
            self._flush_terms()
            flow.put(Block("heading", " ".join(text.split()), level=self._heading))
        elif self._is_term:
            self._terms.append(" ".join(text.split()))
        elif self._lists:
            flow.put_item(self._mark, text.replace("\n", " "), len(self._lists) - 1)
            self._mark = " "
        elif self._terms:
            flow.put_text(f"{', '.join(self._terms)}: {text}")
            self._terms = []
        else:
            flow.put_text(text)

    def start_br(self, _: Mapping[str, str]) -> None:
        (self._parts if self._code is None else self._code).append(
            "\v" if self._code is None else "\n"
        )

    def start_title(self, _: Mapping[str, str]) -> None:
        self._is_title = True

    def end_title(self) -> None:
        self._is_title = False

    def start_sup(self, _: Mapping[str, str]) -> None:
        self._raised += 1

    def end_sup(self) -> None:
        self._raised -= 1

    def start_a(self, attributes: Mapping[str, str]) -> None:
        self._link_from = len(self._parts)
        self._is_link_within = attributes.get("href", "").startswith("#")

    def end_a(self) -> None:
        """A link to the heading that it stands in is a sign, "¶" or "#", and no text. Nor is one
        that skips the navigation."""
        begin, self._link_from = self._link_from, None
        if begin is None or self._code is not None or begin >= len(self._parts):
            return
        text = "".join(self._parts[begin:]).strip()
        names_it = self._heading or self._is_term
        is_skip = self._is_link_within and skips_to_text(text)
        if is_skip or text in _PERMALINKS or (text and names_it and not re.search(r"\w", text)):
            del self._parts[begin:]

    def start_q(self, _: Mapping[str, str]) -> None:
        self._parts.append("“")

    def end_q(self) -> None:
        self._parts.append("”")

    def start_img(self, attributes: Mapping[str, str]) -> None:
        alt = " ".join(attributes.get("alt", "").split())
        if alt:
            self.data(f" [Image: {alt}] ")
        elif "alt" not in attributes:
            self.images += 1

    def start_area(self, attributes: Mapping[str, str]) -> None:
        if alt := attributes.get("alt", "").strip():
            self.data(f" {alt} ")

    def start_input(self, attributes: Mapping[str, str]) -> None:
        if attributes.get("type", "").lower() in ("checkbox", "radio"):
            self.data("☒ " if "checked" in attributes else "☐ ")

    # Code

    def start_pre(self, attributes: Mapping[str, str]) -> None:
        self._code, self._language = [], _language(attributes)

    def start_code(self, attributes: Mapping[str, str]) -> None:
        if self._code is not None and not self._language:
            self._language = _language(attributes)

    def end_pre(self) -> None:
        text = "".join(self._code or []).strip("\n")
        self._code = None
        if not text.strip() or (self._tables and not re.search(r"[^\d\s]", text)):
            return  # nothing, or the numbers of lines beside the code
        self._flush_terms()
        self._flows[-1].put(Block("code", text, language=self._language))

    # Lists

    def start_ul(self, _: Mapping[str, str]) -> None:
        self._lists.append(_List(is_ordered=False))

    def start_ol(self, attributes: Mapping[str, str]) -> None:
        start = attributes.get("start", "")
        self._lists.append(
            _List(
                is_ordered=True,
                next=int(start) if re.fullmatch("[0-9]{1,6}", start) else 1,
                format=_LIST_FORMATS.get(attributes.get("type", ""), "decimal"),
            )
        )

    def end_list(self) -> None:
        """The end of a ul, ol or menu."""
        if self._lists:
            self._lists.pop()
        self._mark = " "
        if not self._lists:
            self._flows[-1].close()

    def start_li(self, attributes: Mapping[str, str]) -> None:
        if not self._lists:
            self._lists.append(_List(is_ordered=False))
        innermost = self._lists[-1]
        if not innermost.is_ordered:
            self._mark = "-"
            return
        given = attributes.get("value", "")
        if re.fullmatch("[0-9]{1,6}", given):
            innermost.next = int(given)
        self._mark = f"{in_format(innermost.next, innermost.format)}."
        innermost.next += 1

    def start_dt(self, _: Mapping[str, str]) -> None:
        self._is_term = True

    def end_dt(self) -> None:
        """What was read is the term: it waits for its definition."""
        self._is_term = False

    def end_dl(self) -> None:
        self._flush_terms()

    def _flush_terms(self) -> None:
        self._flows[-1].put_text(", ".join(self._terms))
        self._terms = []

    # Tables

    def start_table(self, attributes: Mapping[str, str]) -> None:
        if len(self._tables) >= _MOST_TABLES:
            self._ignored += 1
            return
        role = attributes.get("role", "").lower()
        self._tables.append(HtmlTable(is_layout=role in ("presentation", "none")))

    def start_thead(self, _: Mapping[str, str]) -> None:
        if self._tables:
            self._tables[-1].is_in_head = True

    def end_thead(self) -> None:
        if self._tables:
            self._tables[-1].is_in_head = False

    def start_tr(self, _: Mapping[str, str]) -> None:
        if self._tables and not self._ignored:
            self._tables[-1].start_row()

    def start_td(self, attributes: Mapping[str, str], *, is_heading: bool = False) -> None:
        if self._tables and not self._ignored:
            self._cells.append(
                Cell(
                    is_heading,
                    count(attributes.get("colspan"), 1_000),
                    count(attributes.get("rowspan"), 65_534),
                )
            )
            self._flows.append(Flow())

    def start_th(self, attributes: Mapping[str, str]) -> None:
        self.start_td(attributes, is_heading=True)

    def end_td(self) -> None:
        """The end of a td or th."""
        if self._tables and self._cells and not self._ignored:
            cell = self._cells.pop()
            cell.blocks = self._flows.pop().all()
            self._tables[-1].add(cell)

    def end_table(self) -> None:
        if self._ignored:
            self._ignored -= 1
        elif self._tables:
            table = self._tables.pop()
            for block in table.blocks(is_nested=bool(self._cells)):
                self._flows[-1].put(block)


def _language(attributes: Mapping[str, str]) -> str:
    match = _LANGUAGE.search(attributes.get("class", ""))
    return match[1] if match else attributes.get("data-lang", attributes.get("lang", ""))
