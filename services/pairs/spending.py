"""A cap on what one attempt of a run may spend on questions."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from services.errors import ConfigurationError, GenerationError
from services.models import Chunk, TokenUsage
from services.pairs.pricing import cost_usd
from services.pairs.question_writers import QuestionWriter, WrittenQuestions


class CappedWriter:
    """A writer that ends the run when `cap_usd` is spent; Proceed may spend as much again.

    Calls that are under way at that moment are let finish, so it may cost a little more.
    """

    def __init__(
        self,
        writer: QuestionWriter,
        *,
        cap_usd: float,
        model: str,
        own_prices: Mapping[str, tuple[float, float]],
    ) -> None:
        """Raises ConfigurationError when the model's price is not known: a cap would not hold."""
        self.name = writer.name
        self._writer = writer
        self._cap_usd = cap_usd
        self._model = model
        self._own_prices = own_prices
        self._spent = TokenUsage()
        self._lock = threading.Lock()
        if self._spent_usd() is None:
            raise ConfigurationError(
                f"RUN_COST_CAP_USD is set, and the price of {model} is not known.",
                next_step="Name its price in MODEL_PRICES, or remove the cap.",
            )

    def write(self, chunk: Chunk, count: int) -> WrittenQuestions:
        with self._lock:
            if (self._spent_usd() or 0.0) >= self._cap_usd:
                raise GenerationError(
                    f"Stopped at the cap of ${self._cap_usd:,.2f} (RUN_COST_CAP_USD).",
                    next_step="The questions written so far are kept. "
                    "Proceed goes on, and may spend as much again.",
                )
        written = self._writer.write(chunk, count)
        with self._lock:
            self._spent += written.usage
        return written

    def stop(self) -> None:
        self._writer.stop()

    def _spent_usd(self) -> float | None:
        return cost_usd(self._spent, self._model, self._own_prices)
