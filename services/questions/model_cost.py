"""What it takes to have a model judge chunks, said before it is asked."""

from __future__ import annotations

from collections.abc import Sequence

from services.generation.pricing import CHARACTERS_PER_TOKEN, THINKING_TOKENS, thinks
from services.models import Chunk, TokenUsage

_INSTRUCTION_TOKENS, _ANSWER_TOKENS = 220, 60

Asked = tuple[str, Chunk]  # a question, and a chunk that may answer it


def estimated_usage(asked: Sequence[Asked], model: str) -> TokenUsage:
    """About what judging all of them will take."""
    characters = sum(len(question) + len(chunk.in_context) for question, chunk in asked)
    answer = _ANSWER_TOKENS + (THINKING_TOKENS if thinks(model) else 0)
    return TokenUsage(
        characters // CHARACTERS_PER_TOKEN + len(asked) * _INSTRUCTION_TOKENS, len(asked) * answer
    )
