"""A web page, parsed as a stream: no tree of it is ever built, however deep its tags are."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from services.reading.blocks import Block
from services.reading.docx_styles import in_format
from services.reading.flow import Flow
from services.reading.html_hidden import NEVER_TEXT, Aside, aside_of
from services.reading.html_tables import Cell, HtmlTable, count

_BLOCKS = {
    "address", "article", "aside", "blockquote", "body", "button", "caption", "center", "details",
    "dialog", "div", "dl", "dd", "dt", "fieldset", "figcaption", "figure", "footer", "form", "h1",
    "h2", "h3", "h4", "h5", "h6", "header", "hgroup", "hr", "html", "label", "legend", "li",
    "main", "menu", "nav", "ol", "optgroup", "option", "p", "pre", "section", "select", "summary",
    "table", "tbody", "td", "textarea", "tfoot", "th", "thead", "title", "tr", "ul", "video",
}  # fmt: skip
_VOID = {
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source",
    "track", "wbr",
}  # fmt: skip
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_ARTICLES = {"article", "main", "section", "blockquote"}
_RAISED = str.maketrans("0123456789+-−", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻")
_LANGUAGE = re.compile(r"(?:lang(?:uage)?|highlight(?:-source)?|brush:?)[-\s]+([\w+#.-]+)")
_LIST_FORMATS = {"a": "lowerLetter", "A": "upperLetter", "i": "lowerRoman", "I": "upperRoman"}
_MOST_OF_ASIDE = 1_500  # characters: what is longer is not left out because of its name
_SHARE_OF_LINKS = 0.5  # of navigation


@dataclass(slots=True)
class _List:
    is_ordered: bool
    next: int = 1
    format: str = "decimal"


@dataclass(slots=True)
class _Aside:
    kind: Aside
    depth: int
    characters: int = 0
    linked: int = 0


class Page:
    """Receives a page from the parser. `flow` holds its blocks, `left_out` what was left out.

    With `everything`, what is hidden or around the text is read as well.
    """

    def __init__(self, *, everything: bool = False, has_heading: bool = True) -> None:
        self._everything = everything
        self._has_heading = has_heading  # of level 1; else the title is taken
        self._depth = 0
        self._never = 0  # how deep inside an element that is never text
        self._asides: list[_Aside] = []
        self._articles = 0
        self._parts: list[str] = []  # of the open paragraph
        self._heading = 0
        self._code: list[str] | None = None
        self._language = ""
        self._links = 0
        self._raised = 0
        self._lists: list[_List] = []
        self._mark = ""  # of the item that has begun
        self._term = ""  # that is to be defined
        self._tables: list[HtmlTable] = []
        self._cells: list[Cell] = []
        self._title_depth = 0
        self._open: list[str] = []
        self.flow = Flow()
        self._flows = [self.flow]
        self.left_out: Counter[str] = Counter()  # characters by kind
        self.images = self.described_images = 0

    @property
    def hidden_characters(self) -> int:
        return sum(self.left_out.values())

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        tag = _local(tag)
        if self._never:
            self._never += tag not in _VOID
            return
        if tag in NEVER_TEXT:
            self._never = 1
            return
        if tag not in _VOID:
            self._open.append(tag)
            self._start_aside(tag, attributes)
            self._articles += tag in _ARTICLES
        if tag in _BLOCKS:
            self._end_paragraph()
        if starter := _STARTS.get(tag):
            starter(self, attributes)
        elif tag in _HEADINGS:
            self._heading = _HEADINGS[tag]

    def data(self, text: str) -> None:
        if self._never:
            return
        if self._asides and (size := len(text.strip())):
            self._asides[-1].characters += size
            self._asides[-1].linked += size if self._links else 0
        if self._code is not None:
            self._code.append(text)
        elif self._raised and re.fullmatch(r"\s*[-+−]?[0-9]+\s*", text):
            self._parts.append(text.translate(_RAISED))
        else:
            self._parts.append(text)

    def end(self, tag: str) -> None:
        tag = _local(tag)
        if self._never:
            self._never -= tag not in _VOID
            return
        if tag in _VOID or not self._open:
            return
        if tag in _BLOCKS:
            self._end_paragraph()
        if ender := _ENDS.get(tag):
            ender(self)
        elif tag in _HEADINGS:
            self._heading = 0
        self._articles -= tag in _ARTICLES
        if self._asides and self._asides[-1].depth == len(self._open):
            self._end_aside(self._asides.pop())
        self._open.pop()

    def comment(self, text: str) -> None:
        """Comments are not shown."""

    def close(self) -> None:
        self._end_paragraph()
        while self._open:
            self.end(self._open[-1])
        self.flow.close()

    # Asides

    def _start_aside(self, tag: str, attributes: Mapping[str, str]) -> None:
        if self._everything or tag in ("html", "body", "main", "title", "head"):
            return
        if kind := aside_of(tag, attributes, in_article=self._articles > 0):
            self._end_paragraph()
            self._asides.append(_Aside(kind, len(self._open)))
            self._flows.append(Flow())

    def _end_aside(self, aside: _Aside) -> None:
        self._end_paragraph()
        blocks = self._flows.pop().all()
        is_short = aside.characters <= _MOST_OF_ASIDE
        is_links = aside.linked > _SHARE_OF_LINKS * aside.characters
        if self._asides:
            self._asides[-1].characters += aside.characters
            self._asides[-1].linked += aside.linked
        if aside.kind == "hidden text" or (is_links if aside.kind == "navigation" else is_short):
            if not self._asides:
                self.left_out[aside.kind] += aside.characters
            return
        for block in blocks:
            self._flows[-1].put(block)

    # Paragraphs

    def _end_paragraph(self) -> None:
        if not self._parts:
            return
        raw, self._parts = "".join(self._parts), []
        lines = (" ".join(line.split()) for line in raw.split("\v"))
        text = "\n".join(lines).strip()
        if not text:
            return
        flow = self._flows[-1]
        if self._title_depth:
            if not self._has_heading:
                flow.put(Block("heading", " ".join(text.split()), level=1))
        elif self._heading:
            flow.put(Block("heading", " ".join(text.split()), level=self._heading))
        elif self._lists:
            flow.put_item(self._mark, text.replace("\n", " "), len(self._lists) - 1)
            self._mark = " "
        elif self._term:
            flow.put_text(f"{self._term}: {text}")
            self._term = ""
        else:
            flow.put_text(text)

    def _start_br(self, _: Mapping[str, str]) -> None:
        (self._parts if self._code is None else self._code).append(
            "\v" if self._code is None else "\n"
        )

    def _start_head(self, _: Mapping[str, str]) -> None:
        self._parts = []

    def _start_title(self, _: Mapping[str, str]) -> None:
        self._title_depth = 1

    def _end_title(self) -> None:
        self._title_depth = 0

    def _start_a(self, _: Mapping[str, str]) -> None:
        self._links += 1

    def _end_a(self) -> None:
        self._links -= 1

    def _start_sup(self, _: Mapping[str, str]) -> None:
        self._raised += 1

    def _end_sup(self) -> None:
        self._raised -= 1

    def _start_q(self, _: Mapping[str, str]) -> None:
        self._parts.append("“")

    def _end_q(self) -> None:
        self._parts.append("”")

    def _start_img(self, attributes: Mapping[str, str]) -> None:
        alt = " ".join(attributes.get("alt", "").split())
        if alt:
            self.described_images += 1
            self.data(f" [Image: {alt}] ")
        elif "alt" not in attributes and not self._asides:
            self.images += 1

    def _start_area(self, attributes: Mapping[str, str]) -> None:
        if alt := attributes.get("alt", "").strip():
            self.data(f" {alt} ")

    def _start_input(self, attributes: Mapping[str, str]) -> None:
        if attributes.get("type", "").lower() in ("checkbox", "radio"):
            self.data("☒ " if "checked" in attributes else "☐ ")

    # Code

    def _start_pre(self, attributes: Mapping[str, str]) -> None:
        self._code, self._language = [], _language(attributes)

    def _start_code(self, attributes: Mapping[str, str]) -> None:
        if self._code is not None and not self._language:
            self._language = _language(attributes)

    def _end_pre(self) -> None:
        text = "".join(self._code or []).strip("\n")
        self._code = None
        if not text.strip() or (self._tables and not re.search(r"[^\d\s]", text)):
            return  # nothing, or the numbers of lines beside the code
        self._flush_term()
        self._flows[-1].put(Block("code", text, language=self._language))

    # Lists

    def _start_ul(self, _: Mapping[str, str]) -> None:
        self._lists.append(_List(is_ordered=False))

    def _start_ol(self, attributes: Mapping[str, str]) -> None:
        start = attributes.get("start", "")
        self._lists.append(
            _List(
                is_ordered=True,
                next=int(start) if re.fullmatch("[0-9]{1,6}", start) else 1,
                format=_LIST_FORMATS.get(attributes.get("type", ""), "decimal"),
            )
        )

    def _end_list(self) -> None:
        if self._lists:
            self._lists.pop()
        self._mark = " "
        if not self._lists:
            self._flows[-1].close()

    _end_ul = _end_ol = _end_list
    _start_menu, _end_menu = _start_ul, _end_list

    def _start_li(self, attributes: Mapping[str, str]) -> None:
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

    def _end_dt(self) -> None:
        """What was read is the term: it waits for its definition."""
        taken = self._flows[-1].take_last_text()
        self._term = f"{self._term}, {taken}" if self._term and taken else taken or self._term

    def _flush_term(self) -> None:
        if self._term:
            self._flows[-1].put_text(self._term)
            self._term = ""

    def _start_dt(self, _: Mapping[str, str]) -> None:
        self._flows[-1].close()

    def _end_dl(self) -> None:
        self._flush_term()

    # Tables

    def _start_table(self, attributes: Mapping[str, str]) -> None:
        role = attributes.get("role", "").lower()
        self._tables.append(HtmlTable(is_layout=role in ("presentation", "none")))

    def _start_thead(self, _: Mapping[str, str]) -> None:
        if self._tables:
            self._tables[-1].is_in_head = True

    def _end_thead(self) -> None:
        if self._tables:
            self._tables[-1].is_in_head = False

    def _start_tr(self, _: Mapping[str, str]) -> None:
        if self._tables:
            self._tables[-1].start_row()

    def _start_td(self, attributes: Mapping[str, str], *, is_heading: bool = False) -> None:
        if self._tables:
            self._cells.append(
                Cell(
                    is_heading,
                    count(attributes.get("colspan"), 1_000),
                    count(attributes.get("rowspan"), 65_534),
                )
            )
            self._flows.append(Flow())

    def _start_th(self, attributes: Mapping[str, str]) -> None:
        self._start_td(attributes, is_heading=True)

    def _end_td(self) -> None:
        if self._tables and self._cells:
            cell = self._cells.pop()
            cell.blocks = self._flows.pop().all()
            self._tables[-1].add(cell)

    _end_th = _end_td

    def _end_table(self) -> None:
        if self._tables:
            table = self._tables.pop()
            for block in table.blocks(is_nested=bool(self._cells)):
                self._flows[-1].put(block)


def _language(attributes: Mapping[str, str]) -> str:
    match = _LANGUAGE.search(attributes.get("class", ""))
    return match[1] if match else attributes.get("data-lang", attributes.get("lang", ""))


def _local(tag: str) -> str:
    if ":" in tag or "}" in tag:
        tag = tag.rpartition("}")[2].rpartition(":")[2]
    return tag.lower()


# The methods that an element calls, by its name.
_STARTS = {
    name.removeprefix("_start_"): method
    for name, method in vars(Page).items()
    if name.startswith("_start_") and name != "_start_aside"
}
_ENDS = {
    name.removeprefix("_end_"): method
    for name, method in vars(Page).items()
    if name.startswith("_end_") and name not in ("_end_aside", "_end_paragraph", "_end_list")
}
