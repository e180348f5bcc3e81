"""The pace that a server asks for, shared by all threads that speak to it."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache

_SECONDS_PER_UNIT = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class RateLimiter:
    """One for all threads: when the server asks one of them to pause, all of them pause.

    Each thread that keeps calling on its own would meet the limit on its own, and every such
    refused call counts against the limit again.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._resume_at = 0.0
        self._lock = threading.Lock()

    def pause(self, seconds: float) -> None:
        """No call before `seconds` have passed; never shortens a pause that is under way."""
        with self._lock:
            self._resume_at = max(self._resume_at, self._clock() + seconds)

    def remaining_s(self) -> float:
        """How long to wait before the next call; 0 when it may go out now."""
        with self._lock:
            return max(0.0, self._resume_at - self._clock())

    def learn(self, headers: Mapping[str, str]) -> None:
        """Pause until the reset when the headers of an answer say that an allowance is used up."""
        for kind in ("requests", "tokens"):
            remaining = headers.get(f"x-ratelimit-remaining-{kind}", "")
            if remaining.isdigit() and int(remaining) == 0:
                self.pause(duration_s(headers.get(f"x-ratelimit-reset-{kind}", "")) or 0.0)


@lru_cache(maxsize=16)
def limiter_of(base_url: str) -> RateLimiter:
    """The limiter that all clients of the server at `base_url` share in this process."""
    return RateLimiter()


def duration_s(text: str) -> float | None:
    """Seconds in a duration as OpenAI writes it: "20ms", "1s", "6m0s"; None for anything else."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|[smhd])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(float(number) * _SECONDS_PER_UNIT[unit] for number, unit in parts)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """The wait that `Retry-After` asks for (RFC 9110: seconds or a date), or None."""
    for name, seconds_per_unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        text = headers.get(name, "").strip()
        if re.fullmatch(r"\d{1,9}(\.\d+)?", text):
            return float(text) * seconds_per_unit
    try:
        until = parsedate_to_datetime(headers.get("retry-after", ""))
    except ValueError:
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max(0.0, (until - datetime.now(UTC)).total_seconds())
