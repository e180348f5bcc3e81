"""Text recognition (OCR) for pages that are pictures, if `requirements-ocr.txt` is installed.

The models are inside the wheel, so nothing is fetched. A page of 40 lines takes about 7 seconds of
CPU time, and the process 550 MB of memory: a limit of 500 MB is too low, one of 700 MB is enough.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from statistics import median
from typing import Any

import pypdfium2 as pdfium

from services.errors import DocumentRejected
from services.reading.pdf_words import Style, Word

HOW_TO_INSTALL = "To read them, install text recognition (OCR): pip install -r requirements-ocr.txt"
MAX_SECONDS = 200.0  # of CPU time for the pages of one file: about 30 pages
_SCALE = 2.0  # pixels per point: letters of 8 points are still read
_SMALL = 0.6  # of that scale is enough to find where lines are, in half the memory and time
_MOST_PIXELS = 2_200  # of a side: a poster is read smaller
_Box = tuple[int, int, int, int]  # left, top, right, bottom; pixels
_SURE = 0.5  # of 1: a line read with less is a picture's pattern
_USUAL = 0.25  # lines that differ by less in height are of one size of letters


def is_installed() -> bool:
    return find_spec("rapidocr") is not None and find_spec("onnxruntime") is not None


def failed(name: str) -> DocumentRejected:
    return DocumentRejected(
        f"{name} holds only images of pages, and text recognition (OCR) failed, "
        "as it does with too little memory.",
        next_step="Run text recognition (OCR) on it elsewhere, then add the result.",
    )


def nothing_but_pictures(name: str) -> DocumentRejected:
    if is_installed():
        return DocumentRejected(
            f"{name} holds only images, and no text could be recognized in them.",
            next_step="Scan it again, upright and with 300 dots per inch, then add the result.",
        )
    return DocumentRejected(
        f"{name} holds no text, only images of pages: it looks scanned.",
        next_step="Run text recognition (OCR) on it, then add the result. Or have it done here: "
        "pip install -r requirements-ocr.txt",
    )


@cache
def _engine() -> Any:
    from rapidocr import RapidOCR

    return RapidOCR(
        params={
            "Global.use_cls": False,
            "Global.log_level": "critical",
            "EngineConfig.onnxruntime.intra_op_num_threads": 2,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            "EngineConfig.onnxruntime.enable_cpu_mem_arena": False,
        }
    )


def words_in_picture(page: pdfium.PdfPage, on_step: Callable[[], None]) -> list[Word] | None:
    """The words that are recognized on a page; None if that failed, as with too little memory.

    Calls `on_step` for every line. To be called only if `is_installed()`.
    """
    width, height = page.get_size()
    scale = min(_SCALE, _MOST_PIXELS / max(width, height, 1.0))
    try:
        small = page.render(scale=scale * _SMALL).to_numpy()
        boxes, texts = _lines_in(page.render(scale=scale).to_numpy(), small, on_step)
    except Exception:  # noqa: BLE001 - onnxruntime tells of too little memory in its own errors
        return None
    return _words(boxes, texts, scale)


def _lines_in(
    picture: Any, small: Any, on_step: Callable[[], None]
) -> tuple[list[_Box], list[str]]:
    """The places of the lines in a picture, and their texts."""
    on_step()
    engine = _engine()
    on_step()
    found = engine(small, use_det=True, use_cls=False, use_rec=False)
    boxes = (
        [] if found.boxes is None else [_upright(box) for box in (found.boxes / _SMALL).tolist()]
    )
    boxes = [box for box in boxes if box[2] - box[0] >= 4 and box[3] - box[1] >= 4]
    texts: list[str] = []
    for x0, y0, x1, y1 in boxes:
        on_step()
        line = picture[max(0, y0) : y1, max(0, x0) : x1]
        read = engine(line, use_det=False, use_cls=False, use_rec=True)
        sure = bool(read.txts) and float(read.scores[0]) >= _SURE
        texts.append(str(read.txts[0]).strip() if sure else "")
    return boxes, texts


def _upright(box: list[list[float]]) -> _Box:
    xs, ys = [x for x, _ in box], [y for _, y in box]
    return int(min(xs)), int(min(ys)), int(max(xs)) + 1, int(max(ys)) + 1


def _words(boxes: list[_Box], texts: list[str], scale: float) -> list[Word]:
    """Lines as words with places, as if the page had letters."""
    heights = [0.75 * (y1 - y0) / scale for _, y0, _, y1 in boxes]
    usual = median(heights) if heights else 10.0
    words: list[Word] = []
    for (x0, _, x1, y1), height, text in zip(boxes, heights, texts, strict=True):
        size = round(usual if abs(height - usual) <= _USUAL * usual else height, 1)
        style = Style(size, False, False)
        letter = (x1 - x0) / scale / max(1, len(text))
        at = x0 / scale
        for word in text.split():
            end = at + letter * len(word)
            words.append(Word(at, end, y1 / scale - 0.3 * height, word, style, len(words)))
            at = end + letter
    return words
