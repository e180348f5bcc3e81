"""What the accounts refuse, in GoTrue's words, and when they stop listening to guesses."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

REFUSALS_ALLOWED = 30
REFUSALS_WINDOW_S = 300


class AuthRefused(Exception):
    """An answer in GoTrue's words: HTTP status, error code, message and what else it has."""

    def __init__(self, status: int, code: str, message: str, **extra: Any) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.extra = extra


class Refusals:
    """Counts refused attempts per address and e-mail, and stops guessing.

    Attempts that succeed do not count, so a busy account is never locked out by its owner.
    """

    def __init__(self) -> None:
        self._times: dict[tuple[str, str], deque[float]] = {}
        self._lock = threading.Lock()

    @contextmanager
    def watching(self, address: str, email: str) -> Iterator[None]:
        """The block is one attempt; an exception in it is a refusal.

        Raises:
            AuthRefused: there were too many, so the block does not run.
        """
        self._begin((address, email))
        yield
        self._succeeded((address, email))

    def _begin(self, key: tuple[str, str]) -> None:
        """Count the attempt as refused until it turns out otherwise: many at once count, too."""
        now = time.monotonic()
        with self._lock:
            self._forget_before(now - REFUSALS_WINDOW_S)
            times = self._times.setdefault(key, deque())
            if len(times) >= REFUSALS_ALLOWED:
                raise AuthRefused(429, "over_request_rate_limit", "Request rate limit reached")
            times.append(now)

    def _succeeded(self, key: tuple[str, str]) -> None:
        with self._lock:
            if self._times.get(key):
                self._times[key].pop()

    def _forget_before(self, moment: float) -> None:
        for key, times in list(self._times.items()):
            while times and times[0] < moment:
                times.popleft()
            if not times:
                del self._times[key]
