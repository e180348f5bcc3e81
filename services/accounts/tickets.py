"""Single-use tickets that stand in for a cookie, because scripts in the browser can read a page."""

from __future__ import annotations

import secrets
import threading
import time

_TICKET_S = 60.0


class Tickets:
    """The tickets of this process."""

    def __init__(self) -> None:
        self._tickets: dict[str, tuple[str, float]] = {}
        self._lock = threading.Lock()

    def issue(self, cookie: str) -> str:
        """A ticket for `cookie` that page code may see; it works once, within a minute."""
        ticket = secrets.token_urlsafe(32)
        with self._lock:
            now = time.monotonic()
            self._tickets = {t: c for t, c in self._tickets.items() if c[1] > now}
            self._tickets[ticket] = (cookie, now + _TICKET_S)
        return ticket

    def redeem(self, ticket: str) -> str | None:
        with self._lock:
            cookie, until = self._tickets.pop(ticket, ("", 0.0))
        return cookie if until > time.monotonic() else None
