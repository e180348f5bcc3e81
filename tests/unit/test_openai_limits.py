"""The shared pace, with a clock of the test's own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from services.openai_api.limits import RateLimiter, duration_s, limiter_of, retry_after_s


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
def test_an_allowance_of_unknown_size_that_is_used_up_pauses_until_its_reset(kind):
    limiter = RateLimiter(Clock())
    answered(limiter, {f"x-ratelimit-remaining-{kind}": "3", f"x-ratelimit-reset-{kind}": "9s"})
    assert limiter.remaining_s() == 0
    answered(limiter, {f"x-ratelimit-remaining-{kind}": "0", f"x-ratelimit-reset-{kind}": "9s"})
    assert limiter.remaining_s() == 9


def test_calls_are_not_held_back_by_a_server_that_tells_no_limit():
    limiter = RateLimiter(Clock())
    assert {limiter.reserve(1_000_000) for _ in range(100)} == {0.0}


def test_calls_beyond_what_remains_are_spaced_as_the_allowance_fills_up():
    clock = Clock()
    limiter = RateLimiter(clock)
    answered(limiter, headers(limit=60, remaining=2))  # one a second

    assert [limiter.reserve(0) for _ in range(4)] == pytest.approx([0, 0, 1, 2])
    clock.now += 3
    assert limiter.reserve(0) == 0


def test_tokens_hold_back_where_requests_would_not():
    limiter = RateLimiter(Clock())
    answered(limiter, headers(limit=10_000, remaining=9_000))
    answered(limiter, headers("tokens", limit=60_000, remaining=5_000))  # 1,000 a second
    assert [limiter.reserve(4_000) for _ in range(3)] == pytest.approx([0, 3, 7])


def test_calls_that_the_server_has_not_counted_yet_are_counted_here():
    limiter = RateLimiter(Clock())
    for _ in range(5):
        limiter.reserve(0)
    limiter.settle(0, headers(limit=60, remaining=5))  # four are under way
    assert [limiter.reserve(0) for _ in range(2)] == pytest.approx([0, 1])


def test_a_limit_by_the_day_is_learned_as_such():
    limiter = RateLimiter(Clock())
    answered(limiter, headers(limit=200, remaining=0, reset="24h0m0s"))
    assert limiter.reserve(0) == pytest.approx(432)


def test_what_others_use_of_the_same_account_is_learned_with_the_next_answer():
    limiter = RateLimiter(Clock())
    answered(limiter, headers(limit=60, remaining=50))
    limiter.reserve(0)
    limiter.settle(0, headers(limit=60, remaining=0))
    assert limiter.reserve(0) == pytest.approx(1)


def test_clients_of_one_model_share_its_limiter_and_of_another_do_not():
    assert limiter_of("http://a/v1", "m") is limiter_of("http://a/v1", "m")
    assert limiter_of("http://a/v1", "m") is not limiter_of("http://b/v1", "m")
    assert limiter_of("http://a/v1", "m") is not limiter_of("http://a/v1", "n")


def answered(limiter: RateLimiter, answer_headers: dict[str, str]) -> None:
    limiter.reserve(0)
    limiter.settle(0, answer_headers)


def headers(
    kind: str = "requests", *, limit: int, remaining: int, reset: str | None = None
) -> dict[str, str]:
    """As OpenAI sends them; by the minute unless `reset` says otherwise."""
    reset_ms = round(60_000 * (limit - remaining) / limit)
    return {
        f"x-ratelimit-limit-{kind}": str(limit),
        f"x-ratelimit-remaining-{kind}": str(remaining),
        f"x-ratelimit-reset-{kind}": reset or f"{reset_ms}ms",
    }
