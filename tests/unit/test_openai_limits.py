"""The shared pace, with a clock of the test's own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from services.openai_limits import RateLimiter, duration_s, limiter_of, retry_after_s


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("20ms", 0.02), ("1s", 1), ("6m0s", 360), ("1h2m3.5s", 3723.5), ("soon", None), ("", None)],
)
def test_a_duration_is_read_as_openai_writes_it(text, seconds):
    assert duration_s(text) == (pytest.approx(seconds) if seconds is not None else None)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7),
        ({"retry-after": "0"}, 0),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
        ({}, None),
    ],
)
def test_retry_after_in_seconds_is_read_and_nonsense_is_not(headers, seconds):
    assert retry_after_s(headers) == seconds


def test_retry_after_as_a_date_is_the_time_until_then():
    until = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    assert 80 < retry_after_s({"retry-after": until}) <= 90


def test_a_pause_holds_for_everybody_and_a_shorter_one_does_not_shorten_it():
    clock = Clock()
    limiter = RateLimiter(clock)
    limiter.pause(10)
    limiter.pause(2)
    assert limiter.remaining_s() == 10
    clock.now += 11
    assert limiter.remaining_s() == 0


@pytest.mark.parametrize("kind", ["requests", "tokens"])
def test_an_allowance_that_is_used_up_pauses_until_its_reset(kind):
    limiter = RateLimiter(Clock())
    limiter.learn({f"x-ratelimit-remaining-{kind}": "3", f"x-ratelimit-reset-{kind}": "9s"})
    assert limiter.remaining_s() == 0
    limiter.learn({f"x-ratelimit-remaining-{kind}": "0", f"x-ratelimit-reset-{kind}": "9s"})
    assert limiter.remaining_s() == 9


def test_clients_of_one_server_share_its_limiter_and_of_another_do_not():
    assert limiter_of("http://a/v1") is limiter_of("http://a/v1")
    assert limiter_of("http://a/v1") is not limiter_of("http://b/v1")
