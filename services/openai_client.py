"""The way to OpenAI, and to every server that speaks like it: a client, patience, and words.

The client's own retries are switched off for patient calls: it gives up on waits of more than two
minutes, repeats calls when the quota is used up, and each of its threads meets the limit alone.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import urlsplit

from openai import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    NotFoundError,
    OpenAI,
    OpenAIError,
    PermissionDeniedError,
    RateLimitError,
    Timeout,
)
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
from services.openai_limits import RateLimiter, limiter_of, retry_after_s

log = logging.getLogger(__name__)

# A server that needs no key (Ollama, vLLM) ignores it, but the client insists on one.
NO_KEY = "no-key-needed"
_QUOTA_CODES = {"insufficient_quota", "billing_hard_limit_reached"}
_Answer = TypeVar("_Answer")
Headers = Mapping[str, str]


class UnusableAnswer(OpenAIError):
    """The server answered 200 with something that is no answer of the OpenAI API.

    `error_code` is None unless that is an error object, and "" when the error has no code.
    """

    def __init__(self, reason: str, error_code: str | None = None) -> None:
        super().__init__(reason)
        self.error_code = error_code


class CallsStopped(OpenAIError):
    """Nobody wants the answer any more, so the call was not made."""


def make_openai_client(settings: Settings) -> OpenAI:
    """A client for api.openai.com, or for the server at `OPENAI_BASE_URL`, which may need no key.

    Safe to share by threads. A call is given up after a minute without a byte.
    """
    key = settings.openai_api_key.get_secret_value() if settings.openai_api_key else NO_KEY
    return OpenAI(
        api_key=key,
        # Never None: the library would then read the environment by itself.
        base_url=settings.openai_base_url or "https://api.openai.com/v1",
        timeout=Timeout(60.0, connect=10.0),
        max_retries=3,
    )


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to keep trying before a call is given up.

    A wait that the server itself asks for is kept as long as it ends within `longest_s`; a server
    that fails without saying when to come back is asked `attempts` times.
    """

    longest_s: float = 300.0
    attempts: int = 5
    first_wait_s: float = 0.5


@dataclass
class PatientClient:
    """Calls with patience: waits as the server asks, all threads together, within a bound.

    `stop` ends the waits of all threads at once, and no call is made from then on.
    """

    client: OpenAI
    model: str  # limits are counted for each model
    patience: Patience = field(default_factory=Patience)
    stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.client = self.client.with_options(max_retries=0)

    @property
    def limiter(self) -> RateLimiter:
        return limiter_of(str(self.client.base_url), self.model)

    def call(self, request: Callable[[OpenAI], tuple[_Answer, Headers]], tokens: int) -> _Answer:
        """Return the answer of `request`; it is called again after a failure that may pass.

        `request` gives the answer with its headers. `tokens`: what it may be charged at most.

        Raises:
            openai.OpenAIError: the failure stays, or would take longer than the patience allows.
            CallsStopped: `stop` was set before a call, or while it waited for its repetition.
        """
        no_more = stop_when_event_set(self.stop) | stop_before_delay(self.patience.longest_s)
        return Retrying(
            retry=retry_if_exception(is_transient),
            wait=self._wait_s,
            stop=lambda state: no_more(state) or self._tried_enough(state),
            sleep=sleep_using_event(self.stop),
            reraise=True,
        )(self._once, request, tokens)

    def _once(self, request: Callable[[OpenAI], tuple[_Answer, Headers]], tokens: int) -> _Answer:
        headers: Headers = {}
        turn_s = self.limiter.reserve(tokens)
        try:
            self._wait(turn_s)
            # A pause that another thread met; jitter is not needed, the server spreads the calls.
            self._wait(self.limiter.remaining_s())
            answer, headers = request(self.client)
            return answer
        except APIStatusError as error:
            headers = error.response.headers
            asked_s = retry_after_s(error.response.headers)
            # A longer wait ends this run; whoever proceeds by hand may try before it is over.
            if is_transient(error) and asked_s and asked_s <= self.patience.longest_s:
                self.limiter.pause(asked_s)
            log.info("openai_call_failed status=%s code=%s", error.status_code, error.code)
            raise
        except APIConnectionError as error:
            log.info("openai_call_failed %s", type(error).__name__)
            raise
        finally:
            self.limiter.settle(tokens, headers)

    def _wait(self, seconds: float) -> None:
        # A limit that asks for more than the patience is left to the server to explain.
        if self.stop.wait(min(seconds, self.patience.longest_s)):
            raise CallsStopped("stopped")

    def _wait_s(self, state: RetryCallState) -> float:
        asked_s = _asked_wait_s(state)
        if asked_s is not None:
            return asked_s
        return wait_random_exponential(multiplier=self.patience.first_wait_s, max=30.0)(state)

    def _tried_enough(self, state: RetryCallState) -> bool:
        # A server that says when to come back is believed until the time is up.
        if _asked_wait_s(state):
            return False
        failures = state.retry_object.statistics  # of this call alone
        failures["unasked"] = failures.get("unasked", 0) + 1
        return failures["unasked"] >= self.patience.attempts


def _asked_wait_s(state: RetryCallState) -> float | None:
    error = state.outcome.exception() if state.outcome else None
    return retry_after_s(error.response.headers) if isinstance(error, APIStatusError) else None


def is_transient(error: BaseException) -> bool:
    """Whether the same call may succeed later without anybody doing anything."""
    if isinstance(error, RateLimitError):
        return error.code not in _QUOTA_CODES and error.type not in _QUOTA_CODES
    if isinstance(error, APIStatusError):
        return error.status_code in (408, 409) or error.status_code >= 500
    return isinstance(error, (APIConnectionError, UnusableAnswer))


def explain(error: OpenAIError, *, client: OpenAI, model: str) -> tuple[str, str]:
    """What happened and what to do next, for a person. Never a key, never a text that was sent."""
    server = server_name(client)
    match error:
        case AuthenticationError():
            return (
                f"{server} refused the key.",
                "Correct OPENAI_API_KEY, start the app again, then proceed.",
            )
        case PermissionDeniedError():
            return (
                f"{server} does not allow this key to use the model {model}.",
                "Give the key access to the model, or set another model, then proceed.",
            )
        case NotFoundError():
            return (
                f"{server} has no model named {model}, or no such address.",
                "Correct QUESTION_MODEL, EMBEDDING_MODEL or OPENAI_BASE_URL, then proceed.",
            )
        case RateLimitError() if not is_transient(error):
            return (
                f"The quota of this account at {server} is used up.",
                "Add credit or raise the limit of the account, then proceed.",
            )
        case RateLimitError():
            asked_s = retry_after_s(error.response.headers) or 0.0
            wait = f", and asks to wait {asked_s / 60:,.0f} minutes" if asked_s >= 60 else ""
            return (
                f"{server} keeps refusing calls because of its rate limit{wait}.",
                "Wait a while, or lower GENERATION_CONCURRENCY, then proceed.",
            )
        case APITimeoutError():
            return f"{server} did not answer in time.", "Proceed when it answers again."
        case APIConnectionError():
            return (
                f"{server} could not be reached.",
                "Check the network and OPENAI_BASE_URL, then proceed.",
            )
        case APIStatusError() if error.status_code >= 500:
            return (
                f"{server} fails at the moment (status {error.status_code}).",
                "Proceed when it works again.",
            )
        case APIStatusError():
            return (
                f"{server} refused the request (status {error.status_code}, code {error.code}).",
                "Check that the model can do what is asked of it, then proceed.",
            )
        case CallsStopped():
            return "The call was not made, because its run was stopped.", "Proceed to go on."
        case UnusableAnswer(error_code=str(code)):
            named = f"code {code}" if code else "without a code"
            return f"{server} answered with an error ({named}).", "Proceed when it works again."
        case _:
            return (
                f"{server} answered in a form that is not the OpenAI API's.",
                "Check OPENAI_BASE_URL (it usually ends in /v1), then proceed.",
            )


def server_name(client: OpenAI) -> str:
    """OpenAI, or the host of the server that is used in its place."""
    host = urlsplit(str(client.base_url)).netloc
    return "OpenAI" if host == "api.openai.com" else host
