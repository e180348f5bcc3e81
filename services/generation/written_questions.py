"""The interface of question writers, and what they return for a chunk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from services.models import Chunk, TokenUsage, Waiting

NO_TOKENS = TokenUsage()


@dataclass(frozen=True, slots=True)
class WrittenQuestions:
    """What a writer returned for one chunk.

    `problem` is a short reason ("refused", "cut off") why the chunk yielded fewer questions than
    asked, or none; the run continues, and counts and reports it. `unmetered` counts the answers
    whose cost the server did not state; `usage` does not include them.
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
        """What its calls are waiting for; None while at least one of them makes progress."""
        ...

    def stop(self) -> None:
        """Make no further calls, and give up those waiting for a retry. Cannot be undone."""
        ...
