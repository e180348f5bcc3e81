"""Text recognition for pages that are pictures, if the optional packages are installed."""

from __future__ import annotations

from importlib.util import find_spec

from services.errors import DocumentRejected

HOW_TO_INSTALL = (
    "To read them, install text recognition (OCR): pip install -r requirements-ocr.txt"
)


def is_installed() -> bool:
    return find_spec("rapidocr") is not None


def nothing_but_pictures(name: str) -> DocumentRejected:
    return DocumentRejected(
        f"{name} holds no text, only images of pages: it looks scanned.",
        next_step="Run text recognition (OCR) on it, then add the result. "
        "Or have it done here: pip install -r requirements-ocr.txt",
    )
