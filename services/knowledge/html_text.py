"""The text of a web page as Markdown, with limits that apply while it is read."""

from __future__ import annotations

import re
from typing import Any

from bs4 import BeautifulSoup, Tag
from bs4.builder._lxml import LXMLTreeBuilder
from bs4.exceptions import ParserRejectedMarkup
from markdownify import MarkdownConverter

from services.knowledge.rejections import (
    MAX_CHARACTERS,
    Allowance,
    damaged,
    too_intricate,
    too_long,
)

MAX_ELEMENTS = 150_000  # at a kilobyte each
_NOT_SHOWN = {"script", "style", "template", "noscript", "nav", "svg", "iframe"}
_NUMBERS = ("start", "colspan")  # the attributes that the text depends on


def html_text(name: str, page: str) -> str:
    """Return the visible text of a page; headings begin with `#`.

    Raises:
        DocumentRejected: the page is too large.
    """
    try:
        soup = BeautifulSoup(page, builder=_Builder(name))
    except ParserRejectedMarkup as error:
        raise damaged(name) from error
    shown = soup.body or soup
    try:
        return _Converter(name).convert_soup(shown)
    except RecursionError:  # hundreds of nested tags: the text without its headings
        return Allowance(name).take(shown.get_text("\n"))


class _Builder(LXMLTreeBuilder):
    """Builds the tree without hidden elements and without attributes that do not matter."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name
        self._elements = 0
        self._hidden = 0  # how deep inside an element that is not shown

    def start(self, tag: Any, attrs: Any, nsmap: Any = {}) -> None:  # noqa: B006 - as the parent
        self._elements += 1
        if self._elements > MAX_ELEMENTS:
            raise too_intricate(self._name, f"has more than {MAX_ELEMENTS:,} parts")
        if self._hidden or tag in _NOT_SHOWN:
            self._hidden += 1
            return
        kept: Any = {
            key: attrs[key] for key in _NUMBERS if re.fullmatch("[0-9]{1,4}", attrs.get(key, ""))
        }
        super().start(tag, kept, nsmap)

    def end(self, tag: Any) -> None:
        if self._hidden:
            self._hidden -= 1
        else:
            super().end(tag)

    def data(self, data: Any) -> None:
        if not self._hidden:
            super().data(data)

    def comment(self, text: Any) -> None:
        """Comments are ignored."""


class _Converter(MarkdownConverter):
    """Limits the size of its output: each nested quotation adds a mark to every line."""

    def __init__(self, name: str) -> None:
        super().__init__(heading_style="ATX", strip=["a", "img"])
        self._name = name
        self._allowance = Allowance(name)
        self._made = 0  # characters of the finished elements that are not yet part of another

    def process_tag(self, node: Tag, parent_tags: set[str] | None = None) -> str:
        before = self._made
        # The library's own type file lacks this method.
        text = str(super().process_tag(node, parent_tags))  # type: ignore[misc]
        self._made = before + len(text)
        if self._made > MAX_CHARACTERS:
            raise too_long(self._name)
        self._allowance.check_time()
        return text
