"""PDF to blocks, by pdfium: it is fast, and knows where each letter stands."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial

import pypdfium2 as pdfium
import pypdfium2.raw as c
from pypdfium2 import PdfiumError

from services.errors import DocumentRejected
from services.reading import ocr, rejections
from services.reading.blocks import Block, Source
from services.reading.limits import MAX_CHARACTERS, MAX_FILE_S
from services.reading.pdf_columns import in_reading_order
from services.reading.pdf_forms import add_form_values
from services.reading.pdf_grids import ruled_tables
from services.reading.pdf_headings import Headings, outline_of
from services.reading.pdf_hyphens import Hyphens
from services.reading.pdf_lines import Line, line_of, right_edge, rows_of
from services.reading.pdf_paragraphs import Paragraphs
from services.reading.pdf_tables import Table, carry_headers, with_tables
from services.reading.pdf_words import Page, Style, Word, read_page
from services.reading.running_lines import without_running_lines

Item = Line | Table

_MOST_PAGES = 50_000
_MOST_AHEAD_S = 3.0  # that the pages so far may take, beyond their share of all the time there is
_SHARE_OF_PAGES = 0.7  # of the work, the rest is putting lines together
_TABLE_MARK = "\ue000"  # private use: stands for a table among the words
_LONGEST_QUOTE = 100
_LONGEST_NOTE = 12  # ranges of pages named in a note


def read(source: Source) -> Iterator[Block]:
    """The blocks of a PDF, each with its page.

    Raises:
        DocumentRejected: it is locked, damaged, endless, or holds nothing but pictures of pages.
    """
    document = _opened(source)
    try:
        pages, heights, pictured = _pages(source, document)
        outline = outline_of(document)
        attached = c.FPDFDoc_GetAttachmentCount(document.raw)
        if attached > 0:
            source.note(f"{attached} attached file{'s' * (attached > 1)} not read")
    except PdfiumError as error:
        raise rejections.damaged(source.name) from error
    finally:
        document.close()
    pages, running = without_running_lines(pages, heights)
    carry_headers(pages)
    _note_pages_without_text(source, pages, pictured)
    if running:
        source.note(_running_note(running))
    paragraphs = Paragraphs(Headings(pages, outline), Hyphens(pages))
    for index, block in paragraphs.blocks(pages):
        source.progress(_SHARE_OF_PAGES + (1 - _SHARE_OF_PAGES) * (index + 1) / len(pages))
        yield block


def _opened(source: Source) -> pdfium.PdfDocument:
    try:
        document = pdfium.PdfDocument(source.content)
        count = len(document)
    except PdfiumError as error:
        if "password" in str(error).lower() or "security" in str(error).lower():
            raise rejections.locked(source.name) from error
        raise rejections.damaged(source.name) from error
    if count == 0:
        raise rejections.damaged(source.name)
    if count > _MOST_PAGES:
        raise DocumentRejected(
            f"{source.name} has {count:,} pages. At most {_MOST_PAGES:,} can be read.",
            next_step="Split it into smaller files.",
        )
    if document.get_formtype() != c.FORMTYPE_NONE:
        document.init_forms()
    return document


def _pages(
    source: Source, document: pdfium.PdfDocument
) -> tuple[list[list[Item]], list[float], set[int]]:
    """The lines and tables of each page in reading order, the heights of the pages, and the numbers
    of those that are pictures."""
    pages: list[list[Item]] = []
    heights: list[float] = []
    pictured: set[int] = set()
    failed = False
    left = MAX_CHARACTERS
    narrow = "Ghostscript" in document.get_metadata_value("Producer")
    recognition_ends = time.process_time() + ocr.MAX_SECONDS
    count = len(document)
    spent = 0.0  # of CPU time, without text recognition
    for index in range(count):
        began = time.process_time()
        page = document[index]
        try:
            seen = read_page(page, index + 1, left, narrow=narrow)
            if seen is None:
                raise rejections.too_long(source.name)
            add_form_values(page, seen)
            if not seen.words and not seen.sideways and seen.images:
                pictured.add(index + 1)
                if ocr.is_installed() and recognition_ends > time.process_time():
                    spent += time.process_time() - began
                    on_step = partial(source.progress, _SHARE_OF_PAGES * index / count)
                    words = ocr.words_in_picture(page, on_step)
                    began = time.process_time()
                    seen.words = words or []
                    failed = failed or words is None
        finally:
            page.close()
        items = _items(seen)
        left -= sum(len(item.text) for item in items if isinstance(item, Line))
        pages.append(items)
        heights.append(seen.height)
        spent += time.process_time() - began
        if spent > _MOST_AHEAD_S + MAX_FILE_S * (index + 1) / count:
            raise rejections.too_intricate(source.name, "takes too long to read")
        source.progress(_SHARE_OF_PAGES * (index + 1) / count)
    if failed:
        if not any(pages):
            raise ocr.failed(source.name)
        source.note("text recognition (OCR) failed on some pages, as with too little memory")
    return pages, heights, pictured


def _items(seen: Page) -> list[Item]:
    """The lines and tables of a page in reading order."""
    words = seen.words
    tables: list[Table] = []
    for table, inside in ruled_tables(seen.rules, words, seen.number):
        kept = {id(word) for word in inside}
        words = [word for word in words if id(word) not in kept]
        mark = f"{_TABLE_MARK}{len(tables)}"
        words.append(Word(table.x0, table.x1, table.y + 6, mark, Style(6, False, False), -1))
        tables.append(table)
    groups = in_reading_order(rows_of(words))
    if seen.sideways:
        groups.append(rows_of(seen.sideways))
    items: list[Item] = []
    for rows in groups:
        left, right = min(row[0].x0 for row in rows), right_edge(rows)
        for found in with_tables(rows, seen.rules, seen.number):
            if isinstance(found, Table):
                items.append(found)
                continue
            if tables:
                items.extend(tables[int(w.text[1:])] for w in found if w.text[:1] == _TABLE_MARK)
                found = [w for w in found if w.text[:1] != _TABLE_MARK]
            if found:
                items.append(line_of(found, seen.number, left, right))
    return items


def _note_pages_without_text(source: Source, pages: list[list[Item]], pictured: set[int]) -> None:
    empty = [index for index, items in enumerate(pages, start=1) if not items]
    if len(empty) == len(pages):
        if not pictured:
            raise rejections.empty(source.name)
        raise ocr.nothing_but_pictures(source.name)
    recognized = sorted(pictured.difference(empty))
    if recognized:
        pages_ = "page" if len(recognized) == 1 else "pages"
        source.note(f"text recognized in pictures (OCR) on {pages_} {page_ranges(recognized)}")
    if empty:
        hold = "holds" if len(empty) == 1 else "hold"
        note = f"{len(empty)} of {len(pages)} pages {hold} no text: {page_ranges(empty)}"
        if pictured and not ocr.is_installed():
            note += f". {ocr.HOW_TO_INSTALL}"
        elif pictured.intersection(empty):
            note += ". Nothing was recognized in their pictures, or recognition took too long"
        source.note(note)


def _running_note(running: Counter[str]) -> str:
    note = "running headers, footers or page numbers left out"
    named = [text for text, _ in running.most_common() if re.search(r"[^\W\d_]{2}", text)]
    if not named:
        return note
    shown = re.sub(r"^#|#$", "…", named[0])  # where the number of the page stands
    return f'{note} ("{shown[:_LONGEST_QUOTE]}")'


def page_ranges(numbers: list[int]) -> str:
    """Ascending page numbers as a person writes them: "2-10, 12"."""
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    shown = [f"{a}-{b}" if a < b else f"{a}" for a, b in ranges[:_LONGEST_NOTE]]
    if len(ranges) > _LONGEST_NOTE:
        shown.append("…")
    return ", ".join(shown)
