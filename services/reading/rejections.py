"""The messages for files that cannot be added: what is wrong, and what to do."""

from __future__ import annotations

from pathlib import PurePath

from services.errors import DocumentRejected
from services.reading.limits import MAX_BYTES, MAX_CHARACTERS, MAX_ELEMENTS, MAX_MEMBERS

KINDS = "txt, md, html, csv, tsv, json, jsonl, pdf, docx, pptx, xlsx, odt, eml or zip"
# What to do about a type that is not read itself.
_INSTEAD = {
    ".doc": "Save it as docx",
    ".rtf": "Save it as docx",
    ".pages": "Export it as docx",
    ".xls": "Save it as xlsx",
    ".ods": "Save it as xlsx",
    ".numbers": "Export it as xlsx",
    ".ppt": "Save it as pptx",
    ".odp": "Save it as pptx",
    ".key": "Export it as pptx",
    ".epub": "Convert it to html or pdf",
    ".msg": "Save it as eml",
    ".rar": "Pack it as zip",
    ".7z": "Pack it as zip",
    ".gz": "Unpack it",
    ".tar": "Pack it as zip",
} | dict.fromkeys(
    (".png", ".jpg", ".jpeg", ".gif", ".tif", ".tiff", ".webp", ".bmp"),
    "Run text recognition (OCR) on it, save the result as pdf or txt",
)


def unsupported(name: str) -> DocumentRejected:
    instead = _INSTEAD.get(PurePath(name).suffix.lower())
    return DocumentRejected(
        f"{name} is of a type that cannot be read.",
        next_step=f"{instead} and add that." if instead else f"Use a {KINDS} file.",
    )


def empty(name: str) -> DocumentRejected:
    return DocumentRejected(f"{name} is empty.", next_step="Add a file that holds text.")


def too_large(name: str, size: int) -> DocumentRejected:
    return DocumentRejected(
        f"{name} is too large: {size / 1e6:.0f} MB. At most {MAX_BYTES / 1e6:.0f} MB can be read.",
        next_step="Split it into smaller files.",
    )


def too_long(name: str) -> DocumentRejected:
    return DocumentRejected(
        f"{name} contains more than {MAX_CHARACTERS:,} characters of text.",
        next_step="Split it into smaller files.",
    )


def too_intricate(name: str, how: str) -> DocumentRejected:
    return DocumentRejected(
        f"{name} {how}, which no ordinary document does.",
        next_step="Save its text as a new document and add that.",
    )


def too_many_elements(name: str, what: str = "parts") -> DocumentRejected:
    return too_intricate(name, f"has more than {MAX_ELEMENTS:,} {what}")


def not_text(name: str) -> DocumentRejected:
    return DocumentRejected(
        f"{name} is not text, or is in an unknown encoding.",
        next_step="Save it as UTF-8 text and add it again.",
    )


def locked(name: str) -> DocumentRejected:
    return DocumentRejected(
        f"{name} is protected by a password or in an old Office format.",
        next_step="Save it without a password in the current format, then add it again.",
    )


def damaged(name: str) -> DocumentRejected:
    return DocumentRejected(
        f"{name} is damaged, or is not what its extension says.",
        next_step="Open it in its own program, save it again, and add that.",
    )


def too_many(name: str) -> DocumentRejected:
    return DocumentRejected(
        f"{name} holds more than {MAX_MEMBERS:,} files, which is too many for one.",
        next_step="Pack them as several zips, and add those.",
    )


def unreadable(name: str) -> DocumentRejected:
    return DocumentRejected(
        f"{name} cannot be read, for a reason that is in the app's log.",
        next_step="Open it in its own program, save it again, and add that.",
    )
