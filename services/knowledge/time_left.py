"""How far an import is, and how long it will still take."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import PurePath

from services.knowledge.import_rows import ImportedFile

# Seconds for a megabyte of a file, to read it and to embed and store what it says: measured in
# November 2026 on one core, with WordLlama. Only their proportions matter once work is done.
_PER_MEGABYTE = {
    ".pdf": (2.7, 0.5),
    ".docx": (1.2, 4.8),
    ".odt": (1.2, 4.8),
    ".xlsx": (0.9, 2.8),
    ".pptx": (0.5, 1.0),
    ".zip": (1.5, 1.5),
    ".eml": (1.0, 0.7),
    ".csv": (0.25, 1.6),
    ".tsv": (0.25, 1.6),
    ".html": (0.2, 1.0),
}
_PER_MEGABYTE_OF_TEXT = (0.1, 1.1)
_PER_FILE = (0.002, 0.0015)
_BELIEVED_S = 0.3  # of work at the expected speed that counts as seen before any is done


@dataclass(frozen=True, slots=True)
class _Work:
    """Seconds that are expected."""

    reading: float = 0.0
    storing: float = 0.0

    def plus(self, other: _Work, share: float = 1.0) -> _Work:
        return _Work(self.reading + share * other.reading, self.storing + share * other.storing)


class TimeLeft:
    """Of one import. Tell it what was read and stored: it learns the speeds of both apart, because
    either may be the slower one, by the kinds of files and by the embedder."""

    def __init__(
        self, files: Iterable[ImportedFile], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._all = _Work()
        for file in files:
            self._all = self._all.plus(_expected(file))
        self._clock = clock
        self._began = clock()
        self._finished = _Work()  # of the files that are read
        self._seen = _Work()  # and with what is read of the one in hand
        self._stored = self._in_hand = 0.0  # seconds expected for storing, done
        self._storing_s = 0.0  # what storing took
        self._storing_began: float | None = None

    def reading(self, file: ImportedFile, share: float) -> None:
        """`share` of a file is read, from 0 to 1."""
        self._seen = self._finished.plus(_expected(file), min(share, 1.0))

    def has_read(self, file: ImportedFile) -> None:
        self._finished = self._seen = self._finished.plus(_expected(file))

    def storing(self, share: float) -> None:
        """`share` of what was read since the last time is stored, from 0 to 1."""
        if self._storing_began is None:
            self._storing_began = self._clock()
        self._in_hand = share * (self._seen.storing - self._stored)

    def has_stored(self) -> None:
        if self._storing_began is not None:
            self._storing_s += self._clock() - self._storing_began
        self._storing_began = None
        self._stored, self._in_hand = self._seen.storing, 0.0

    @property
    def share(self) -> float:
        """How much of the work is done, from 0 to 1. It does not go back."""
        done = self._seen.reading + self._stored + self._in_hand
        total = self._all.reading + self._all.storing
        return min(1.0, done / total) if total else 0.0

    @property
    def seconds(self) -> float:
        now = self._clock()
        began_storing = now if self._storing_began is None else self._storing_began
        storing_s = self._storing_s + now - began_storing
        reading_s = now - self._began - storing_s
        stored = self._stored + self._in_hand
        slower = _times_slower(reading_s, self._seen.reading, 1.0)
        left = slower * (self._all.reading - self._seen.reading)
        slower = _times_slower(storing_s, stored, slower)
        return max(0.0, left + slower * (self._all.storing - stored))


def _times_slower(took_s: float, expected_s: float, unless_seen: float) -> float:
    """How many times longer work takes than expected; `unless_seen` while little of it is done."""
    return (took_s + _BELIEVED_S * unless_seen) / (expected_s + _BELIEVED_S)


def _expected(file: ImportedFile) -> _Work:
    kind = PurePath(file.name).suffix.lower()
    reading, storing = _PER_MEGABYTE.get(kind, _PER_MEGABYTE_OF_TEXT)
    size = file.bytes / 1e6
    return _Work(_PER_FILE[0] + size * reading, _PER_FILE[1] + size * storing)
