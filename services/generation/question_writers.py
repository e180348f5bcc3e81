"""The question writer that the settings choose."""

from __future__ import annotations

from services.config import Settings
from services.generation.written_questions import QuestionWriter


def make_question_writer(settings: Settings) -> QuestionWriter:
    """The writer that the settings choose: offline, or a model behind the OpenAI API.

    Raises:
        ConfigurationError: there is a cap on spending, and the question model's price is unknown.
    """
    if settings.uses_offline_writer:
        from services.generation.offline_writer import OfflineQuestionWriter

        return OfflineQuestionWriter()
    # Here, because importing openai takes a second, which the offline default is spared.
    from services.generation.openai_writer import OpenAIQuestionWriter
    from services.generation.spending import CappedWriter
    from services.openai_api.client import make_openai_client

    writer = OpenAIQuestionWriter(make_openai_client(settings), settings.question_model)
    if settings.run_cost_cap_usd is None:
        return writer
    return CappedWriter(
        writer,
        cap_usd=settings.run_cost_cap_usd,
        model=settings.question_model,
        own_prices=settings.model_prices,
    )
