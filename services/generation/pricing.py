"""What writing the questions costs: prices, an estimate before, the actual cost after."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from services.config import OFFLINE_WRITER
from services.models import Chunk, TokenUsage


class Price(NamedTuple):
    """US dollars per million tokens."""

    input: float
    output: float


# The share of the list price that OpenAI's Batch API charges (guide "Batch": 50% lower).
BATCH_PRICE_SHARE = 0.5

# OpenAI's list prices as of November 2025, without discounts. `MODEL_PRICES` overrides and adds.
PRICES: dict[str, Price] = {
    "gpt-4o": Price(2.50, 10.00),
    "gpt-4o-mini": Price(0.15, 0.60),
    "gpt-4.1": Price(2.00, 8.00),
    "gpt-4.1-mini": Price(0.40, 1.60),
    "gpt-4.1-nano": Price(0.10, 0.40),
    "gpt-5": Price(1.25, 10.00),
    "gpt-5-mini": Price(0.25, 2.00),
    "gpt-5-nano": Price(0.05, 0.40),
    "text-embedding-3-small": Price(0.02, 0.0),
    "text-embedding-3-large": Price(0.13, 0.0),
    "text-embedding-ada-002": Price(0.10, 0.0),
}

# English prose in OpenAI's encodings: about four characters per token.
CHARACTERS_PER_TOKEN = 4
INSTRUCTION_TOKENS = 420  # the instructions, the form of the answer and the frame of the passage
TOKENS_PER_QUESTION = 22  # a question with its quotes and comma
# A guess, on the safe side: what a reasoning model spends on one passage at low effort.
THINKING_TOKENS = 300


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run will take. `cost_usd` is None if the question model's price is not known."""

    questions: int  # at most
    input_tokens: int
    output_tokens: int
    cost_usd: float | None


def estimate_generation(
    chunks: Sequence[Chunk],
    questions_per_chunk: int,
    model: str,
    own_prices: Mapping[str, tuple[float, float]] | None = None,
    *,
    batch_mode: bool = False,
) -> Estimate:
    """Estimate a run over `chunks`; the offline writer takes no tokens and no money.

    With `batch_mode`, at the prices of the Batch API.
    """
    questions = len(chunks) * questions_per_chunk
    if model == OFFLINE_WRITER:
        return Estimate(questions, 0, 0, 0.0)
    characters = sum(len(chunk.in_context) + len(chunk.document) for chunk in chunks)
    usage = TokenUsage(
        characters // CHARACTERS_PER_TOKEN + len(chunks) * INSTRUCTION_TOKENS,
        questions * TOKENS_PER_QUESTION + (len(chunks) * THINKING_TOKENS if thinks(model) else 0),
    )
    cost = cost_usd(usage, model, own_prices, batch_mode=batch_mode)
    return Estimate(questions, usage.input_tokens, usage.output_tokens, cost)


def thinks(model: str) -> bool:
    """Whether the model reasons before it answers, which is charged as output."""
    return re.match(r"gpt-5|o\d", model) is not None


def cost_usd(
    usage: TokenUsage,
    model: str,
    own_prices: Mapping[str, tuple[float, float]] | None = None,
    *,
    batch_mode: bool = False,
) -> float | None:
    """The cost of `usage`, or None if the model's price is not known.

    `own_prices` (the setting MODEL_PRICES) maps a model to its prices per million input and output
    tokens, and overrides the table. A dated model ("gpt-4o-mini-2024-07-18") has the price of the
    name it begins with. `batch_mode` applies the Batch API's discount, also to `own_prices`.
    """
    if model == OFFLINE_WRITER:
        return 0.0
    price = _price_of(model, {**PRICES, **(own_prices or {})})
    if price is None:
        return None
    dollars = (usage.input_tokens * price.input + usage.output_tokens * price.output) / 1_000_000
    return dollars * BATCH_PRICE_SHARE if batch_mode else dollars


def _price_of(model: str, prices: Mapping[str, tuple[float, float]]) -> Price | None:
    names = [name for name in prices if model == name or model.startswith(f"{name}-20")]
    return Price(*prices[max(names, key=len)]) if names else None
