"""The connection test: one question and one embedding, requested as a run would."""

from __future__ import annotations

from dataclasses import dataclass

from services.config import Settings
from services.errors import AppError
from services.generation.answer_forms import AnswerForm
from services.generation.openai_writer import OpenAIQuestionWriter
from services.models import Chunk
from services.openai_api.client import RetryPolicy, make_openai_client
from services.retrieval.openai_embedder import OpenAIEmbedder

# Short, because a person waits for the answer.
_RETRY_POLICY = RetryPolicy(longest_s=20.0, attempts=2)
_PASSAGE = Chunk(
    "connection-test",
    "connection-test",
    "Harbour rules",
    0,
    "Vessels longer than 40 metres book a berth at least two days before they arrive.",
)


@dataclass(frozen=True, slots=True)
class ConnectionReport:
    """What the test found. A model that runs offline is None, and was not tried.

    `problems` are sentences for the person; without any, a run can start.
    """

    question_model: str | None
    answer_form: AnswerForm | None  # how the question model answers; None if it did not
    embedding_model: str | None
    embedding_width: int | None  # dimensions of a vector; None if there was none
    problems: tuple[str, ...]


def check_connection(settings: Settings) -> ConnectionReport:
    """Try the question model and the embedding model; costs a few hundred tokens."""
    problems: list[str] = []
    question_model = None if settings.uses_offline_writer else settings.question_model
    embedding_model = None if settings.embeds_offline else settings.embedding_model
    return ConnectionReport(
        question_model,
        _answer_form(settings, problems) if question_model else None,
        embedding_model,
        _embedding_width(settings, problems) if embedding_model else None,
        tuple(problems),
    )


def _answer_form(settings: Settings, problems: list[str]) -> AnswerForm | None:
    writer = OpenAIQuestionWriter(
        make_openai_client(settings), settings.question_model, _RETRY_POLICY
    )
    try:
        written = writer.write(_PASSAGE, 1)
    except AppError as error:
        problems.append(str(error))
        return None
    if written.problem:
        problems.append(f"{writer.name} wrote no question: {written.problem}.")
    return writer.form


def _embedding_width(settings: Settings, problems: list[str]) -> int | None:
    embedder = OpenAIEmbedder(make_openai_client(settings), settings.embedding_model)
    try:
        return embedder.embed([_PASSAGE.text]).shape[1]
    except AppError as error:
        problems.append(str(error))
        return None
