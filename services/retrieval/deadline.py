"""One time budget that all parts of a request to DeepLake Cloud share."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from services.retrieval.cloud_failures import CloudFailure, Failure


class Deadline:
    """A point in time, `seconds` from now, at which all tries, waits and turns end."""

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    @property
    def left_s(self) -> float:
        return max(0.0, self._at - time.monotonic())

    @contextmanager
    def turn(self, lock: threading.Lock) -> Iterator[None]:
        """Hold `lock`. Raises CloudFailure if others hold it until the deadline."""
        if not lock.acquire(timeout=self.left_s):
            raise CloudFailure(Failure.LATE, "others took all the time")
        try:
            yield
        finally:
            lock.release()
