"""The process that reads: `python -m services.reading`, started and ended by readers.py.

One JSON object on a line says what to read ({"name", "path"}); the answer is lines of `progress`,
one `outcome` for each document in the file, and one `done`. The process limits its own memory and
CPU time, so a file that asks for too much of them ends this process and not the app.
"""

from __future__ import annotations

import json
import os
import resource
import select
import sys
import time
import traceback
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from services.errors import DocumentRejected
from services.reading import rejections
from services.reading.blocks import Reading
from services.reading.files import read_file
from services.reading.limits import (
    MAX_FILE_S,
    MAX_IDLE_S,
    MAX_MEMORY_BYTES,
    MAX_MEMORY_WITH_OCR_BYTES,
    MAX_SILENT_S,
)

_ANSWERS = os.fdopen(os.dup(1), "w", encoding="utf-8")
_PROGRESS_S = 0.2


def main() -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)  # what a library prints is not an answer,
    os.dup2(nowhere, 2)  # and may be the text of a document
    # Only its name is looked for: the reader of PDFs is imported when there is one to read.
    has_ocr = find_spec("rapidocr") is not None
    memory = MAX_MEMORY_WITH_OCR_BYTES if has_ocr else MAX_MEMORY_BYTES
    _limit(resource.RLIMIT_DATA, memory)
    _limit(resource.RLIMIT_CORE, 0)
    while select.select([sys.stdin], [], [], MAX_IDLE_S)[0]:
        line = sys.stdin.readline()
        if not line:
            return
        _say(progress=0.0)  # it was seen: whatever happens now is because of this file
        wanted = json.loads(line)
        _read(wanted["name"], Path(wanted["path"]))
        _say(done=True)


def _read(name: str, path: Path) -> None:
    alive = _Alive()
    try:
        for outcome in read_file(name, path.read_bytes(), alive.progress):
            if isinstance(outcome, Reading):
                _say(reading=[outcome.name, _rows(outcome), outcome.notes])
            else:
                _say_rejected(*outcome)
    except MemoryError:
        _say_rejected(name, rejections.too_intricate(name, "takes too much memory to read"))
        _say(done=True)
        sys.exit()  # what is left of the memory is in pieces
    except Exception as error:  # noqa: BLE001 - a fault of a reader is told like one of the file
        _say(failed=_place_of(error))
        _say_rejected(name, rejections.unreadable(name))


def _rows(reading: Reading) -> list[tuple[Any, ...]]:
    # By hand: dataclasses.astuple copies deeply, which takes longer than reading a text does.
    return [(b.kind, b.text, b.level, b.page, b.header, b.language) for b in reading.blocks]


def _place_of(error: Exception) -> str:
    """The kind and the place of an error, without its words, which may be of the document."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}"


def _say_rejected(name: str, error: DocumentRejected) -> None:
    _say(rejected={"name": name, "message": str(error), "next_step": error.next_step})


class _Alive:
    """Passes progress on, and extends the CPU time while there is some."""

    def __init__(self) -> None:
        self._began = time.process_time()
        self._share, self._said_at = 0.0, 0.0
        self._extend()

    def progress(self, share: float) -> None:
        if share > self._share:
            self._extend()
            self._share = share
        if time.monotonic() - self._said_at > _PROGRESS_S:
            self._said_at = time.monotonic()
            _say(progress=round(min(self._share, 1.0), 3))

    def _extend(self) -> None:
        used = time.process_time()
        most = min(used + MAX_SILENT_S, self._began + MAX_FILE_S)
        resource.setrlimit(resource.RLIMIT_CPU, (int(most) + 1, resource.RLIM_INFINITY))


def _limit(what: int, most: int) -> None:
    _, hard = resource.getrlimit(what)
    resource.setrlimit(what, (most, hard))


def _say(**message: Any) -> None:
    print(json.dumps(message), file=_ANSWERS, flush=True)


if __name__ == "__main__":
    main()
