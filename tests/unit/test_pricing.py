"""Tokens and money of a run."""

from __future__ import annotations

import pytest

from services.generation.pricing import INSTRUCTION_TOKENS, cost_usd, estimate_generation
from services.models import Chunk, TokenUsage

MILLION = TokenUsage(1_000_000, 1_000_000)
CHUNKS = [Chunk(f"c{n}", "d", "Document", n, "x" * 792) for n in range(10)]


def test_the_offline_writer_takes_neither_tokens_nor_money():
    estimate = estimate_generation(CHUNKS, 3, "offline")
    assert (estimate.questions, estimate.input_tokens, estimate.cost_usd) == (30, 0, 0.0)


def test_an_estimate_counts_the_passages_the_instructions_and_the_questions():
    estimate = estimate_generation(CHUNKS, 3, "gpt-4o-mini")
    assert estimate.input_tokens == 10 * (200 + INSTRUCTION_TOKENS)
    usage = TokenUsage(estimate.input_tokens, estimate.output_tokens)
    assert estimate.cost_usd == cost_usd(usage, "gpt-4o-mini") > 0


def test_an_unknown_model_has_no_price_rather_than_a_wrong_one():
    assert cost_usd(MILLION, "llama3.1") is None
    assert estimate_generation(CHUNKS, 3, "llama3.1").cost_usd is None


def test_a_dated_model_costs_what_its_family_costs():
    assert cost_usd(MILLION, "gpt-4o-mini-2024-07-18") == pytest.approx(0.75)
    assert cost_usd(MILLION, "gpt-4o-2024-08-06") == pytest.approx(12.50)


def test_own_prices_add_to_the_table_and_win_over_it():
    own = {"llama3.1": (0.0, 0.0), "gpt-4o-mini": (1.0, 2.0)}
    assert cost_usd(MILLION, "llama3.1", own) == 0.0
    assert cost_usd(MILLION, "gpt-4o-mini", own) == 3.0


def test_nothing_to_ask_costs_nothing():
    assert estimate_generation([], 3, "gpt-4o-mini").cost_usd == 0.0


def test_a_model_that_thinks_first_is_estimated_higher_than_its_questions_alone():
    quick = estimate_generation(CHUNKS, 3, "gpt-4.1-mini").output_tokens
    assert estimate_generation(CHUNKS, 3, "gpt-5-mini").output_tokens > quick


def test_the_batch_mode_costs_half_of_the_table_and_of_own_prices():
    assert cost_usd(MILLION, "gpt-4o-mini", batch_mode=True) == pytest.approx(0.375)
    assert cost_usd(MILLION, "mine", {"mine": (1.0, 2.0)}, batch_mode=True) == pytest.approx(1.5)
    assert cost_usd(MILLION, "llama3.1", batch_mode=True) is None
    at_once = estimate_generation(CHUNKS, 3, "gpt-4o-mini")
    batch_mode = estimate_generation(CHUNKS, 3, "gpt-4o-mini", batch_mode=True)
    assert batch_mode.input_tokens == at_once.input_tokens
    assert batch_mode.cost_usd == pytest.approx(at_once.cost_usd / 2)
