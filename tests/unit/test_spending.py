"""A cap on spending holds: one by one or in batches, and where an answer hides its cost."""

from __future__ import annotations

import pytest

from services.errors import ConfigurationError, GenerationError
from services.generation.pricing import cost_usd, estimate_generation
from services.generation.spending import BatchBudget, CappedWriter
from services.generation.written_questions import WrittenQuestions
from services.models import Chunk, TokenUsage, Waiting

MODEL = "mine"
PRICES = {MODEL: (1.0, 2.0)}  # US dollars per million tokens
CHUNKS = [Chunk(f"c{n}", "d", "Document", n, "x" * 792) for n in range(10)]
QUESTIONS = 3
ONE_BATCHED = estimate_generation(CHUNKS[:1], QUESTIONS, MODEL, PRICES, batch_mode=True).cost_usd


class Writer:
    """Answers each call with the next of `answers`."""

    name = "Test writer"

    def __init__(self, *answers: WrittenQuestions) -> None:
        self.answers = list(answers)
        self.stopped = False

    def waiting(self) -> Waiting:
        return Waiting("a rate limit")

    def write(self, chunk: Chunk, count: int) -> WrittenQuestions:
        return self.answers.pop(0)

    def stop(self) -> None:
        self.stopped = True


def costing(usd: float, unmetered: int = 0) -> WrittenQuestions:
    return WrittenQuestions(("Why?",), TokenUsage(round(usd * 1e6), 0), None, unmetered)


def capped(writer: Writer, cap_usd: float, model: str = MODEL) -> CappedWriter:
    return CappedWriter(writer, cap_usd=cap_usd, model=model, own_prices=PRICES)


def budget(cap_usd: float | None, model: str = MODEL) -> BatchBudget:
    return BatchBudget(cap_usd=cap_usd, model=model, own_prices=PRICES)


def written(writer: CappedWriter) -> int:
    """How many chunks are written before the cap ends it."""
    for done, chunk in enumerate(CHUNKS):
        try:
            writer.write(chunk, QUESTIONS)
        except GenerationError:
            return done
    return len(CHUNKS)


# One by one -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("cap_usd", "chunks"), [(0.29, 3), (0.30, 3), (0.31, 4), (0.01, 1)])
def test_nothing_more_is_asked_once_the_cap_is_reached(cap_usd: float, chunks: int) -> None:
    writer = Writer(*[costing(0.1)] * 10)
    assert written(capped(writer, cap_usd)) == chunks
    assert len(writer.answers) == 10 - chunks


def test_output_tokens_count_at_their_own_price() -> None:
    answer = WrittenQuestions((), TokenUsage(0, 100_000))  # $0.20
    assert written(capped(Writer(*[answer] * 10), 0.4)) == 2


def test_an_answer_that_does_not_say_its_cost_counts_as_estimated() -> None:
    estimate = estimate_generation(CHUNKS[:1], QUESTIONS, MODEL, PRICES).cost_usd
    writer = Writer(*[costing(0, unmetered=1)] * 10)
    assert written(capped(writer, 2.5 * estimate)) == 3


def test_every_hidden_answer_of_a_chunk_counts_beside_what_was_metered() -> None:
    estimate = estimate_generation(CHUNKS[:1], QUESTIONS, MODEL, PRICES).cost_usd
    each = estimate * 2 + 0.1  # two answers of a chunk hid their cost, a third said it
    writer = Writer(*[costing(0.1, unmetered=2)] * 10)
    assert written(capped(writer, 2.5 * each)) == 3


def test_the_end_says_the_cap_and_that_nothing_is_lost() -> None:
    writer = capped(Writer(costing(1234.5)), 1234.5)
    writer.write(CHUNKS[0], QUESTIONS)
    with pytest.raises(GenerationError, match=r"\$1,234\.50") as stopped:
        writer.write(CHUNKS[1], QUESTIONS)
    assert "kept" in stopped.value.next_step
    assert "Proceed" in stopped.value.next_step


def test_what_was_written_comes_back_as_it_was() -> None:
    answer = costing(0.1, unmetered=1)
    writer = capped(Writer(answer), 1.0)
    assert writer.write(CHUNKS[0], QUESTIONS) is answer
    assert writer.name == "Test writer"


def test_a_stop_and_what_it_waits_for_are_passed_on() -> None:
    writer = Writer()
    limited = capped(writer, 1.0)
    assert limited.waiting() == Waiting("a rate limit")
    limited.stop()
    assert writer.stopped


def test_a_cap_without_a_price_is_refused_before_anything_is_asked() -> None:
    for make in (lambda: capped(Writer(), 1.0, "unheard-of"), lambda: budget(1.0, "unheard-of")):
        with pytest.raises(ConfigurationError, match="unheard-of") as refused:
            make()
        assert "MODEL_PRICES" in refused.value.next_step
    assert budget(None, "unheard-of").fitting(CHUNKS, QUESTIONS) == CHUNKS


# In batches -----------------------------------------------------------------------------------


def test_without_a_cap_everything_fits_whatever_was_submitted() -> None:
    unlimited = budget(None)
    unlimited.commit("b1", CHUNKS, QUESTIONS)
    unlimited.settle("b1", TokenUsage(10**12, 10**12), CHUNKS, QUESTIONS)
    assert unlimited.fitting(CHUNKS, QUESTIONS) == CHUNKS


@pytest.mark.parametrize(("share", "fitting"), [(0.9, 0), (1, 1), (3.5, 3), (100, 10)])
def test_the_first_chunks_fit_as_far_as_their_estimate_does(share: float, fitting: int) -> None:
    assert budget(share * ONE_BATCHED).fitting(CHUNKS, QUESTIONS) == CHUNKS[:fitting]


def test_what_is_submitted_counts_until_it_comes_back_and_then_as_it_cost() -> None:
    spending = budget(5.5 * ONE_BATCHED)
    spending.commit("b1", CHUNKS[:2], QUESTIONS)
    spending.commit("b2", CHUNKS[:1], QUESTIONS)
    assert len(spending.fitting(CHUNKS, QUESTIONS)) == 2
    spending.settle("b1", TokenUsage(), [], QUESTIONS)  # it failed, and cost nothing
    assert len(spending.fitting(CHUNKS, QUESTIONS)) == 4


def test_an_answer_of_a_batch_costs_half_of_the_list_price() -> None:
    spending = budget(10 * ONE_BATCHED)
    spending.commit("b1", CHUNKS[:1], QUESTIONS)
    took = TokenUsage(round(8.5 * ONE_BATCHED * 1e6 * 2), 0)
    assert cost_usd(took, MODEL, PRICES) == pytest.approx(17 * ONE_BATCHED, rel=1e-3)
    spending.settle("b1", took, [], QUESTIONS)
    assert len(spending.fitting(CHUNKS, QUESTIONS)) == 1


def test_answers_of_a_batch_that_hide_their_cost_count_as_estimated() -> None:
    spending = budget(5.5 * ONE_BATCHED)
    spending.commit("b1", CHUNKS[:5], QUESTIONS)
    spending.settle("b1", TokenUsage(round(ONE_BATCHED * 1e6 * 2), 0), CHUNKS[:2], QUESTIONS)
    assert len(spending.fitting(CHUNKS, QUESTIONS)) == 2  # 1 was metered, 2 are estimated


def test_a_batch_of_an_earlier_attempt_was_counted_there() -> None:
    spending = budget(3.5 * ONE_BATCHED)
    spending.settle("of-another", TokenUsage(10**9, 10**9), CHUNKS, QUESTIONS)
    assert len(spending.fitting(CHUNKS, QUESTIONS)) == 3


def test_the_end_of_a_budget_says_the_cap() -> None:
    error = budget(0.5).exhausted()
    assert isinstance(error, GenerationError)
    assert "$0.50" in str(error)
