"""Tokens and money of a run."""

from __future__ import annotations

import pytest

from services.generation.pricing import (
    INSTRUCTION_TOKENS,
    THINKING_TOKENS,
    TOKENS_PER_QUESTION,
    cost_usd,
    estimate_generation,
)
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


def test_the_answer_is_estimated_by_question_and_thinking_by_passage():
    quick = estimate_generation(CHUNKS, 3, "gpt-4.1-mini")
    assert (quick.questions, quick.output_tokens) == (30, 30 * TOKENS_PER_QUESTION)
    for model in ("gpt-5-mini", "o3"):
        thinking = estimate_generation(CHUNKS, 3, model)
        assert thinking.output_tokens == quick.output_tokens + 10 * THINKING_TOKENS
        assert thinking.input_tokens == quick.input_tokens


def test_the_offline_writer_is_free_whatever_price_is_set():
    own = {"offline": (1.0, 1.0)}
    estimate = estimate_generation(CHUNKS, 3, "offline", own)
    assert (estimate.input_tokens, estimate.output_tokens, estimate.cost_usd) == (0, 0, 0.0)
    assert cost_usd(MILLION, "offline", own) == 0.0


def test_a_longer_name_is_another_model_and_the_longest_known_one_is_taken():
    own = {"gpt-4o-2024": (7.0, 7.0)}
    assert cost_usd(MILLION, "gpt-4o-2024-08-06", own) == pytest.approx(12.50)  # no "-20" follows
    assert cost_usd(MILLION, "gpt-4o-audio") is None
    assert cost_usd(MILLION, "gpt-4o-mini-2024-07-18", {"gpt-4o": (9.0, 9.0)}) == pytest.approx(
        0.75
    )


def test_the_price_is_by_a_million_tokens_of_each_side():
    assert cost_usd(TokenUsage(500_000, 0), "gpt-4o") == pytest.approx(1.25)
    assert cost_usd(TokenUsage(0, 500_000), "gpt-4o") == pytest.approx(5.0)
