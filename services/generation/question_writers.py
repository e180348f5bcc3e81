"""Which question writer the settings ask for."""

from __future__ import annotations

from services.config import Settings
from services.generation.written_questions import QuestionWriter


def make_question_writer(settings: Settings) -> QuestionWriter:
    """The writer that the settings choose: offline, or a model behind the OpenAI API.

    Raises:
        ConfigurationError: there is a cap on spending, and the model's price is not known.
    """
    if settings.uses_offline_writer:
        from services.generation.offline_writer import OfflineQuestionWriter

        return OfflineQuestionWriter()
    # Here, because importing openai takes a second that the offline default need not wait for.
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
