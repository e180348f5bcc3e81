"""How the app logs an error: where it happened and its type, never its message."""

from __future__ import annotations

import logging
import traceback
from types import TracebackType


class WordlessFormatter(logging.Formatter):
    """Tracebacks without the messages of exceptions, which may quote a document or a prompt."""

    def formatException(
        self,
        ei: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, ...],
    ) -> str:
        told = []
        error = ei[1]
        while error is not None:
            status = getattr(error, "status_code", None)
            kind = f"{type(error).__module__}.{type(error).__qualname__}"
            frames = "".join(traceback.format_tb(error.__traceback__))
            told.append(frames + kind + (f" status={status}" if status else ""))
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        return "\ncaused by\n".join(told)


def show_logs() -> None:
    """Log to the console, from INFO on."""
    handler = logging.StreamHandler()
    handler.setFormatter(WordlessFormatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    for name in ("httpx", "httpx2"):  # they log every URL, with its ids
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("bm25s").setLevel(logging.WARNING)  # it sets itself to DEBUG
