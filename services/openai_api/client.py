"""Access to OpenAI, and to any server with its API: a client, and retries.

The client's own retries are switched off for our calls: it gives up on waits of more than two
minutes, retries even when the quota is used up, and each thread runs into the limit on its own.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from openai import APIConnectionError, APIStatusError, OpenAI, Timeout
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    sleep_using_event,
    stop_before_delay,
    stop_when_event_set,
    wait_random_exponential,
)

from services.config import Settings
from services.openai_api.errors import CallsStopped, is_transient, refusal_of, server_name
from services.openai_api.limits import RateLimiter, limiter_of, retry_after_s
from services.waits import Waits

log = logging.getLogger(__name__)

# A server that needs no key (Ollama, vLLM) ignores it, but the client requires one.
NO_KEY = "no-key-needed"
# Longer pauses are not shared between calls, so that whoever proceeds by hand may try at once.
_LONGEST_SHARED_PAUSE_S = 300.0
_Answer = TypeVar("_Answer")
Headers = Mapping[str, str]


def make_openai_client(settings: Settings) -> OpenAI:
    """A client for api.openai.com, or for the server at `OPENAI_BASE_URL`, which may need no key.

    Safe to share between threads. A call is given up after a minute without a byte.
    """
    key = settings.openai_api_key.get_secret_value() if settings.openai_api_key else NO_KEY
    return OpenAI(
        api_key=key,
        # Never None: the library would then read the environment itself.
        base_url=settings.openai_base_url or "https://api.openai.com/v1",
        timeout=Timeout(60.0, connect=10.0),
        max_retries=3,
    )


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long to keep trying before a call is given up.

    A wait that the server asks for is honoured if it ends within `longest_s`; a server that fails
    without saying when to retry is called `attempts` times.
    """

    longest_s: float = 300.0
    attempts: int = 5
    first_wait_s: float = 0.5


@dataclass
class RetryingClient:
    """Calls with retries: it waits as the server asks, for all threads together, within a bound.

    `stop` ends the waits of all threads at once, and no call is made from then on. `waits` holds
    what the calls are waiting for.
    """

    client: OpenAI
    model: str  # rate limits are counted per model
    retry_policy: RetryPolicy = field(default_factory=RetryPolicy)
    stop: threading.Event = field(default_factory=threading.Event)
    waits: Waits = field(default_factory=Waits)

    def __post_init__(self) -> None:
        self.client = self.client.with_options(max_retries=0)

    @property
    def limiter(self) -> RateLimiter:
        return limiter_of(str(self.client.base_url), self.model)

    def call(self, request: Callable[[OpenAI], tuple[_Answer, Headers]], tokens: int) -> _Answer:
        """Return the answer of `request`, retrying after transient failures.

        `request` returns the answer and its headers. `tokens` is the most it may be charged.

        Raises:
            openai.OpenAIError: the failure persists, or would last longer than the policy allows.
            CallsStopped: `stop` was set before a call, or while waiting for a retry.
        """
        no_more = stop_when_event_set(self.stop) | stop_before_delay(self.retry_policy.longest_s)
        retrying = Retrying(
            retry=retry_if_exception(is_transient),
            wait=self._wait_s,
            stop=lambda state: no_more(state) or self._tried_enough(state),
            sleep=sleep_using_event(self.stop),
            before_sleep=self._say_wait,
            reraise=True,
        )
        with self.waits.call():
            return retrying(self._once, request, tokens)

    def _once(self, request: Callable[[OpenAI], tuple[_Answer, Headers]], tokens: int) -> _Answer:
        headers: Headers = {}
        turn_s = self.limiter.reserve(tokens)
        try:
            self._wait(turn_s)
            # A pause for another thread's refusal, without jitter: the server spreads the calls.
            self._wait(self.limiter.remaining_s())
            answer, headers = request(self.client)
            return answer
        except APIStatusError as error:
            headers = error.response.headers
            asked_s = retry_after_s(error.response.headers)
            shared_s = min(self.retry_policy.longest_s, _LONGEST_SHARED_PAUSE_S)
            if is_transient(error) and asked_s and asked_s <= shared_s:
                self.limiter.pause(asked_s)
            log.info("openai_call_failed status=%s code=%s", error.status_code, error.code)
            raise
        except APIConnectionError as error:
            log.info("openai_call_failed %s", type(error).__name__)
            raise
        finally:
            self.limiter.settle(tokens, headers)

    def _wait(self, seconds: float) -> None:
        # If the limit asks for a longer wait, the server's refusal explains it.
        seconds = min(seconds, self.retry_policy.longest_s)
        self.waits.begin(self._rate_limit, seconds)
        if self.stop.wait(seconds):
            raise CallsStopped("stopped")
        self.waits.end()

    @property
    def _rate_limit(self) -> str:
        return f"{server_name(self.client)}'s rate limit"

    def _say_wait(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        refusal = refusal_of(error) if error else None
        is_limited = refusal is not None and refusal.status == 429
        what = self._rate_limit if is_limited else f"{server_name(self.client)} to answer"
        self.waits.begin(what, state.upcoming_sleep)

    def _wait_s(self, state: RetryCallState) -> float:
        asked_s = _asked_wait_s(state)
        if asked_s is not None:
            return asked_s
        return wait_random_exponential(multiplier=self.retry_policy.first_wait_s, max=30.0)(state)

    def _tried_enough(self, state: RetryCallState) -> bool:
        # A server that says when to retry is trusted until the policy's time is up.
        if _asked_wait_s(state):
            return False
        failures = state.retry_object.statistics  # of this call alone
        failures["unasked"] = failures.get("unasked", 0) + 1
        return failures["unasked"] >= self.retry_policy.attempts


def _asked_wait_s(state: RetryCallState) -> float | None:
    error = state.outcome.exception() if state.outcome else None
    return retry_after_s(error.response.headers) if isinstance(error, APIStatusError) else None
