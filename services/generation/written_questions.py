"""What a question writer does, and what it makes of a chunk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from services.models import Chunk, TokenUsage, Waiting

NO_TOKENS = TokenUsage()


@dataclass(frozen=True, slots=True)
class WrittenQuestions:
    """What a writer made of one chunk.

    `problem` is a short reason ("refused", "cut off") when the chunk yielded nothing, or less
    than was asked for; the run goes on, counts it and names it. `unmetered` counts the answers of
    which the server did not say what they cost: `usage` is without them.
    """

    questions: tuple[str, ...]
    usage: TokenUsage = NO_TOKENS
    problem: str | None = None
    unmetered: int = 0


class QuestionWriter(Protocol):
    """Writes questions that a chunk answers. Safe to call from many threads at once."""

    name: str  # for the page: "Offline writer", "OpenAI gpt-4o-mini"

    def write(self, chunk: Chunk, count: int) -> WrittenQuestions:
        """Write up to `count` different questions that `chunk` answers.

        Raises:
            GenerationError: only for what must end the run.
        """
        ...

    def waiting(self) -> Waiting | None:
        """What all its calls wait for now; None while one of them gets on."""
        ...

    def stop(self) -> None:
        """Make no new attempt: calls that wait to be repeated are given up. For good."""
        ...
