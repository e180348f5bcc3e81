"""What is read of a chat completion, however loosely a server writes it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from services.models import TokenUsage
from services.openai_client import UnusableAnswer

_CODE = re.compile(r"[\w.-]{1,64}")  # anything else in its place may be text that was sent


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer. `problem` says in a word or two why its content is not to be read."""

    content: str
    problem: str | None
    usage: TokenUsage
    is_metered: bool  # whether the server said what it charged


def read_completion(body: object) -> Completion:
    """Read the JSON of an answer; what is odd in it or missing is that answer's problem.

    The library builds its own objects without checking, so that a proxy's sign-in page or half an
    answer would surface later as an AttributeError.

    Raises:
        UnusableAnswer: there is no list of choices, so it is no completion at all.
    """
    choices = as_object(body).get("choices")
    if not isinstance(choices, list):
        raise UnusableAnswer("no completion", error_code(body))
    choice = as_object(choices[0] if choices else None)
    message = as_object(choice.get("message"))
    said = as_object(as_object(body).get("usage"))
    read, written = _tokens(said.get("prompt_tokens")), _tokens(said.get("completion_tokens"))
    return Completion(
        _text(message.get("content")),
        _problem(choice.get("finish_reason"), message.get("refusal")),
        TokenUsage(read or 0, written or 0),
        is_metered=bool(read) and written is not None,  # no request is without a prompt
    )


def error_code(answer: object) -> str | None:
    """The code of the error that an answer holds: "" for one without, None without an error."""
    if not (error := as_object(answer).get("error")):
        return None
    code = str(as_object(error).get("code") or as_object(error).get("type") or "")
    return code if _CODE.fullmatch(code) else ""


def as_object(value: object) -> dict[str, Any]:
    """`value` when it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def _problem(finish_reason: object, refusal: object) -> str | None:
    if finish_reason == "length":
        return "cut off"
    return "refused" if finish_reason == "content_filter" or refusal else None


def _text(content: object) -> str:
    """The text of a message, which may come in parts; thoughts and pictures are other parts."""
    if isinstance(content, list):
        parts = (as_object(part) for part in content)
        return "".join(_text(part.get("text")) for part in parts if part.get("type") == "text")
    return content if isinstance(content, str) else ""


def _tokens(said: Any) -> int | None:
    try:
        return max(0, int(said))
    except (TypeError, ValueError, OverflowError):
        return None
