"""Reading a chat completion, however loosely a server follows the format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from services.models import TokenUsage
from services.openai_api.errors import UnusableAnswer, as_object, error_in

# Why an answer ended, in the words of OpenAI, z.AI, DeepSeek and OpenRouter.
_PROBLEMS = {
    "length": "cut off",
    "model_context_window_exceeded": "cut off",
    "content_filter": "refused",
    "sensitive": "refused",
}
_FAILURES = ("error", "network_error", "insufficient_system_resource")


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer. `problem` says in a word or two why its content must not be used."""

    content: str
    problem: str | None
    usage: TokenUsage
    is_metered: bool  # whether the server said what it charged


def read_completion(body: object) -> Completion:
    """Read the JSON of an answer; odd or missing parts of it raise no error.

    The library builds its objects without validation, so a proxy's sign-in page or half an answer
    would otherwise surface later as an AttributeError.

    Raises:
        UnusableAnswer: there is no list of choices, so it is no completion at all; or it holds an
            error. A gateway may have answered 200 before the server behind it fails; the error is
            then beside empty choices (LM Studio), or in a choice with what was written so far
            (OpenRouter).
    """
    choices = as_object(body).get("choices")
    choice = as_object(choices[0] if isinstance(choices, list) and choices else None)
    message = as_object(choice.get("message"))
    reason = choice.get("finish_reason")
    said = error_in(body, instead_of="choices") or error_in(choice) or error_in(message)
    if said is None and reason in _FAILURES:
        said = {"code": reason}
    if said is not None or not isinstance(choices, list):
        raise UnusableAnswer("no completion", said)
    spent = as_object(as_object(body).get("usage"))
    read, written = _tokens(spent.get("prompt_tokens")), _tokens(spent.get("completion_tokens"))
    return Completion(
        _text(message.get("content")),
        _problem(reason, message.get("refusal")),
        TokenUsage(read or 0, written or 0),
        is_metered=bool(read) and written is not None,  # every request has a prompt
    )


def _problem(finish_reason: object, refusal: object) -> str | None:
    named = _PROBLEMS.get(finish_reason) if isinstance(finish_reason, str) else None
    return named or ("refused" if refusal else None)


def _text(content: object) -> str:
    """The text of a message, which may come in parts; thoughts and images are left out."""
    if isinstance(content, list):
        parts = (as_object(part) for part in content)
        return "".join(_text(part.get("text")) for part in parts if part.get("type") == "text")
    return content if isinstance(content, str) else ""


def _tokens(said: Any) -> int | None:
    try:
        return max(0, int(said))
    except (TypeError, ValueError, OverflowError):
        return None
