"""One budget of time that all parts of a question to DeepLake Cloud share."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from services.retrieval.cloud_failures import CloudFailure, Failure


class Deadline:
    """So many seconds from now, for everything that is done until then: tries, pauses, turns."""

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    @property
    def left_s(self) -> float:
        return max(0.0, self._at - time.monotonic())

    @contextmanager
    def turn(self, lock: threading.Lock) -> Iterator[None]:
        """Hold `lock`. Raises CloudFailure when others hold it until the end."""
        if not lock.acquire(timeout=self.left_s):
            raise CloudFailure(Failure.LATE, "others took all the time")
        try:
            yield
        finally:
            lock.release()
