"""What a server says when it refuses or fails: parsed, and explained to the person."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from openai import APIConnectionError, APIStatusError, APITimeoutError, OpenAI, OpenAIError

from services.openai_api.limits import retry_after_s

QUOTA_CODES = {"insufficient_quota", "billing_hard_limit_reached"}
_CODE = re.compile(r"[A-Za-z_][\w.-]{0,63}")  # anything else may be an echo of text that was sent
# The status of an error object inside a 200 whose code is not a status number.
_STATUS_OF_CODE = {
    **dict.fromkeys(("invalid_api_key", "authentication_error"), 401),
    **dict.fromkeys(("permission_denied", "permission_error"), 403),
    **dict.fromkeys(("model_not_found", "not_found_error", "NotFoundError"), 404),
    **dict.fromkeys(("rate_limit_exceeded", "rate_limit_error", *QUOTA_CODES), 429),
    **dict.fromkeys(("invalid_request_error", "BadRequestError", "context_length_exceeded"), 400),
}
# How servers say that the request, alone or with the requested answer, is too long for the model.
# Each words it differently: tests/fakes/other_servers.py has the known ones.
_TOO_LONG = re.compile(
    r"context[ _-]?(?:length|size|window|limit)|maximum context|max context|n_ctx|model'?s max"
    r"|(?:tokens?|prompt|inputs?|length|messages)\b[^.;]{0,60}"
    r"\b(?:exceed(?:s|ed)?\b|larger than|longer than|is over\b)"
    r"|reduce the length|range of input length|model token limit|max_(?:seq|input)_len"
    r"|(?:prompt|input|request|text)s? (?:\([^)]*\) )?(?:is |are )?too (?:long|large|big)"
    r"|too many (?:input )?tokens|must have less than \d+ tokens|max_new_tokens"
    r"|max_tokens must be at least 1|max_(?:completion_)?tokens\W{0,3}(?:is )?too (?:large|big)",
    re.IGNORECASE,
)
_TOO_LONG_CODES = {
    "context_length_exceeded",
    "string_above_max_length",
    "exceed_context_size_error",
    "model_context_window_exceeded",
}
_EXPLAINED = {
    401: (
        "{server} refused the key.",
        "Correct OPENAI_API_KEY, start the app again, then proceed.",
    ),
    403: (
        "{server} does not allow this key to use the model {model}.",
        "Give the key access to the model, or set another model, then proceed.",
    ),
    404: (
        "{server} has no model named {model}, or no such address.",
        "Correct QUESTION_MODEL, EMBEDDING_MODEL or OPENAI_BASE_URL, then proceed.",
    ),
}
_SECRET = re.compile(
    r"Bearer\s+\S+|\b(?:sk|pk|rk|hf|gsk|xai|pplx|nvapi|key)[-_][\w*.-]{6,}|eyJ[\w.-]{20,}"
    r"|\S*\*{3,}\S*"
)
_PAGE = re.compile(r"\s*<(?:!doctype|html)", re.IGNORECASE)
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_MOST_READ = 2_000  # characters of an error that are examined
_MOST_QUOTED = 240
_ECHO = 16  # this many letters and digits in a row that were sent are an echo of the request


class UnusableAnswer(OpenAIError):
    """The server answered 200 with something that is no answer of the OpenAI API.

    `said` is the error object in it, if any.
    """

    def __init__(self, reason: str, said: object = None) -> None:
        super().__init__(reason)
        self.said = said


class CallsStopped(OpenAIError):
    """The answer is no longer wanted, so the call was not made."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a server said instead of an answer.

    `status` is the HTTP status, or its equivalent for an error inside a 200. `code` is the error's
    code, or its type if that says more; "" without either. `words` are the server's own, on one
    line, without keys and without what was sent to it; "" if it said nothing.
    """

    status: int
    code: str
    kind: str
    param: str
    words: str
    in_answer: bool = False  # the error came inside a 200

    @property
    def may_pass(self) -> bool:
        """Whether the same call may succeed later by itself."""
        fails = self.status in (408, 409, 429) or self.status >= 500
        return fails and not self.is_quota and not self.is_too_long

    @property
    def is_quota(self) -> bool:
        return self.status == 402 or bool(QUOTA_CODES & {self.code, self.kind})

    @property
    def is_too_long(self) -> bool:
        """Whether this request is too long for the model, whatever status the server uses."""
        if self.status == 429:  # a rate limit mentions tokens too
            return "request too large" in self.words.lower()
        if self.status in (401, 402, 403, 404):
            return False
        named = bool(_TOO_LONG_CODES & {self.code, self.kind}) or self.status == 413
        return named or _TOO_LONG.search(self.words) is not None

    def names(self, *parameters: str) -> bool:
        """Whether the refusal is about one of these parameters of the request."""
        said = f"{self.param} {self.words}".lower()
        return any(parameter in said for parameter in parameters)

    @property
    def quote(self) -> str:
        """The server's words as a sentence for a person, shortened; "" if there are none."""
        if not self.words:
            return ""
        short = self.words[:_MOST_QUOTED].rstrip(" .")
        return f' It says: "{short}{"…" if len(self.words) > _MOST_QUOTED else ""}".'


def refusal_of(error: BaseException, sent: Sequence[str] = ()) -> Refusal | None:
    """What the server said in `error`; None if the error did not come from a server.

    `sent` are texts to remove from the words, because some servers repeat the request.
    """
    if isinstance(error, APIStatusError):
        return read_refusal(error.status_code, error.body, sent)
    if isinstance(error, UnusableAnswer) and error.said:
        return read_refusal(200, error.said, sent)
    return None


def read_refusal(status: int, said: object, sent: Sequence[str] = ()) -> Refusal:
    """Like `refusal_of`, from a status and the error object, text or page that came with it."""
    error = as_object(said)
    number, kind = str(error.get("code") or ""), _code(error.get("type"))
    code = kind if number.isdigit() or not number else _code(number)
    param = _code(error.get("param"))
    words = _without_echo(_tidy(_words(said)[:_MOST_READ]), sent)
    if status != 200:
        return Refusal(status, code, kind, param, words)
    if re.fullmatch("[45][0-9][0-9]", number):
        return Refusal(int(number), number, kind, param, words, in_answer=True)
    stands_for = _STATUS_OF_CODE.get(code, 500)
    return Refusal(stands_for, code, kind, param, words, in_answer=True)


def error_in(answer: object, instead_of: str = "") -> object:
    """The error object in an answer of the API; None if there is none.

    The answer itself is the error if it has a message but lacks the key `instead_of` (FastChat,
    MiniMax, gateways in Chinese and in FastAPI).
    """
    body = as_object(answer)
    said = body.get("error")
    if instead_of and not body.get(instead_of) and not _words(said):
        return body if _words(body) else said or None
    is_empty = isinstance(said, dict) and not any(said.values())
    return None if is_empty else said or None


def as_object(value: object) -> dict[str, Any]:
    """`value` if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def is_transient(error: BaseException) -> bool:
    """Whether the same call may succeed later by itself."""
    if refusal := refusal_of(error):
        return refusal.may_pass
    return isinstance(error, (APIConnectionError, UnusableAnswer))


def explain(
    error: OpenAIError, *, client: OpenAI, model: str, sent: Sequence[str] = ()
) -> tuple[str, str]:
    """What happened and what to do next, for a person, with the server's own words.

    Never contains a key or a text that was `sent`.
    """
    server = server_name(client)
    if refusal := refusal_of(error, [client.api_key, *sent]):
        asked_s = retry_after_s(error.response.headers) if isinstance(error, APIStatusError) else 0
        happened, next_step = _explain_refusal(refusal, server, model, asked_s or 0.0)
        # Messages about a key often repeat half of it.
        return happened + ("" if refusal.status == 401 else refusal.quote), next_step
    match error:
        case APITimeoutError():
            return f"{server} did not answer in time.", "Proceed when it answers again."
        case APIConnectionError():
            return (
                f"{server} could not be reached.",
                "Check the network and OPENAI_BASE_URL, then proceed.",
            )
        case CallsStopped():
            return "The call was not made, because its run was stopped.", "Proceed to go on."
        case _:
            return (
                f"{server} answered in a form that is not the OpenAI API's.",
                "Check OPENAI_BASE_URL (it usually ends in /v1), then proceed.",
            )


def _explain_refusal(refusal: Refusal, server: str, model: str, asked_s: float) -> tuple[str, str]:
    if refusal.is_quota:
        return (
            f"The quota of this account at {server} is used up.",
            "Add credit or raise the limit of the account, then proceed.",
        )
    if refusal.status in _EXPLAINED:
        happened, next_step = _EXPLAINED[refusal.status]
        return happened.format(server=server, model=model), next_step
    if refusal.status == 429:
        return (
            f"{server} keeps refusing calls because of its rate limit{_until(asked_s)}.",
            "Wait a while, or lower GENERATION_CONCURRENCY, then proceed.",
        )
    if not refusal.may_pass:
        code = f", code {refusal.code}" if refusal.code else ""
        return (
            f"{server} refused the request (status {refusal.status}{code}).",
            "Check that the model can do what is asked of it, then proceed.",
        )
    happened = f"{server} fails at the moment (status {refusal.status})."
    if refusal.in_answer:
        named = f"code {refusal.code}" if refusal.code else "without a code"
        happened = f"{server} answered with an error ({named})."
    return happened, "Proceed when it works again."


def _until(asked_s: float) -> str:
    """When the wait of `asked_s` seconds ends, as words to append; "" for less than a minute."""
    if asked_s < 60:
        return ""
    end = datetime.now(UTC) + timedelta(seconds=asked_s)
    return f", until {end:%d %b, %H:%M} UTC (in {asked_s / 60:,.0f} minutes)"


def server_name(client: OpenAI) -> str:
    """ "OpenAI", or the host of the server used in its place."""
    host = urlsplit(str(client.base_url)).netloc
    return "OpenAI" if host == "api.openai.com" else host


def _code(said: object) -> str:
    return said if isinstance(said, str) and _CODE.fullmatch(said) else ""


def _words(said: object, depth: int = 4) -> str:
    """The text of an error in any of its many shapes: OpenAI's, FastAPI's list, a web page."""
    if isinstance(said, str):
        if _PAGE.match(said):
            return " ".join(_TITLE.findall(said))
        return said
    if not depth:
        return ""
    if isinstance(said, list):
        return "; ".join(filter(None, (_words(item, depth - 1) for item in said)))
    for key in ("message", "msg", "detail", "error", "errors", "base_resp", "status_msg"):
        if words := _words(as_object(said).get(key), depth - 1):
            where = as_object(said).get("loc")  # pydantic's name for the field
            return f"{'.'.join(map(str, where))}: {words}" if isinstance(where, list) else words
    return ""


def _tidy(words: str) -> str:
    plain = re.sub(r"\\[nrt]", " ", words)  # escapes left over from JSON within JSON
    printable = "".join(c if c.isprintable() else " " for c in plain)
    return " ".join(_SECRET.sub("…", printable).split())


def _without_echo(words: str, sent: Sequence[str]) -> str:
    """`words` without what it shares with `sent`, ignoring case, spacing and punctuation."""
    places = [place for place, c in enumerate(words) if c.isalnum()]
    heard, said = "\0".join(map(_letters, sent)), _letters(words)
    echoed: set[int] = set()
    for start in range(len(said) - _ECHO + 1):
        if said[start : start + _ECHO] in heard:
            echoed.update(range(places[start], places[start + _ECHO - 1] + 1))
    kept = "".join("\0" if place in echoed else c for place, c in enumerate(words))
    return re.sub("\0+", "…", kept)


def _letters(text: str) -> str:
    return "".join(c.lower()[0] for c in text if c.isalnum())
