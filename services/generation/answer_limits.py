"""How many tokens an answer may have, expressed in the way that its server accepts."""

from __future__ import annotations

from dataclasses import dataclass, replace

from services.openai_api.errors import Refusal

# Far more than a question needs in any script: a guard against an answer that never ends.
_TOKENS_PER_QUESTION = 100
_TOKENS_AROUND = 100
# Reasoning models spend their thoughts from the same allowance, and the name does not tell which
# models those are. With three questions and a passage this fits into a context of 4,096 tokens.
_TOKENS_TO_THINK = 2_500


@dataclass(frozen=True, slots=True)
class AnswerLimit:
    """The limit of one request. OpenAI's reasoning models refuse the old name `max_tokens`,
    which is the only one that Mistral, older vLLM and others support.
    """

    name: str = "max_completion_tokens"
    has_room_to_think: bool = True

    def tokens(self, count: int) -> int:
        """The tokens that an answer with `count` questions may have."""
        thoughts = _TOKENS_TO_THINK if self.has_room_to_think else 0
        return _TOKENS_AROUND + count * _TOKENS_PER_QUESTION + thoughts

    def instead(self, refusal: Refusal) -> AnswerLimit | None:
        """The limit to try after `refusal`; None if another limit would not help.

        Servers with a short context (vLLM) refuse a request that would not fit with its answer.
        """
        if refusal.is_too_long:
            return replace(self, has_room_to_think=False) if self.has_room_to_think else None
        if refusal.status not in (400, 422) or not refusal.names("max_tokens", self.name):
            return None
        if self.name != "max_tokens":
            return replace(self, name="max_tokens")
        return replace(self, has_room_to_think=False) if self.has_room_to_think else None
