"""Rate limits of a server, shared by all threads that call it."""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from cachetools import LRUCache, cached

_SECONDS_PER_UNIT = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass
class _Allowance:
    """The requests or tokens that a server still accepts: a bucket that refills at a steady rate.

    There is no limit (`rate_per_s` is 0) until the server has reported one.
    """

    level: float = 0.0
    rate_per_s: float = 0.0
    limit: float = 0.0
    as_of: float = 0.0
    in_flight: float = 0.0  # reserved by calls that have not been answered yet

    def reserve(self, cost: float, now: float) -> float:
        """Take `cost`, and return in how many seconds it will be available."""
        self.in_flight += cost
        if not self.rate_per_s:
            return 0.0
        filled = self.level + (now - self.as_of) * self.rate_per_s
        self.level, self.as_of = min(self.limit, filled) - cost, now
        return max(0.0, -self.level / self.rate_per_s)

    def learn(self, limit: float, remaining: float, reset_s: float, now: float) -> None:
        """Adopt what the server reports, which may not include the calls in flight yet."""
        # The reset is when the bucket is full again; with fixed windows, this rate is too high.
        by_reset = (limit - remaining) / reset_s if reset_s else math.inf
        self.rate_per_s = min(by_reset, limit / 60) or limit / 60
        self.level, self.limit, self.as_of = remaining - self.in_flight, limit, now


class RateLimiter:
    """Paces all threads that call one model, so that they stay within its limits together.

    Limits are learned from OpenAI's `x-ratelimit-` headers (guide "Rate limits"), and calls are
    spaced so that neither requests nor tokens exceed them. When the server asks one thread to
    pause, all of them pause, because each refused call counts against the limit again.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._resume_at = 0.0
        self._allowances = {"requests": _Allowance(), "tokens": _Allowance()}
        self._lock = threading.Lock()

    def pause(self, seconds: float) -> None:
        """Allow no call for `seconds`; never shortens a pause that has already begun."""
        with self._lock:
            self._resume_at = max(self._resume_at, self._clock() + seconds)

    def remaining_s(self) -> float:
        """How many seconds the pause still lasts; 0 if there is none."""
        with self._lock:
            return max(0.0, self._resume_at - self._clock())

    def reserve(self, tokens: int) -> float:
        """Reserve a call of at most about `tokens`; returns in how many seconds it may start.

        `settle` must follow, whatever the outcome of the call.
        """
        with self._lock:
            now = self._clock()
            costs = {"requests": 1, "tokens": tokens}
            return max(self._allowances[kind].reserve(costs[kind], now) for kind in costs)

    def settle(self, tokens: int, headers: Mapping[str, str]) -> None:
        """End a reserved call, and learn from the headers of its answer, if there was one."""
        for kind, cost in (("requests", 1), ("tokens", tokens)):
            limit, remaining = (
                _whole(headers.get(f"x-ratelimit-{what}-{kind}")) for what in ("limit", "remaining")
            )
            reset_s = duration_s(headers.get(f"x-ratelimit-reset-{kind}", "")) or 0.0
            with self._lock:
                allowance = self._allowances[kind]
                allowance.in_flight -= cost
                if limit and remaining is not None:
                    allowance.learn(limit, remaining, reset_s, self._clock())
            if not limit and remaining == 0:
                self.pause(reset_s)


@cached(LRUCache(64), condition=threading.Condition())
def limiter_of(base_url: str, model: str) -> RateLimiter:
    """The limiter that all clients of `model` at `base_url` share within this process."""
    return RateLimiter()


def _whole(text: str | None) -> int | None:
    return int(text) if text and text.isdigit() else None


def duration_s(text: str) -> float | None:
    """Seconds in a duration as OpenAI writes it: "20ms", "1s", "6m0s"; None for anything else."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|[smhd])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(float(number) * _SECONDS_PER_UNIT[unit] for number, unit in parts)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """The seconds that `Retry-After` asks for (RFC 9110: seconds or a date), or None."""
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
