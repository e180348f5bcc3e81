"""A cap on what one attempt of a run may spend on questions, asked one by one or in batches."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

from services.errors import ConfigurationError, GenerationError
from services.generation.pricing import cost_usd, estimate_generation
from services.generation.written_questions import QuestionWriter, WrittenQuestions
from services.models import Chunk, TokenUsage, Waiting


class CappedWriter:
    """A writer that ends the run when `cap_usd` is spent; Proceed may spend as much again.

    Calls in flight at that moment may finish, so it can cost a little more. An answer that does
    not state its cost is counted by estimate.
    """

    def __init__(
        self,
        writer: QuestionWriter,
        *,
        cap_usd: float,
        model: str,
        own_prices: Mapping[str, tuple[float, float]],
    ) -> None:
        """Raises ConfigurationError if the model's price is unknown: the cap would not hold."""
        self.name = writer.name
        self._writer = writer
        self._cap_usd = cap_usd
        self._model = model
        self._own_prices = own_prices
        self._spent_usd = 0.0
        self._lock = threading.Lock()
        _require_price(model, own_prices)

    def write(self, chunk: Chunk, count: int) -> WrittenQuestions:
        with self._lock:
            if self._spent_usd >= self._cap_usd:
                raise _stopped_at(self._cap_usd)
        written = self._writer.write(chunk, count)
        cost = cost_usd(written.usage, self._model, self._own_prices) or 0.0
        if written.unmetered:
            estimate = estimate_generation([chunk], count, self._model, self._own_prices)
            cost += written.unmetered * (estimate.cost_usd or 0.0)
        with self._lock:
            self._spent_usd += cost
        return written

    def waiting(self) -> Waiting | None:
        return self._writer.waiting()

    def stop(self) -> None:
        self._writer.stop()


class BatchBudget:
    """What the batches of one attempt may cost: counted by estimate when they are submitted, and
    by actual cost when they have come back. Without a cap everything fits.
    """

    def __init__(
        self,
        *,
        cap_usd: float | None,
        model: str,
        own_prices: Mapping[str, tuple[float, float]],
    ) -> None:
        """Raises ConfigurationError if there is a cap and the model's price is unknown."""
        self._cap_usd = cap_usd
        self._model = model
        self._own_prices = own_prices
        self._committed: dict[str, float] = {}  # US dollars by batch
        if cap_usd is not None:
            _require_price(model, own_prices)

    def fitting(self, chunks: Sequence[Chunk], count: int) -> list[Chunk]:
        """The first of `chunks` that may still be submitted."""
        if self._cap_usd is None:
            return list(chunks)
        left = self._cap_usd - sum(self._committed.values())
        fitting = []
        for chunk in chunks:
            left -= self._estimate([chunk], count)
            if left < 0:
                break
            fitting.append(chunk)
        return fitting

    def commit(self, batch_id: str, chunks: Sequence[Chunk], count: int) -> None:
        if self._cap_usd is not None:
            self._committed[batch_id] = self._estimate(chunks, count)

    def settle(
        self, batch_id: str, usage: TokenUsage, unmetered: Sequence[Chunk], count: int
    ) -> None:
        """Replace a finished batch's estimate by its actual cost, if this attempt submitted it.

        `unmetered` are the chunks whose answers do not state their cost; they stay estimated.
        """
        if batch_id in self._committed:
            cost = cost_usd(usage, self._model, self._own_prices, batch_mode=True) or 0.0
            self._committed[batch_id] = cost + self._estimate(unmetered, count)

    def exhausted(self) -> GenerationError:
        assert self._cap_usd is not None
        return _stopped_at(self._cap_usd)

    def _estimate(self, chunks: Sequence[Chunk], count: int) -> float:
        estimate = estimate_generation(
            chunks, count, self._model, self._own_prices, batch_mode=True
        )
        return estimate.cost_usd or 0.0


def _require_price(model: str, own_prices: Mapping[str, tuple[float, float]]) -> None:
    if cost_usd(TokenUsage(), model, own_prices) is None:
        raise ConfigurationError(
            f"RUN_COST_CAP_USD is set, and the price of {model} is not known.",
            next_step="Name its price in MODEL_PRICES, or remove the cap.",
        )


def _stopped_at(cap_usd: float) -> GenerationError:
    return GenerationError(
        f"Stopped at the cap of ${cap_usd:,.2f} (RUN_COST_CAP_USD).",
        next_step="The questions written so far are kept. "
        "Proceed goes on, and may spend as much again.",
    )
