"""Who writes the questions: the protocol, and the choice between the writers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from services.config import Settings
from services.models import Chunk, TokenUsage

NO_TOKENS = TokenUsage()


@dataclass(frozen=True, slots=True)
class WrittenQuestions:
    """What a writer made of one chunk.

    `problem` is a short reason ("refused", "cut off") when the chunk yielded nothing, or less
    than was asked for; the run goes on, counts it and names it.
    """

    questions: tuple[str, ...]
    usage: TokenUsage = NO_TOKENS
    problem: str | None = None


class QuestionWriter(Protocol):
    """Writes questions that a chunk answers. Safe to call from many threads at once."""

    name: str  # for the page: "Offline writer", "OpenAI gpt-4o-mini"

    def write(self, chunk: Chunk, count: int) -> WrittenQuestions:
        """Write up to `count` different questions that `chunk` answers.

        Raises:
            GenerationError: only for what must end the run.
        """
        ...

    def stop(self) -> None:
        """Make no new attempt: calls that wait to be repeated are given up. For good."""
        ...


def make_question_writer(settings: Settings) -> QuestionWriter:
    """The writer that the settings choose: offline, or a model behind the OpenAI API.

    Raises:
        ConfigurationError: there is a cap on spending, and the model's price is not known.
    """
    if settings.uses_offline_writer:
        from services.pairs.offline_writer import OfflineQuestionWriter

        return OfflineQuestionWriter()
    # Here, because importing openai takes a second that the offline default need not wait for.
    from services.openai_client import make_openai_client
    from services.pairs.openai_writer import OpenAIQuestionWriter
    from services.pairs.spending import CappedWriter

    writer = OpenAIQuestionWriter(make_openai_client(settings), settings.question_model)
    if settings.run_cost_cap_usd is None:
        return writer
    return CappedWriter(
        writer,
        cap_usd=settings.run_cost_cap_usd,
        model=settings.question_model,
        own_prices=settings.model_prices,
    )
