"""The measures agree with their definitions, and the split leaks nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.deep_memory.evaluation import (
    NEAR_DUPLICATE,
    evaluate_blocks,
    evaluate_embeddings,
    evaluate_ids,
)
from services.deep_memory.split import answering_groups, split_by_document
from services.errors import TrainingError


def normalised(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def random_vectors(count: int, width: int = 8, seed: int = 0) -> np.ndarray:
    return normalised(np.random.default_rng(seed).standard_normal((count, width)))


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
