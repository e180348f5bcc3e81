"""File bytes to text, or a message that says why a file cannot be added."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import PurePath
from typing import Any

import charset_normalizer
import pypdf
from pypdf.errors import LimitReachedError, PyPdfError

from services.errors import DocumentRejected
from services.knowledge import rejections
from services.knowledge.docx_text import docx_text
from services.knowledge.html_text import html_text
from services.knowledge.rejections import MAX_BYTES, MAX_CHARACTERS, Allowance

_MOST_BYTES_OF_A_CHARACTER = 4
_CSV_DELIMITERS = ",;\t|"


def extract_text(name: str, content: bytes) -> str:
    """Return the text of a file; the extension of its name says what it is.

    Headings become lines that begin with `#`, if the format has headings. Line ends are \\n, and
    characters are composed (NFC) and printable.

    Raises:
        DocumentRejected: there is no usable text; the message names the file and what to do.
    """
    extract = _EXTRACTORS.get(PurePath(name).suffix.lower())
    if extract is None:
        raise DocumentRejected(
            f"{name} is of a type that cannot be read.",
            next_step="Use a txt, md, html, pdf, docx or csv file.",
        )
    if not content:
        raise rejections.empty(name)
    if len(content) > MAX_BYTES:
        raise rejections.too_large(name, len(content))
    text = _tidy(name, extract(name, content))
    if not text:
        raise rejections.empty(name)
    return text


def _plain(name: str, content: bytes) -> str:
    if len(content) > _MOST_BYTES_OF_A_CHARACTER * MAX_CHARACTERS:
        raise rejections.too_long(name)
    return Allowance(name).take(_decoded(name, content))


def _decoded(name: str, content: bytes) -> str:
    """Decode text: as UTF-8, or by its byte order mark, or by what charset-normalizer detects."""
    try:
        text: str | None = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        match = charset_normalizer.from_bytes(content).best()
        text = None if match is None else str(match)
    if text is None or any(_is_binary(character) for character in text[:100_000]):
        raise rejections.not_text(name)
    return text


def _is_binary(character: str) -> bool:
    return unicodedata.category(character) == "Cc" and character not in "\t\n\r\f\v\x1b\x85"


def _csv(name: str, content: bytes) -> str:
    """Return each row as lines "column: value", with an empty line between rows."""
    text = _plain(name, content)
    try:
        dialect = csv.Sniffer().sniff(text[:10_000], delimiters=_CSV_DELIMITERS)
    except csv.Error:  # one column only: there is no delimiter to find
        dialect = csv.excel
    rows = (row for row in csv.reader(io.StringIO(text, newline=""), dialect=dialect) if row)
    allowance = Allowance(name)
    try:
        columns = next(rows, [])
        return "\n\n".join(
            "\n".join(allowance.take(line) for line in _csv_lines(columns, row)) for row in rows
        )
    except csv.Error as error:
        raise rejections.damaged(name) from error


def _csv_lines(columns: list[str], row: list[str]) -> Iterator[str]:
    for column, value in zip(columns, row, strict=False):
        if value:
            yield f"{column}: {_one_line(value)}"
    if more := [value for value in row[len(columns) :] if value]:
        yield f"more: {_one_line(', '.join(more))}"


def _one_line(value: str) -> str:
    return " ".join(value.split())


def _pdf(name: str, content: bytes) -> str:
    pages: list[str] = []
    allowance = Allowance(name)

    def before_each_step(_: bytes, operands: list[Any], *__: Any) -> None:
        # Stops a page that repeats something endlessly, and a step that would take minutes.
        allowance.check_time()
        shown = [
            o for operand in operands for o in (operand if isinstance(operand, list) else [operand])
        ]
        if any(isinstance(o, (str, bytes)) and len(o) > MAX_CHARACTERS for o in shown):
            raise rejections.too_long(name)

    try:
        reader = pypdf.PdfReader(io.BytesIO(content))
        if reader.is_encrypted and not reader.decrypt(""):
            raise rejections.locked(name)
        for page in reader.pages:
            text = page.extract_text(visitor_operand_before=before_each_step)
            pages.append(allowance.take(text))
    except LimitReachedError as error:
        raise rejections.too_intricate(name, "asks for endless work") from error
    # Besides its own errors, pypdf lets through whatever a broken structure provokes.
    except (
        PyPdfError,
        ArithmeticError,
        AttributeError,
        LookupError,
        OSError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        raise rejections.damaged(name) from error
    text = "\n\n".join(pages)
    if pages and not text.strip():
        raise DocumentRejected(
            f"{name} holds no text, only images of pages: it looks scanned.",
            next_step="Run text recognition (OCR) on it, then add the result.",
        )
    return text


def _tidy(name: str, text: str) -> str:
    """Return composed characters, with \\n as line end and only what can be stored and shown."""
    if not text.isascii() and _STACKED.search(
        "".join("m" if unicodedata.combining(c) else " " for c in text)
    ):
        raise rejections.not_text(name)
    composed = unicodedata.normalize("NFC", text)
    if len(composed) > MAX_CHARACTERS:  # including the lines between its parts
        raise rejections.too_long(name)
    printable = "\n".join(
        "".join(
            c for c in line.rstrip() if c == "\t" or unicodedata.category(c) not in _UNPRINTABLE
        )
        for line in composed.splitlines()
    )
    return printable.strip()


# More marks on a letter than any script uses (Unicode Annex 15, "stream-safe"): composing them
# takes time quadratic in their number.
_STACKED = re.compile("m{31}")
_UNPRINTABLE = {"Cc", "Cs", "Cn", "Co"}


def _html(name: str, content: bytes) -> str:
    return html_text(name, _decoded(name, content))


_EXTRACTORS: dict[str, Callable[[str, bytes], str]] = {
    ".txt": _plain,
    ".md": _plain,
    ".markdown": _plain,
    ".html": _html,
    ".htm": _html,
    ".csv": _csv,
    ".pdf": _pdf,
    ".docx": docx_text,
}
