"""The measures agree with their definitions, and the split leaks nothing."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.deep_memory import evaluation
from services.deep_memory.evaluation import (
    FEWEST_TO_PROVE,
    NEAR_DUPLICATE,
    Evaluation,
    Verdict,
    compare,
    evaluate_blocks,
    evaluate_embeddings,
    evaluate_ids,
    mean_intervals,
)
from services.deep_memory.split import answering_groups, split_by_document
from services.errors import TrainingError


def normalised(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def random_vectors(count: int, width: int = 8, seed: int = 0) -> np.ndarray:
    return normalised(np.random.default_rng(seed).standard_normal((count, width)))


def of_recall(values: list[float]) -> Evaluation:
    figures = np.array(values)
    return Evaluation(dict.fromkeys((1, 3, 5, 10), figures), figures, figures)


def test_recall_is_the_share_of_the_relevant_passages_among_the_first() -> None:
    metrics = evaluate_ids([["a", "x", "b", "y"]], [{"a", "b", "c"}]).as_metrics()
    assert metrics["recall@1"] == pytest.approx(1 / 3)
    assert metrics["recall@3"] == pytest.approx(2 / 3)
    assert metrics["recall@10"] == pytest.approx(2 / 3)


def test_mrr_looks_at_the_first_relevant_passage_and_no_further_than_ten() -> None:
    ranked = [["x", "a"], [*"qwertyuiop", "a"]]
    assert evaluate_ids(ranked, [{"a"}, {"a"}]).mrr.tolist() == [0.5, 0.0]


def test_ndcg_divides_by_the_gain_of_the_ideal_order() -> None:
    found = evaluate_ids([["x", "a", "b"]], [{"a", "b"}]).ndcg[0]
    ideal = 1 + 1 / math.log2(3)
    assert found == pytest.approx((1 / math.log2(3) + 1 / math.log2(4)) / ideal)


def test_a_perfect_ranking_scores_one_even_with_more_than_ten_relevant() -> None:
    evaluation = evaluate_ids([list(range(20))], [set(range(15))])
    assert evaluation.ndcg[0] == pytest.approx(1)
    assert evaluation.mrr[0] == 1


def test_a_question_without_a_relevant_passage_is_refused() -> None:
    with pytest.raises(ValueError, match="relevant"):
        evaluate_ids([["a"]], [set()])


def test_no_questions_give_zeros_and_not_an_error() -> None:
    assert set(evaluate_ids([], []).as_metrics().values()) == {0.0}


@given(seed=st.integers(0, 1000), passages=st.integers(1, 30))
def test_embeddings_are_evaluated_as_their_sorted_lists_are(seed: int, passages: int) -> None:
    rng = np.random.default_rng(seed)
    queries, chunks = random_vectors(5, seed=seed), random_vectors(passages, seed=seed + 1)
    relevant = [set(rng.integers(0, passages, 3).tolist()) for _ in range(5)]
    ranked = np.argsort(-(queries @ chunks.T), axis=1, kind="stable")
    expected = evaluate_ids(ranked.tolist(), relevant)
    metrics = evaluate_embeddings(queries, chunks, relevant).as_metrics()
    assert metrics == pytest.approx(expected.as_metrics())


def test_equal_scores_rank_in_the_order_of_the_store() -> None:
    scores = np.array([[0.5, 0.5, 0.5]])
    evaluation = evaluate_blocks(lambda start, stop: scores[start:stop], 3, [{1}])
    assert evaluation.mrr.tolist() == [0.5]


def test_scores_are_asked_for_in_blocks_of_bounded_size() -> None:
    asked = []

    def score(start: int, stop: int) -> np.ndarray:
        asked.append(stop - start)
        return np.zeros((stop - start, 8_000_000), np.float32)

    evaluate_blocks(score, 8_000_000, [{0}] * 5)
    assert sum(asked) == 5
    assert max(asked) <= 2


def test_a_gain_on_every_question_is_better_and_a_loss_is_worse() -> None:
    low, high = of_recall([0.0] * 20), of_recall([1.0] * 20)
    assert compare(low, high).verdict is Verdict.BETTER
    assert compare(high, low).verdict is Verdict.WORSE


@pytest.mark.parametrize("questions", [8, 40])
def test_equal_recall_is_no_change_though_every_rank_fell(questions: int) -> None:
    before, after = of_recall([1.0] * questions), of_recall([1.0] * questions)
    after = replace(after, mrr=after.mrr / 5, ndcg=after.ndcg / 2)
    found = compare(before, after)
    assert found.intervals["recall@10"] == (0.0, 0.0)
    assert found.verdict is compare(after, before).verdict is Verdict.NO_CHANGE


@pytest.mark.parametrize("questions", [8, 40])
def test_gains_and_losses_that_cancel_are_no_change(questions: int) -> None:
    values = [0.1, 0.2, 0.7, 0.3] * (questions // 4)  # whose mean hangs on the order of adding
    found = compare(of_recall(values), of_recall(values[1:] + values[:1]))
    low, high = found.intervals["recall@10"]
    assert low < 0 < high
    assert found.verdict is Verdict.NO_CHANGE


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
    monkeypatch.setattr(evaluation, "mean_intervals", lambda *_, **__: np.array([interval] * 6))
    lower, higher = of_recall([0.5] * 40), of_recall([0.6] * 40)
    was, became = (lower, higher) if sum(interval) > 0 else (higher, lower)
    assert compare(was, became).verdict is verdict


def test_a_gain_that_hangs_on_one_question_is_not_proven() -> None:
    assert compare(of_recall([0.0] * 20), of_recall([1.0] + [0.0] * 19)).verdict is (
        Verdict.NOT_PROVEN
    )


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
    assert compare(low, high).verdict is compare(high, low).verdict is Verdict.NOT_PROVEN


def test_one_document_proves_nothing_however_many_questions_it_has() -> None:
    low, high = of_recall([0.0] * 60), of_recall([1.0] * 60)
    assert compare(low, high, np.zeros(60)).verdict is Verdict.NOT_PROVEN


def test_no_document_is_on_both_sides_of_the_split() -> None:
    documents = [chunk // 5 for chunk in range(100)]
    relevant = [{chunk} for chunk in range(100)]
    split = split_by_document(relevant, documents, random_vectors(100, 64))
    assert {row // 5 for row in split.train}.isdisjoint(row // 5 for row in split.held_out)
    assert len(split.held_out) == 20
    assert split.by == "document"
    assert [row // 5 for row in split.held_out] == split.groups[split.held_out].tolist()


def test_the_split_repeats_for_a_seed_and_differs_for_another() -> None:
    arguments = ([{chunk} for chunk in range(60)], list(range(60)), random_vectors(60, 64))
    first = split_by_document(*arguments, seed=1)
    assert first.held_out.tolist() == split_by_document(*arguments, seed=1).held_out.tolist()
    assert first.held_out.tolist() != split_by_document(*arguments, seed=2).held_out.tolist()


def test_near_duplicate_chunks_are_never_on_both_sides() -> None:
    originals = random_vectors(40, 64)
    copies = normalised(originals + 0.01 * random_vectors(40, 64, seed=1))
    chunks = np.concatenate([originals, copies])
    split = split_by_document([{row} for row in range(80)], list(range(80)), chunks)
    assert (chunks[split.train] @ chunks[split.held_out].T).max() < NEAR_DUPLICATE
    assert len(split.held_out)
    assert len(split.train)


def test_a_question_with_a_held_out_passage_is_not_trained_on() -> None:
    relevant = [{row, (row + 1) % 40} for row in range(40)]
    split = split_by_document(relevant, list(range(40)), random_vectors(40, 64))
    held_out = set().union(*(relevant[row] for row in split.held_out))
    assert all(held_out.isdisjoint(relevant[row]) for row in split.train)


def test_one_document_is_split_by_chunk() -> None:
    relevant = [{row // 2} for row in range(12)]
    split = split_by_document(relevant, ["only"] * 6, random_vectors(6, 64))
    assert len(split.held_out)
    assert {row // 2 for row in split.train}.isdisjoint(row // 2 for row in split.held_out)
    assert split.by == "chunk"


@pytest.mark.parametrize("seed", range(3))
def test_a_handbook_beside_a_note_is_split_by_chunk(seed: int) -> None:
    relevant = [{row // 3} for row in range(96)] + [{32}]
    split = split_by_document(
        relevant, ["handbook"] * 32 + ["note"], random_vectors(33, 64), seed=seed
    )
    assert split.by == "chunk"
    assert 19 <= len(split.held_out) <= 21
    assert split.groups[split.held_out].tolist() == [row // 3 for row in split.held_out]


def test_documents_whose_chunks_are_nearly_one_are_split_by_document_for_want_of_better() -> None:
    chunks = np.repeat(random_vectors(5, 64), 8, axis=0)
    split = split_by_document([{row} for row in range(40)], [row // 8 for row in range(40)], chunks)
    assert (split.by, len(split.held_out), len(split.train)) == ("document", 8, 32)


def test_test_questions_go_by_document_or_by_chunk_where_documents_are_few() -> None:
    relevant = [{0}, {1}, {2, 4}, {3}]
    assert answering_groups(relevant, list("aabbc")).tolist() == [0, 1, 2, 3]
    assert answering_groups(relevant, list("aabcc")).tolist() == list("aabc")


def test_even_four_pairs_leave_some_held_out() -> None:
    split = split_by_document([{0}, {1}, {2}, {3}], list("abcd"), random_vectors(4, 64))
    assert len(split.held_out) >= 1
    assert len(split.train) >= 1


@pytest.mark.parametrize("relevant", [[], [{0}, {1}, {2}], [{0}] * 8])
def test_too_few_pairs_or_a_single_chunk_are_refused(relevant: list[set[int]]) -> None:
    with pytest.raises(TrainingError, match="too few"):
        split_by_document(relevant, list("abc"), random_vectors(3, 64))


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
    monkeypatch.setattr(evaluation, "mean_intervals", lambda *_, **__: np.tile(interval, (6, 1)))
    verdict = compare(of_recall([0.5] * 40), of_recall([0.7] * 40)).verdict
    assert verdict not in (Verdict.BETTER, Verdict.WORSE)


@pytest.mark.parametrize(
    ("interval", "verdict"), [((1e-6, 0.3), Verdict.BETTER), ((-0.3, -1e-6), Verdict.WORSE)]
)
def test_an_interval_on_one_side_of_zero_proves_that_side(
    interval: tuple[float, float], verdict: Verdict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "mean_intervals", lambda *_, **__: np.tile(interval, (6, 1)))
    gain = sum(interval) / 2
    before, after = of_recall([0.5] * FEWEST_TO_PROVE), of_recall([0.5 + gain] * FEWEST_TO_PROVE)
    assert compare(before, after).verdict is verdict


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
    assert compare(before, after).verdict is Verdict.BETTER
    assert compare(before, after, documents).verdict is not Verdict.BETTER


def test_the_figures_are_named_and_the_intervals_belong_to_them() -> None:
    before = evaluate_ids([["a", "b"]] * 30, [{"b"}] * 30)
    after = evaluate_ids([["b", "a"]] * 30, [{"b"}] * 30)
    intervals = compare(before, after).intervals
    assert list(intervals) == [f"recall@{k}" for k in (1, 3, 5, 10)] + ["mrr@10", "ndcg@10"]
    assert intervals["recall@1"] == pytest.approx((1, 1))
    assert intervals["recall@3"] == pytest.approx((0, 0))
    assert intervals["mrr@10"] == pytest.approx((0.5, 0.5))


def test_a_passage_at_rank_ten_counts_and_one_at_eleven_does_not() -> None:
    others = list("qwertyuio")
    tenth, eleventh = [*others, "a"], [*others, "p", "a"]
    found = evaluate_ids([tenth, eleventh], [{"a"}, {"a"}])
    assert found.recall[10].tolist() == [1, 0]
    assert found.mrr.tolist() == [pytest.approx(0.1), 0]
    assert found.ndcg.tolist() == [pytest.approx(1 / math.log2(11)), 0]


def test_what_is_not_found_at_all_has_no_rank() -> None:
    nowhere = evaluate_ids([["x"], []], [{"a"}, {"a", "b"}])
    assert nowhere.mrr.tolist() == nowhere.ndcg.tolist() == nowhere.recall[10].tolist() == [0, 0]


def test_among_no_passages_nothing_is_asked() -> None:
    assert len(evaluate_embeddings(random_vectors(0), random_vectors(0), [])) == 0
