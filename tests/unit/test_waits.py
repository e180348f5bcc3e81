"""What the calls of several threads wait for: told when all of them wait, and not before."""

from __future__ import annotations

import threading

from services.waits import Waits


def test_nothing_is_waited_for_while_one_call_is_at_the_server():
    waits = Waits()
    seen = []

    def another_call() -> None:
        with waits.call():
            seen.append(waits.now)
            waits.begin("the server to answer", 30)
            seen.append(waits.now)

    with waits.call():
        waits.begin("the rate limit", 60)
        thread = threading.Thread(target=another_call)
        thread.start()
        thread.join()
        seen.append(waits.now)  # the other call has ended
        waits.end()
        seen.append(waits.now)
    at_server, both_wait, alone, going_on = seen
    assert (at_server, going_on, waits.now) == (None, None, None)
    assert both_wait.what == "the server to answer"  # it ends first
    assert alone.what == "the rate limit"


def test_waits_of_a_moment_are_not_told_until_they_add_up(monkeypatch):
    """A server that keeps asking for one second more is a stall as well."""
    now = 0.0
    monkeypatch.setattr("services.waits.time.monotonic", lambda: now)
    waits, told = Waits(), []
    with waits.call():
        for _ in range(6):
            waits.begin("the rate limit", 1)
            told.append(waits.now is not None)
            now += 1
            waits.end()
    assert told == [False, False, False, False, True, True]
