"""Web pages: the text that a person sees, without what stands around it on every page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from lxml import etree

from services.reading import rejections
from services.reading.blocks import Block, Source
from services.reading.decoding import text_of
from services.reading.html_elements import Elements
from services.reading.html_page import Page
from services.reading.limits import MAX_ELEMENTS

_CHARACTERS_AT_ONCE = 65_536
_DECLARED = re.compile(
    rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([\w-]+)|<\?xml[^>]{0,100}encoding=["']([\w-]+)""",
    re.IGNORECASE,
)
# What browsers take instead of what pages declare.
_MEANT = {
    "iso-8859-1": "cp1252", "latin1": "cp1252", "latin-1": "cp1252", "us-ascii": "cp1252",
    "ascii": "cp1252", "windows-1252": "cp1252", "gb2312": "gb18030", "gbk": "gb18030",
    "shift_jis": "cp932", "shift-jis": "cp932", "x-sjis": "cp932", "euc-kr": "cp949",
    "ks_c_5601-1987": "cp949", "iso-8859-9": "cp1254", "tis-620": "cp874", "utf-16": "utf-8",
}  # fmt: skip
# As XML an element may close itself; as HTML, which pages are read as, only these may.
_CLOSED_ITSELF = re.compile(
    r"<(?!(?:area|base|br|col|embed|hr|img|input|link|meta|param|source|track|wbr)\b)"
    r"([a-zA-Z][\w:-]*)((?:[^<>\"']|\"[^\"<]*\"|'[^'<]*')*?)/>"
)


def read(source: Source) -> Iterator[Block]:
    """The blocks of a page. Navigation, cookie notices, page footers and hidden text are left out
    and noted. Where nothing else is there, only hidden text is.

    Raises:
        DocumentRejected: it is no text, is damaged or has more elements than a page ever has.
    """
    text = text_of(source.name, source.content, declared_encoding(source.content))
    if text.count("<") - text.count("</") > MAX_ELEMENTS:
        raise rejections.too_many_elements(source.name)
    is_xml = source.extension == ".xhtml" or text.startswith("<?xml")
    if is_xml:
        text = _without_cdata(text)
        text = _CLOSED_ITSELF.sub(r"<\1\2></\1>", text)
    has_heading = re.search(r"<h1[\s>]", text, re.IGNORECASE) is not None
    page = Page(has_heading=has_heading)
    elements = Elements(page)
    waiting: list[Block] | None = []  # headings, as long as there is no text
    try:
        for block in _blocks(source, text, page, elements):
            if waiting is None:
                yield block
                continue
            waiting.append(block)
            if block.kind != "heading":
                yield from waiting
                waiting = None
        if waiting is not None and elements.left_out.total():
            page = Page(has_heading=has_heading)
            elements = Elements(page, asides=True)
            waiting = list(_blocks(source, text, page, elements))
    except etree.LxmlError as error:
        raise rejections.damaged(source.name) from error
    yield from waiting or ()
    _tell(source, page, elements)


def _without_cdata(text: str) -> str:
    """The text with what stands between CDATA marks escaped, as HTML has no such marks."""
    first, *others = text.split("<![CDATA[")
    parts = [first]
    for other in others:
        inside, _, after = other.partition("]]>")
        parts += (inside.replace("<", "&lt;"), after)
    return "".join(parts)


def declared_encoding(content: bytes) -> str:
    """The encoding that a page says it has, as browsers understand it, or ""."""
    match = _DECLARED.search(content[:4_096])
    if match is None:
        return ""
    said = (match[1] or match[2]).decode("ascii", "replace").lower()
    return _MEANT.get(said, said)


def _blocks(source: Source, text: str, page: Page, elements: Elements) -> Iterator[Block]:
    target: Any = elements
    parser = etree.HTMLParser(target=target, encoding="utf-8", huge_tree=True, recover=True)
    for start in range(0, len(text), _CHARACTERS_AT_ONCE):
        piece = text[start : start + _CHARACTERS_AT_ONCE]
        parser.feed(piece.encode("utf-8", "replace"))
        source.progress(min(1.0, (start + len(piece)) / len(text)))
        yield from page.flow.taken()
    parser.close()
    yield from page.flow.all()


def _tell(source: Source, page: Page, elements: Elements) -> None:
    if left_out := [kind for kind, characters in elements.left_out.items() if characters]:
        source.note(f"{', '.join(sorted(left_out))} left out")
    if page.images:
        source.note(f"{page.images} image{'' if page.images == 1 else 's'} without text")
