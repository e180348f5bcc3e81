"""The values of a PDF form's fields, as words where they stand on the page."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator

import pypdfium2 as pdfium
import pypdfium2.raw as c

from services.reading.pdf_words import Page, Style, Word

_MOST_FIELDS = 5_000  # of a page
_LONGEST = 100_000  # characters of a value
_TICKED = {c.FPDF_FORMFIELD_CHECKBOX, c.FPDF_FORMFIELD_RADIOBUTTON}
_NO_CHOICES = {"on", "off", "yes", "no"}
_FILLED = {c.FPDF_FORMFIELD_TEXTFIELD, c.FPDF_FORMFIELD_COMBOBOX, c.FPDF_FORMFIELD_LISTBOX}


def add_form_values(page: pdfium.PdfPage, seen: Page) -> int:
    """Put the values of the page's fields, and free texts laid over it, among its words; how many.

    The document's form must be opened (`init_forms`) before.
    """
    count = min(c.FPDFPage_GetAnnotCount(page.raw), _MOST_FIELDS)
    added = 0
    for index in range(count):
        annotation = c.FPDFPage_GetAnnot(page.raw, index)
        if not annotation:
            continue
        try:
            for text, label in _shown(page, annotation, seen):
                _put(page, annotation, text, label, seen)
                added += 1
        finally:
            c.FPDFPage_CloseAnnot(annotation)
    return added


def _shown(page: pdfium.PdfPage, annotation: object, seen: Page) -> Iterator[tuple[str, str]]:
    """What an annotation shows, and the name by which its author calls it."""
    kind = c.FPDFAnnot_GetSubtype(annotation)
    if kind == c.FPDF_ANNOT_FREETEXT:
        if text := _string(c.FPDFAnnot_GetStringValue, annotation, b"Contents"):
            yield text, ""
        return
    form = page.formenv
    if kind != c.FPDF_ANNOT_WIDGET or form is None:
        return
    field = c.FPDFAnnot_GetFormFieldType(form.raw, annotation)
    label = _string(c.FPDFAnnot_GetFormFieldAlternateName, form.raw, annotation)
    label = label or _string(c.FPDFAnnot_GetFormFieldName, form.raw, annotation)
    if field in _FILLED:
        if value := _string(c.FPDFAnnot_GetFormFieldValue, form.raw, annotation):
            yield value, label
    elif field in _TICKED:
        mark = "[x]" if c.FPDFAnnot_IsChecked(form.raw, annotation) else "[ ]"
        choice = ""
        if field == c.FPDF_FORMFIELD_RADIOBUTTON:
            choice = _string(c.FPDFAnnot_GetFormFieldExportValue, form.raw, annotation)
        yield (f"{mark} {choice}" if _says_more(choice, seen) else mark), label


def _says_more(choice: str, seen: Page) -> bool:
    """Whether the value of a radio button is a word that is not printed on the page as well."""
    words = choice.casefold().split()
    if not words or choice.casefold() in _NO_CHOICES or not any(map(str.isalpha, words)):
        return False
    printed = {word.text.casefold().strip(".,:;()") for word in seen.words}
    return not set(words) <= printed


def _string(ask: object, *of: object) -> str:
    """What a function of pdfium that fills a buffer with UTF-16 says."""
    length = ask(*of, None, 0)  # type: ignore[operator]
    if not 2 < length <= 2 * _LONGEST:
        return ""
    buffer = ctypes.create_string_buffer(length)
    ask(*of, ctypes.cast(buffer, ctypes.POINTER(ctypes.c_ushort)), length)  # type: ignore[operator]
    return buffer.raw[: length - 2].decode("utf-16-le", "replace").strip()


def _put(page: pdfium.PdfPage, annotation: object, text: str, label: str, seen: Page) -> None:
    box = c.FS_RECTF()
    if not c.FPDFAnnot_GetRect(annotation, box):
        return
    (ax, ay), (bx, by) = seen.turn.point(box.left, box.bottom), seen.turn.point(box.right, box.top)
    x0, x1, top, bottom = min(ax, bx), max(ax, bx), min(ay, by), max(ay, by)
    lines = text.splitlines() or [text]
    size = max(4.0, min(10.0, 0.8 * (bottom - top) / len(lines)))
    beside = _beside(seen, top, bottom)
    if beside and len(lines) == 1:
        y, size = beside.y, beside.style.size
    else:
        y = bottom - 0.25 * (bottom - top) if len(lines) == 1 else top + size
        if label and not _is_named(seen, x0, top, bottom):
            lines[0] = f"{label}: {lines[0]}"
    for index, line in enumerate(lines):
        at = x0
        is_tiny = x1 - x0 < 3 * size  # a button: the next one begins before its words end
        for word in [line] if is_tiny else line.split():
            width = 0.5 * size * len(word)
            style = Style(size, False, False)
            seen.words.append(
                Word(at, min(at + width, max(x1, at + 1)), y + 1.2 * size * index, word, style, -1)
            )
            at += width + 0.25 * size


def _beside(seen: Page, top: float, bottom: float) -> Word | None:
    """A printed word beside a field."""
    level = (
        w for w in seen.words if w.order >= 0 and top - 2 <= w.y - 0.3 * w.style.size <= bottom
    )
    return next(level, None)


def _is_named(seen: Page, x0: float, top: float, bottom: float) -> bool:
    """Whether a printed word just above a field names it."""
    return any(top - 16 <= w.y < top + 2 and abs(w.x0 - x0) < 40 for w in seen.words)
