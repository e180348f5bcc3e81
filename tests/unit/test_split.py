"""What is held out: a fifth of the questions, whole documents where they can be, never too much."""

from __future__ import annotations

import numpy as np
import pytest

from services.deep_memory import split as split_module
from services.deep_memory.evaluation import NEAR_DUPLICATE
from services.deep_memory.split import Split, answering_groups, split_by_document
from services.errors import TrainingError


def held_out_of(sizes: list[int], *, seed: int = 0) -> Split:
    """Split questions of which document n has `sizes[n]`, each about a chunk of its own."""
    documents = [number for number, size in enumerate(sizes) for _ in range(size)]
    chunks = np.eye(len(documents), dtype=np.float32)  # no two say the same
    return split_by_document([{row} for row in range(len(documents))], documents, chunks, seed=seed)


@pytest.mark.parametrize(("questions", "held_out"), [(4, 1), (7, 1), (8, 2), (13, 3), (100, 20)])
def test_a_fifth_is_held_out_and_at_least_one_question(questions: int, held_out: int) -> None:
    assert len(held_out_of([1] * questions).held_out) == held_out


def test_every_question_is_on_one_side_where_no_two_chunks_say_the_same() -> None:
    split = held_out_of([1] * 20)
    assert sorted([*split.train, *split.held_out]) == list(range(20))


@pytest.mark.parametrize("seed", range(10))
def test_a_document_of_more_than_half_the_questions_is_trained_on(seed: int) -> None:
    split = held_out_of([11, *[1] * 9], seed=seed)  # of 20
    assert (split.by, len(split.held_out)) == ("document", 4)
    assert 0 not in split.groups[split.held_out]


def test_up_to_half_of_the_questions_is_held_out_where_a_document_is_large() -> None:
    """A fifth of 24 is 5: five small documents, or, drawn after one or two, the large one."""
    splits = [held_out_of([10, *[1] * 14], seed=seed) for seed in range(60)]
    sizes = {len(split.held_out) for split in splits if split.by == "document"}
    assert sizes == {5, 12}


def test_documents_that_make_half_of_a_fifth_are_enough_and_fewer_are_split_by_chunk() -> None:
    """The large document may not be held out, so that only the small ones can be."""
    enough = held_out_of([36, 2, 1, 1])  # 4 of 40, where a fifth is 8
    assert (enough.by, len(enough.held_out)) == ("document", 4)
    too_few = held_out_of([37, 1, 1, 1])  # 3 of 40
    assert (too_few.by, len(too_few.held_out)) == ("chunk", 8)


def test_two_documents_are_too_few_to_hold_out_however_many_questions_they_have() -> None:
    assert held_out_of([32, 4, 4]).by == "chunk"
    assert held_out_of([32, 3, 3, 2]).by == "document"


def test_a_quarter_of_the_questions_is_left_to_train_on_or_the_split_is_refused() -> None:
    """Six of eight chunks say the same: with one of them held out, the others are left out too."""
    chunks = np.eye(8, dtype=np.float32)
    chunks[:6] = chunks[0]
    left, refused = set(), 0
    for seed in range(40):
        try:
            split = split_by_document([{row} for row in range(8)], range(8), chunks, seed=seed)
            left.add(len(split.train))
        except TrainingError:
            refused += 1
    assert left == {2, 6}  # two copies held out, or none
    assert refused > 0  # one copy: a single question is left


@pytest.mark.parametrize(("cosine", "trained"), [(NEAR_DUPLICATE, 2), (NEAR_DUPLICATE - 0.01, 3)])
def test_a_chunk_that_nearly_repeats_a_held_out_one_is_left_out(
    cosine: float, trained: int
) -> None:
    chunks = np.eye(5)
    for row in range(1, 4):  # each of these is near chunk 0, or chunk 0 is near each of them
        chunks[row] = 0
        chunks[row, [0, row]] = cosine, np.sqrt(1 - cosine**2)
    counts = set()
    for seed in range(30):
        split = split_by_document([{0}, {1}, {2}, {4}], range(5), chunks, seed=seed)
        if split.held_out.tolist() == [1]:
            counts.add(len(split.train))
    assert counts == {trained}


def test_a_question_goes_with_the_group_of_its_first_chunk() -> None:
    relevant = [{4, 1}, {0}, {2}, {3}]
    assert answering_groups(relevant, list("abcde")).tolist() == list("bacd")


def test_chunks_are_compared_in_blocks_that_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    chunks = np.repeat(np.eye(20, dtype=np.float32), 3, axis=0)
    arguments = ([{row} for row in range(60)], list(range(60)), chunks)
    at_once = split_by_document(*arguments)
    monkeypatch.setattr(split_module, "_BLOCK_SCORES", 1)
    by_one = split_by_document(*arguments)
    assert len(at_once.train) < 48  # copies of what is held out are left out
    assert by_one.train.tolist() == at_once.train.tolist()
