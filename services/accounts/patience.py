"""Statements of workers, sent again for as long as the database is unavailable."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import TypeVar

from services.errors import DatabaseUnavailable

Answer = TypeVar("Answer")

_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 5.0  # below the 20 seconds that the rescues wait after an outage


def until_available(
    statement: Callable[[], Answer],
    lost: threading.Event,
    on_pause: Callable[[DatabaseUnavailable, float], None],
) -> Answer:
    """Retry `statement`, with growing pauses, for as long as the database is unavailable.

    Before each pause, `on_pause` is told why and how many seconds it takes. When `lost` is set, it
    is tried once more at once.

    Raises:
        DatabaseUnavailable: that last try failed too.
    """
    pause_s = _FIRST_PAUSE_S
    while True:
        is_last = lost.is_set()
        try:
            return statement()
        except DatabaseUnavailable as error:
            if is_last:
                raise
            on_pause(error, pause_s)
            lost.wait(pause_s * random.uniform(0.7, 1.0))
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
