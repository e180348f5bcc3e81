"""Refusals in GoTrue's words, and the limit on password guesses."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

REFUSALS_ALLOWED = 30  # per caller and e-mail
REFUSALS_OF_ALL = 300  # per e-mail, from all callers except known devices
REFUSALS_WINDOW_S = 300


class AuthRefused(Exception):
    """A refusal in GoTrue's words: HTTP status, error code, message and any extra fields."""

    def __init__(self, status: int, code: str, message: str, **extra: Any) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.extra = extra


@dataclass(frozen=True)
class Caller:
    """Who tries a password: the address, and the device if it has signed in before."""

    address: str
    device: str | None = None


class RefusedAttempts:
    """Counts refused attempts, and stops guessing without locking the owner out.

    Each caller has a budget for each e-mail, and all callers share another, which stops guessing
    from many addresses. A device on which that e-mail signed in before has its own budget, so
    nobody else can use it up (OWASP, "Slow Down Online Guessing Attacks with Device Cookies"). Only
    refusals count: neither a busy account nor an unavailable database locks anybody out.
    """

    def __init__(self) -> None:
        self._times: dict[tuple[str, str], deque[float]] = {}
        self._lock = threading.Lock()

    @contextmanager
    def watching(self, caller: Caller, email: str) -> Iterator[None]:
        """Count the block as one attempt, refused if it raises AuthRefused.

        Raises:
            AuthRefused: there were too many refusals, so the block does not run.
        """
        if caller.device:
            budgets = {(f"device {caller.device}", email): REFUSALS_ALLOWED}
        else:
            budgets = {
                (f"address {caller.address}", email): REFUSALS_ALLOWED,
                ("all", email): REFUSALS_OF_ALL,
            }
        self._begin(budgets)
        try:
            yield
        except AuthRefused:
            raise
        except BaseException:
            self._take_back(budgets)
            raise
        self._take_back(budgets)

    def _begin(self, budgets: Mapping[tuple[str, str], int]) -> None:
        """Count the attempt as refused until it succeeds, so that simultaneous ones count, too."""
        now = time.monotonic()
        with self._lock:
            self._forget_before(now - REFUSALS_WINDOW_S)
            if any(len(self._times.get(key, ())) >= most for key, most in budgets.items()):
                raise AuthRefused(429, "over_request_rate_limit", "Request rate limit reached")
            for key in budgets:
                self._times.setdefault(key, deque()).append(now)

    def _take_back(self, keys: Iterable[tuple[str, str]]) -> None:
        with self._lock:
            for key in keys:
                if self._times.get(key):
                    self._times[key].pop()

    def _forget_before(self, moment: float) -> None:
        for key, times in list(self._times.items()):
            while times and times[0] < moment:
                times.popleft()
            if not times:
                del self._times[key]
