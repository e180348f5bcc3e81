"""Rank-biased overlap as a distance, by the properties that its authors prove, and near groups."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.questions.disagreement import rbo_distance
from services.questions.near import near_groups

TEN = list("abcdefghij")
lists = st.permutations(TEN).flatmap(lambda order: st.integers(1, 10).map(lambda n: order[:n]))


def test_the_same_order_is_no_distance_and_nothing_in_common_is_all_of_it():
    assert rbo_distance(TEN, TEN) == pytest.approx(0)
    assert rbo_distance(TEN, [letter.upper() for letter in TEN]) == 1
    assert rbo_distance([], []) == 0
    assert rbo_distance([], TEN) == rbo_distance(TEN, []) == 1


def test_it_is_the_extrapolated_overlap_worked_out_by_hand():
    # Overlaps at depth 1, 2, 3 are 0, 2, 2. With p = 0.5: 2/3 * 1/8 + 1 * (0 + 1 * 1/4 + 2/3 * 1/8)
    assert 1 - rbo_distance("abc", "bad", p=0.5) == pytest.approx(1 / 12 + 1 / 4 + 1 / 12)


def test_a_change_at_the_top_counts_more_than_one_at_the_end():
    top, end = [*"bacdefghij"], [*"abcdefghji"]
    assert rbo_distance(TEN, top) > rbo_distance(TEN, end) > 0


@given(lists, lists)
def test_it_is_between_0_and_1_and_the_same_from_both_sides(one, other):
    distance = rbo_distance(one, other)
    assert 0 <= distance <= 1
    assert distance == pytest.approx(rbo_distance(other, one))
    assert rbo_distance(one, one) == pytest.approx(0)


def vectors(*degrees: float) -> np.ndarray:
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_near_questions_join_the_first_that_is_near_and_groups_keep_the_order():
    assert near_groups(vectors(0, 90, 10, 85, 180), threshold=0.9) == [[0, 2], [1, 3], [4]]


def test_a_chain_of_near_questions_does_not_join_what_is_far_apart():
    assert near_groups(vectors(0, 20, 40), threshold=0.9) == [[0, 1], [2]]


def test_no_question_is_no_group_and_an_embedding_of_nothing_is_near_nothing():
    assert near_groups(np.zeros((0, 2), np.float32)) == []
    assert near_groups(np.zeros((2, 2), np.float32)) == [[0], [1]]
