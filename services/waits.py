"""What the calls of several threads to one server are waiting for."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from services.models import Waiting

# Short waits that merely keep to a rate limit are not reported, unless they add up to this.
_WORTH_SAYING_S = 5.0


class Waits:
    """The calls in flight, and what each waits for before it is sent, or sent again."""

    def __init__(self) -> None:
        self._calls: dict[int, Waiting | None] = {}
        self._began = threading.local()
        self._lock = threading.Lock()

    @property
    def now(self) -> Waiting | None:
        """The wait that ends first, if all calls are waiting; None while one is at the server."""
        with self._lock:
            calls = list(self._calls.values())
        waits = [wait for wait in calls if wait is not None]
        if not waits or len(waits) < len(calls):
            return None
        return min(waits, key=lambda wait: wait.until or datetime.max.replace(tzinfo=UTC))

    @contextmanager
    def call(self) -> Iterator[None]:
        """Treat the block as one call of this thread, including all its waits."""
        self._began.at = time.monotonic()
        self._set(None)
        try:
            yield
        finally:
            with self._lock:
                self._calls.pop(threading.get_ident(), None)

    def begin(self, what: str, seconds: float) -> None:
        """Mark the call of this thread as waiting for `what`, for `seconds` from now."""
        until = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=round(seconds))
        in_all_s = time.monotonic() - self._began.at + seconds
        self._set(Waiting(what, until) if in_all_s >= _WORTH_SAYING_S else None)

    def end(self) -> None:
        """Mark the call of this thread as no longer waiting."""
        self._set(None)

    def _set(self, wait: Waiting | None) -> None:
        with self._lock:
            self._calls[threading.get_ident()] = wait
