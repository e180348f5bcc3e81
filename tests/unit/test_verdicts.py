"""Better and worse are said with proof, and by chance in one set of forty at most."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from services.deep_memory import verdicts
from services.deep_memory.evaluation import Evaluation, evaluate_ids
from services.deep_memory.verdicts import (
    FEWEST_TO_PROVE,
    Verdict,
    chance_of_sum,
    compare,
    mean_intervals,
    verdict_on,
)


def of_recall(values: list[float]) -> Evaluation:
    figures = np.array(values)
    return Evaluation(dict.fromkeys((1, 3, 5, 10), figures), figures, figures)


def on_recall(before: Evaluation, after: Evaluation, groups: np.ndarray | None = None) -> Verdict:
    return compare(before, after, groups).verdicts["recall@10"]


def test_a_gain_on_every_question_is_better_and_a_loss_is_worse() -> None:
    low, high = of_recall([0.0] * 20), of_recall([1.0] * 20)
    assert on_recall(low, high) is Verdict.BETTER
    assert on_recall(high, low) is Verdict.WORSE


@pytest.mark.parametrize("questions", [8, 40])
def test_equal_recall_is_no_change_though_every_rank_fell(questions: int) -> None:
    before, after = of_recall([1.0] * questions), of_recall([1.0] * questions)
    after = replace(after, mrr=after.mrr / 5, ndcg=after.ndcg / 2)
    found = compare(before, after)
    assert found.intervals["recall@10"] == (0.0, 0.0)
    assert found.verdicts["recall@10"] is on_recall(after, before) is Verdict.NO_CHANGE


@pytest.mark.parametrize("questions", [8, 40])
def test_gains_and_losses_that_cancel_are_no_change(questions: int) -> None:
    values = [0.1, 0.2, 0.7, 0.3] * (questions // 4)  # whose mean hangs on the order of adding
    found = compare(of_recall(values), of_recall(values[1:] + values[:1]))
    low, high = found.intervals["recall@10"]
    assert low < 0 < high
    assert found.verdicts["recall@10"] is Verdict.NO_CHANGE


@pytest.mark.parametrize(
    ("interval", "verdict"),
    [
        ((0.0, 0.2), Verdict.NOT_PROVEN),
        ((1e-17, 0.2), Verdict.NOT_PROVEN),  # 0, but for the last bit
        ((-0.01, 0.21), Verdict.NOT_PROVEN),
        ((0.01, 0.19), Verdict.BETTER),
        ((-0.2, 0.0), Verdict.NOT_PROVEN),
        ((-0.2, -1e-17), Verdict.NOT_PROVEN),
        ((-0.21, 0.01), Verdict.NOT_PROVEN),
        ((-0.19, -0.01), Verdict.WORSE),
    ],
)
def test_better_and_worse_want_an_interval_that_does_not_touch_zero(
    interval: tuple[float, float], verdict: Verdict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verdicts, "mean_intervals", lambda *_, **__: np.array([interval] * 6))
    lower, higher = of_recall([0.5] * 40), of_recall([0.6] * 40)
    was, became = (lower, higher) if sum(interval) > 0 else (higher, lower)
    assert on_recall(was, became) is verdict


def test_a_gain_that_hangs_on_one_question_is_not_proven() -> None:
    assert on_recall(of_recall([0.0] * 20), of_recall([1.0] + [0.0] * 19)) is (Verdict.NOT_PROVEN)


def test_wins_and_losses_name_the_questions_worst_loss_first() -> None:
    before, after = of_recall([0.5, 0.5, 0.5, 0.9, 0.2]), of_recall([1.0, 0.5, 0.2, 0.1, 0.3])
    comparison = compare(before, after)
    assert comparison.wins == (0, 4)
    assert comparison.losses == (3, 2)


def test_the_interval_holds_the_mean_and_repeats_exactly() -> None:
    differences = np.random.default_rng(0).normal(0.1, 0.3, (200, 1))
    [(low, high)] = mean_intervals(differences, seed=3)
    assert low < differences.mean() < high
    assert [[low, high]] == mean_intervals(differences, seed=3).tolist()


@pytest.mark.parametrize(("groups", "size"), [(34, 3), (4, 15)])
def test_chance_that_the_questions_of_a_group_share_is_seldom_called_a_gain(
    groups: int, size: int
) -> None:
    rng = np.random.default_rng(0)
    of = np.repeat(np.arange(groups), size)
    called_better = 0
    for _ in range(200):
        shared, own = rng.normal(0, 0.1, (groups, 1)), rng.normal(0, 0.1, (groups * size, 1))
        [(low, _high)] = mean_intervals(shared[of] + own, of, resamples=100)
        called_better += low > 0
    assert called_better / 200 < 0.05  # 2.5% are meant; by single questions it is 8% and more


@pytest.mark.parametrize("questions", [1, 4, FEWEST_TO_PROVE - 1])
def test_fewer_than_twenty_questions_prove_nothing_even_when_all_rise(questions: int) -> None:
    low, high = of_recall([0.0] * questions), of_recall([1.0] * questions)
    assert on_recall(low, high) is on_recall(high, low) is Verdict.NOT_PROVEN


def test_one_document_proves_nothing_however_many_questions_it_has() -> None:
    low, high = of_recall([0.0] * 60), of_recall([1.0] * 60)
    assert on_recall(low, high, np.zeros(60)) is Verdict.NOT_PROVEN


# The intervals --------------------------------------------------------------------------------


def by_document(*means: float, size: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Differences of one figure, alike within each document, and the document of each."""
    return np.repeat(np.array(means), size)[:, None], np.repeat(np.arange(len(means)), size)


@pytest.mark.parametrize(("documents", "t"), [(4, 3.182), (5, 2.776), (10, 2.262), (20, 2.093)])
def test_few_documents_get_the_wider_interval_of_students_t(documents: int, t: float) -> None:
    """For documents of one size it is the textbook's: mean ± t · s / √n over their means."""
    means = np.random.default_rng(5).normal(0.05, 0.1, documents)
    [(low, high)] = mean_intervals(*by_document(*means), resamples=20_000)
    reach = t * means.std(ddof=1) / math.sqrt(documents)
    assert (low, high) == pytest.approx(
        (means.mean() - reach, means.mean() + reach), abs=reach / 40
    )


def test_more_questions_of_the_same_documents_make_no_interval_narrower() -> None:
    means = (0.0, 0.1, 0.2, 0.1)
    few, many = (mean_intervals(*by_document(*means, size=size)) for size in (2, 50))
    assert few == pytest.approx(many)


@pytest.mark.parametrize("gain", [0.1, -0.1])
def test_what_every_question_gains_is_certain_however_unequal_the_documents(gain: float) -> None:
    documents = np.repeat([0, 1, 2], [1, 4, 20])
    [interval] = mean_intervals(np.full((25, 1), gain), documents)
    assert interval == pytest.approx([gain, gain])


def test_the_mean_is_that_of_the_questions_and_not_of_their_documents() -> None:
    differences = np.tile([0.4, 0, 0, 0], 3)[:, None]
    [(low, high)] = mean_intervals(differences, np.array([0, 1, 1, 1, 2, 3, 3, 3, 4, 5, 5, 5]))
    assert (low + high) / 2 == pytest.approx(0.1)


@pytest.mark.parametrize("count", [0, 1])
def test_none_or_one_document_says_nothing_of_any_figure(count: int) -> None:
    assert mean_intervals(np.full((count, 3), 0.2)).tolist() == [[-1, 1]] * 3


def test_no_interval_goes_beyond_what_a_difference_can_be() -> None:
    [interval] = mean_intervals(*by_document(-1.0, 1.0))
    assert interval.tolist() == [-1, 1]


def test_figures_have_intervals_of_their_own() -> None:
    sure, unsure = np.full(30, 0.2), np.tile([0.9, -0.5], 15)
    [first, second] = mean_intervals(np.column_stack([sure, unsure]))
    assert first == pytest.approx([0.2, 0.2])
    assert second[0] < 0.2 < second[1]


@pytest.mark.parametrize("interval", [(0.0, 0.3), (-0.3, 0.0), (-0.1, 0.1)])
def test_an_interval_that_holds_or_touches_zero_proves_nothing(
    interval: tuple[float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verdicts, "mean_intervals", lambda *_, **__: np.tile(interval, (6, 1)))
    verdict = on_recall(of_recall([0.5] * 40), of_recall([0.7] * 40))
    assert verdict not in (Verdict.BETTER, Verdict.WORSE)


@pytest.mark.parametrize(
    ("interval", "verdict"), [((1e-6, 0.3), Verdict.BETTER), ((-0.3, -1e-6), Verdict.WORSE)]
)
def test_an_interval_on_one_side_of_zero_proves_that_side(
    interval: tuple[float, float], verdict: Verdict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verdicts, "mean_intervals", lambda *_, **__: np.tile(interval, (6, 1)))
    gain = sum(interval) / 2
    before, after = of_recall([0.5] * FEWEST_TO_PROVE), of_recall([0.5 + gain] * FEWEST_TO_PROVE)
    assert on_recall(before, after) is verdict


def test_a_question_that_stays_as_it_was_is_neither_won_nor_lost() -> None:
    same = of_recall([0.3, 0.0, 1.0])
    comparison = compare(same, same)
    assert (comparison.wins, comparison.losses) == ((), ())


def test_what_moved_by_as_much_is_listed_in_an_order_that_repeats() -> None:
    comparison = compare(of_recall([0.5] * 4), of_recall([0.6, 0.4, 0.6, 0.4]))
    assert (comparison.wins, comparison.losses) == ((2, 0), (1, 3))


def test_the_verdict_is_on_recall_at_ten_by_the_groups_that_were_given() -> None:
    """One document gains all; without the groups, forty questions would prove it."""
    before, after = of_recall([0.0] * 60), of_recall([1.0] * 40 + [0.0] * 20)
    documents = np.repeat([0, 1, 2], [40, 10, 10])
    assert on_recall(before, after) is Verdict.BETTER
    assert on_recall(before, after, documents) is not Verdict.BETTER


def test_the_figures_are_named_and_the_intervals_belong_to_them() -> None:
    before = evaluate_ids([["a", "b"]] * 30, [{"b"}] * 30)
    after = evaluate_ids([["b", "a"]] * 30, [{"b"}] * 30)
    intervals = compare(before, after).intervals
    assert list(intervals) == [f"recall@{k}" for k in (1, 3, 5, 10)] + ["mrr@10", "ndcg@10"]
    assert intervals["recall@1"] == pytest.approx((1, 1))
    assert intervals["recall@3"] == pytest.approx((0, 0))
    assert intervals["mrr@10"] == pytest.approx((0.5, 0.5))


# The chance of a sum -------------------------------------------------------------------------


def test_the_chance_is_that_of_all_ways_to_flip_what_changed() -> None:
    assert chance_of_sum(np.array([1.0] * 5 + [0.0] * 40)) == 1 / 32
    assert chance_of_sum(np.array([-1.0] * 6)) == 1 / 64
    assert chance_of_sum(np.array([1.0, 1.0, 1.0, -1.0])) == 5 / 16  # sums of 4 and 2, of 16


def test_the_chance_is_by_groups_and_repeats_for_many_of_them() -> None:
    assert chance_of_sum(np.ones(60), np.repeat([0, 1], 30)) == 1 / 4
    many = np.random.default_rng(0).normal(0.02, 0.2, 200)
    assert chance_of_sum(many) == chance_of_sum(many) == pytest.approx(0.05, abs=0.02)
    assert chance_of_sum(np.ones(200)) == 1 / 2000


def test_five_questions_that_all_rose_prove_nothing_and_six_do() -> None:
    """The interval is above zero for both: too narrow where few questions changed."""
    five, six = (of_recall([1.0] * n + [0.0] * (20 - n)) for n in (5, 6))
    nothing = of_recall([0.0] * 20)
    assert compare(nothing, five).intervals["recall@10"][0] > 0
    assert on_recall(nothing, five) is Verdict.NOT_PROVEN
    assert on_recall(nothing, six) is Verdict.BETTER


def test_each_measure_has_its_own_verdict() -> None:
    before = evaluate_ids([["a", "b"]] * 30, [{"b"}] * 30)
    after = evaluate_ids([["b", "a"]] * 30, [{"b"}] * 30)
    found = compare(before, after).verdicts
    assert (found["recall@1"], found["recall@10"]) == (Verdict.BETTER, Verdict.NO_CHANGE)
    assert compare(before, after).is_improvement  # by nDCG@10
    assert not compare(after, before).is_improvement


def test_one_question_from_rank_5_to_6_is_no_change_of_recall_and_proves_no_loss() -> None:
    first = [["a"]] * 38
    nowhere = [["x"]] * 5
    before = evaluate_ids([*first, [*"uvwx", "a"], *nowhere], [{"a"}] * 44)
    after = evaluate_ids([*first, [*"tuvwx", "a"], *nowhere], [{"a"}] * 44)
    found = compare(before, after).verdicts
    assert found["recall@10"] is Verdict.NO_CHANGE
    assert {found["mrr@10"], found["ndcg@10"]} == {Verdict.NOT_PROVEN}


# What would settle it --------------------------------------------------------------------------


def test_what_is_not_proven_says_about_how_many_more_questions_would_settle_it() -> None:
    before = of_recall([0.0] * 100)
    up, down = [1.0] * 12 + [0.0] * 88, [0.0] * 93 + [1.0] * 7
    found = compare(of_recall(down), of_recall(up))
    low, high = found.intervals["recall@10"]
    needed = 1.25 * 100 * ((high - low) / 2 / 0.05) ** 2
    assert found.more_questions["recall@10"] == math.ceil(needed - 100)
    assert found.verdicts["recall@10"] is Verdict.NOT_PROVEN
    assert "recall@10" not in compare(before, before).more_questions


def test_so_many_more_questions_of_the_same_kind_do_settle_it() -> None:
    up, down = [1.0] * 12 + [0.0] * 88, [0.0] * 93 + [1.0] * 7
    times = 1 + -(-compare(of_recall(down), of_recall(up)).more_questions["recall@10"] // 100)
    assert on_recall(of_recall(down * times), of_recall(up * times)) is Verdict.BETTER


def test_too_few_questions_need_twenty_first() -> None:
    found = compare(of_recall([0.0] * 4), of_recall([1.0] * 4))
    assert found.more_questions["recall@10"] == 16


# Figures of earlier versions -------------------------------------------------------------------

_STORED = {
    "verdict": "not proven",
    "before": {"recall@10": 0.8, "recall@1": 0.5, "mrr@10": 0.6, "ndcg@10": 0.6},
    "after": {"recall@10": 0.9, "recall@1": 0.7, "mrr@10": 0.6, "ndcg@10": 0.5},
    "intervals": {
        "recall@10": [-0.1, 0.3],
        "recall@1": [0.1, 0.3],
        "mrr@10": [-0.1, 0.1],
        "ndcg@10": [-0.2, -0.01],
    },
}


def test_stored_figures_without_verdicts_have_those_of_their_intervals() -> None:
    found = {measure: verdict_on(_STORED, measure) for measure in _STORED["intervals"]}
    assert found == {
        "recall@10": Verdict.NOT_PROVEN,
        "recall@1": Verdict.BETTER,
        "mrr@10": Verdict.NO_CHANGE,
        "ndcg@10": Verdict.WORSE,
    }


def test_stored_verdicts_are_taken_as_they_are() -> None:
    assert verdict_on(_STORED | {"verdicts": {"recall@1": "worse"}}, "recall@1") is Verdict.WORSE
