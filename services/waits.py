"""What the calls of several threads to one server wait for."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from services.models import Waiting

# The pace that a rate limit asks for is no stall, unless its short waits add up.
_WORTH_SAYING_S = 5.0


class Waits:
    """The calls under way, and what each waits for before it is at the server, or there again."""

    def __init__(self) -> None:
        self._calls: dict[int, Waiting | None] = {}
        self._began = threading.local()
        self._lock = threading.Lock()

    @property
    def now(self) -> Waiting | None:
        """The wait that ends first, when all calls wait; None while one is at the server."""
        with self._lock:
            calls = list(self._calls.values())
        waits = [wait for wait in calls if wait is not None]
        if not waits or len(waits) < len(calls):
            return None
        return min(waits, key=lambda wait: wait.until or datetime.max.replace(tzinfo=UTC))

    @contextmanager
    def call(self) -> Iterator[None]:
        """The block is one call of this thread, with all its waits."""
        self._began.at = time.monotonic()
        self._set(None)
        try:
            yield
        finally:
            with self._lock:
                self._calls.pop(threading.get_ident(), None)

    def begin(self, what: str, seconds: float) -> None:
        """From now on, the call of this thread waits."""
        until = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=round(seconds))
        in_all_s = time.monotonic() - self._began.at + seconds
        self._set(Waiting(what, until) if in_all_s >= _WORTH_SAYING_S else None)

    def end(self) -> None:
        """The call of this thread goes on."""
        self._set(None)

    def _set(self, wait: Waiting | None) -> None:
        with self._lock:
            self._calls[threading.get_ident()] = wait
