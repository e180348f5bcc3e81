"""The tags of a web page, parsed as a stream: no tree of it is ever built, however deep it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from services.reading.html_hidden import (
    Aside,
    Place,
    aside_of,
    is_breadcrumb,
    is_never_text,
    place_of,
)
from services.reading.html_page import Page

_BLOCKS = {
    "address", "article", "aside", "blockquote", "body", "button", "caption", "center", "details",
    "dialog", "div", "dl", "dd", "dt", "fieldset", "figcaption", "figure", "footer", "form", "h1",
    "h2", "h3", "h4", "h5", "h6", "header", "hgroup", "hr", "html", "label", "legend", "li",
    "main", "menu", "nav", "ol", "optgroup", "option", "p", "pre", "section", "select", "summary",
    "table", "tbody", "td", "textarea", "tfoot", "th", "thead", "title", "tr", "ul", "video",
}  # fmt: skip
_LINKS = {"a", "button", "label"}  # what navigation is made of
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_ARTICLES = {"article", "main", "section", "blockquote"}
_NEVER_ASIDE = {"html", "body", "main", "title", "head"}
_ASIDE_WITHOUT_ATTRIBUTES = {"nav", "footer", "dialog", "header", "aside"}
_MOST_OF_ASIDE = 1_500  # characters: what is longer is not left out because of its name
_MOST_ASIDES = 10  # one in the other
_SHARE_OF_LINKS = 0.5  # of navigation
_SHARE_OF_LINKS_ALONE = 0.9
_FEW_LINKS = 3


@dataclass(slots=True)
class _OpenAside:
    kind: Aside
    depth: int
    is_breadcrumb: bool = False  # whose last step, this page, is no link
    place: Place = ""
    characters: int = 0
    linked: int = 0
    links: int = 0
    has_heading: bool = False

    @property
    def is_kept(self) -> bool:
        """Navigation is mostly links, and the others are short: else it is text after all. So is a
        title with what is above or below it, and a remark with a link or two."""
        if self.kind != "navigation" or self.is_breadcrumb:
            return self.characters > _MOST_OF_ASIDE
        if self.linked <= _SHARE_OF_LINKS * self.characters:
            return True
        if self.place == "above" and self.has_heading:
            return True
        is_all_linked = self.linked >= _SHARE_OF_LINKS_ALONE * self.characters
        return self.place != "" and self.links < _FEW_LINKS and not is_all_linked


class Elements:
    """Receives the tags from the parser, and calls what each of them means for the page.

    `left_out` counts the characters that were left out, by their kind. With `asides`, only hidden
    text is left out.
    """

    def __init__(self, page: Page, *, asides: bool = False) -> None:
        self._page = page
        self._with_asides = asides
        self._open: list[str] = []
        self._never = 0  # how deep inside an element that is never text
        self._hidden = 0  # or inside one that is not seen
        self._asides: list[_OpenAside] = []
        self._articles = 0
        self._links = 0
        self.left_out: Counter[Aside] = Counter()

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        tag = _local(tag)
        self._open.append(tag)
        if self._never or is_never_text(tag, attributes):
            self._never += 1
            return
        if self._hidden or self._starts_hidden(tag, attributes):
            self._hidden += 1
            return
        self._articles += tag in _ARTICLES
        self._links += tag in _LINKS
        if self._asides:
            self._asides[-1].links += tag == "a"
            self._asides[-1].has_heading |= tag in _HEADINGS
        if tag in _BLOCKS:
            self._page.end_paragraph()
        if starter := _STARTS.get(tag):
            starter(self._page, attributes)
        elif tag in _HEADINGS:
            self._page.start_heading(_HEADINGS[tag])

    def _starts_hidden(self, tag: str, attributes: Mapping[str, str]) -> bool:
        """Whether an element is not seen. An aside of another kind is begun: its end decides."""
        if tag in _NEVER_ASIDE:
            return False
        if not attributes and tag not in _ASIDE_WITHOUT_ATTRIBUTES:
            return False
        in_article = self._articles > 0
        kind = aside_of(tag, attributes, in_article=in_article)
        is_aside = kind is not None and kind != "hidden text" and not self._with_asides
        if kind and is_aside and len(self._asides) < _MOST_ASIDES:
            place = place_of(tag, attributes, in_article=in_article)
            self._asides.append(_OpenAside(kind, len(self._open), is_breadcrumb(attributes), place))
            self._page.open_aside()
        return kind == "hidden text"

    def data(self, text: str) -> None:
        if self._never:
            return
        if self._hidden:
            self.left_out["hidden text"] += len(text.strip())
            return
        if self._asides:
            size = len(text.strip())
            self._asides[-1].characters += size
            self._asides[-1].linked += size if self._links else 0
        self._page.data(text)

    def end(self, _: str) -> None:
        if not self._open:
            return
        tag = self._open.pop()
        if self._never:
            self._never -= 1
            return
        if self._hidden:
            self._hidden -= 1
            return
        if tag in _BLOCKS:
            self._page.end_paragraph()
        if ender := _ENDS.get(tag):
            ender(self._page)
        elif tag in _HEADINGS:
            self._page.end_heading()
        self._articles -= tag in _ARTICLES
        self._links -= tag in _LINKS
        if self._asides and self._asides[-1].depth == len(self._open) + 1:
            self._end_aside(self._asides.pop())

    def _end_aside(self, aside: _OpenAside) -> None:
        self._page.close_aside(is_kept=aside.is_kept)
        if not aside.is_kept:
            self.left_out[aside.kind] += aside.characters
        elif self._asides:
            self._asides[-1].characters += aside.characters
            self._asides[-1].linked += aside.linked
            self._asides[-1].links += aside.links
            self._asides[-1].has_heading |= aside.has_heading

    def comment(self, text: str) -> None:
        """Comments are not shown."""

    def close(self) -> None:
        while self._open:
            self.end(self._open[-1])
        self._page.close()


def _local(tag: str) -> str:
    if ":" in tag or "}" in tag:
        tag = tag.rpartition("}")[2].rpartition(":")[2]
    return tag.lower()


_STARTS: dict[str, Callable[[Page, Mapping[str, str]], None]] = {
    "a": Page.start_a,
    "br": Page.start_br,
    "title": Page.start_title,
    "sup": Page.start_sup,
    "q": Page.start_q,
    "img": Page.start_img,
    "area": Page.start_area,
    "input": Page.start_input,
    "pre": Page.start_pre,
    "code": Page.start_code,
    "ul": Page.start_ul,
    "menu": Page.start_ul,
    "ol": Page.start_ol,
    "li": Page.start_li,
    "dt": Page.start_dt,
    "table": Page.start_table,
    "thead": Page.start_thead,
    "tr": Page.start_tr,
    "td": Page.start_td,
    "th": Page.start_th,
}
_ENDS: dict[str, Callable[[Page], None]] = {
    "a": Page.end_a,
    "title": Page.end_title,
    "sup": Page.end_sup,
    "q": Page.end_q,
    "pre": Page.end_pre,
    "ul": Page.end_list,
    "ol": Page.end_list,
    "menu": Page.end_list,
    "dt": Page.end_dt,
    "dl": Page.end_dl,
    "thead": Page.end_thead,
    "td": Page.end_td,
    "th": Page.end_td,
    "table": Page.end_table,
}
