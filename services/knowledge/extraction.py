"""File bytes to text, or a reason in words why a file can not be added."""

from __future__ import annotations

import csv
import io
import lzma
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import PurePath

import charset_normalizer
import docx
import markdownify
import pypdf
from bs4 import BeautifulSoup
from docx.opc.exceptions import OpcError
from docx.table import Table
from docx.text.paragraph import Paragraph
from lxml.etree import LxmlError
from pypdf.errors import PyPdfError

from services.errors import DocumentRejected

MAX_BYTES = 25_000_000
MAX_CHARACTERS = 2_000_000
MAX_UNPACKED_BYTES = 200_000_000
_OLE_SIGNATURE = bytes.fromhex("d0cf11e0a1b11ae1")  # old Office, and encrypted new Office
_NOT_SHOWN_IN_HTML = ["script", "style", "template", "noscript", "nav", "svg", "iframe"]
_CSV_DELIMITERS = ",;\t|"


def extract_text(name: str, content: bytes) -> str:
    """Return the text of a file; the ending of its name says what it is.

    Headings become lines that begin with `#`, where the format knows headings. Line ends are \\n,
    characters are composed (NFC) and printable.

    Raises:
        DocumentRejected: there is no usable text; the message names the file and what to do.
    """
    extract = _EXTRACTORS.get(PurePath(name).suffix.lower())
    if extract is None:
        raise DocumentRejected(
            f"{name} is of a kind that can not be read.",
            next_step="Use a txt, md, html, pdf, docx or csv file.",
        )
    if not content:
        raise _empty(name)
    if len(content) > MAX_BYTES:
        raise DocumentRejected(
            f"{name} is too large: {len(content) / 1e6:.0f} MB, and at most 25 MB can be read.",
            next_step="Split it into smaller files.",
        )
    text = extract(name, content)
    if len(text) > MAX_CHARACTERS:
        raise _too_long(name)
    text = _tidy(text)
    if not text:
        raise _empty(name)
    return text


def _plain(name: str, content: bytes) -> str:
    """Decode text: UTF-8 first, then by byte order mark, then by what charset-normalizer finds."""
    try:
        text: str | None = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        match = charset_normalizer.from_bytes(content).best()
        text = None if match is None else str(match)
    if text is None or any(_is_binary(character) for character in text[:100_000]):
        raise DocumentRejected(
            f"{name} is not text, or is in an encoding that is not known.",
            next_step="Save it as UTF-8 text and add it again.",
        )
    return text


def _is_binary(character: str) -> bool:
    return unicodedata.category(character) == "Cc" and character not in "\t\n\r\f\v\x1b\x85"


def _html(name: str, content: bytes) -> str:
    page = BeautifulSoup(_plain(name, content), "lxml")
    for tag in page(_NOT_SHOWN_IN_HTML):
        tag.decompose()
    shown = page.body or page
    try:
        return markdownify.MarkdownConverter(heading_style="ATX", strip=["a", "img"]).convert_soup(
            shown
        )
    except RecursionError:  # hundreds of tags in one another: the text without its headings
        return shown.get_text("\n")


def _csv(name: str, content: bytes) -> str:
    """Return each row as lines "column: value", rows apart by an empty line."""
    text = _plain(name, content)
    try:
        dialect = csv.Sniffer().sniff(text[:10_000], delimiters=_CSV_DELIMITERS)
    except csv.Error:  # one column only: there is no delimiter to find
        dialect = csv.excel
    try:
        rows = list(csv.DictReader(io.StringIO(text, newline=""), dialect=dialect, restkey="more"))
    except csv.Error as error:
        raise _damaged(name) from error
    return "\n\n".join(
        "\n".join(f"{column}: {_one_line(value)}" for column, value in row.items() if value)
        for row in rows
    )


def _one_line(value: str | list[str]) -> str:
    # Cells beyond the header come as a list.
    return " ".join((value if isinstance(value, str) else ", ".join(value)).split())


def _pdf(name: str, content: bytes) -> str:
    pages: list[str] = []
    try:
        reader = pypdf.PdfReader(io.BytesIO(content))
        if reader.is_encrypted and not reader.decrypt(""):
            raise _locked(name)
        for page in reader.pages:
            pages.append(page.extract_text())
            if sum(map(len, pages)) > MAX_CHARACTERS:
                raise _too_long(name)
    # Besides its own errors, pypdf lets through what a broken structure provokes.
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
        raise _damaged(name) from error
    text = "\n\n".join(pages)
    if pages and not text.strip():
        raise DocumentRejected(
            f"{name} holds no text, only images of pages: it looks scanned.",
            next_step="Run text recognition (OCR) on it, then add the result.",
        )
    return text


def _docx(name: str, content: bytes) -> str:
    if content.startswith(_OLE_SIGNATURE):
        raise _locked(name)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > MAX_UNPACKED_BYTES:
            raise DocumentRejected(
                f"{name} unpacks to {unpacked / 1e6:.0f} MB, which no ordinary document does.",
                next_step="Save its text as a new document and add that.",
            )
        document = docx.Document(io.BytesIO(content))
        return "\n\n".join(_docx_blocks(document))
    except (
        zipfile.BadZipFile,
        OpcError,
        LxmlError,
        lzma.LZMAError,
        zlib.error,
        AttributeError,
        EOFError,
        LookupError,
        OSError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        raise _damaged(name) from error


def _docx_blocks(document: docx.document.Document) -> Iterator[str]:
    for block in document.iter_inner_content():
        if isinstance(block, Paragraph):
            style = (block.style.name or "") if block.style is not None else ""
            level = style.removeprefix("Heading ") if style.startswith("Heading ") else ""
            yield f"{'#' * int(level)} {block.text}" if level.isdigit() else block.text
        elif isinstance(block, Table):
            yield "\n".join(" | ".join(cell.text for cell in row.cells) for row in block.rows)


def _tidy(text: str) -> str:
    """Return composed characters, \\n as line end, and nothing that can not be stored or shown."""
    lines = unicodedata.normalize("NFC", text).splitlines()
    printable = "\n".join(
        "".join(
            c for c in line.rstrip() if c == "\t" or unicodedata.category(c) not in _UNPRINTABLE
        )
        for line in lines
    )
    return printable.strip()


_UNPRINTABLE = {"Cc", "Cs", "Cn", "Co"}
_EXTRACTORS: dict[str, Callable[[str, bytes], str]] = {
    ".txt": _plain,
    ".md": _plain,
    ".markdown": _plain,
    ".html": _html,
    ".htm": _html,
    ".csv": _csv,
    ".pdf": _pdf,
    ".docx": _docx,
}


def _empty(name: str) -> DocumentRejected:
    return DocumentRejected(f"{name} is empty.", next_step="Add a file that holds text.")


def _too_long(name: str) -> DocumentRejected:
    return DocumentRejected(
        f"{name} holds more than {MAX_CHARACTERS:,} characters.",
        next_step="Split it into smaller files.",
    )


def _locked(name: str) -> DocumentRejected:
    return DocumentRejected(
        f"{name} is protected by a password or in an old Office format.",
        next_step="Save it without a password in the current format, then add it again.",
    )


def _damaged(name: str) -> DocumentRejected:
    return DocumentRejected(
        f"{name} is damaged, or is not what its ending says.",
        next_step="Open it in its own program, save it again, and add that.",
    )
