"""What is most likely wrong comes first: a question that suits another chunk better."""

from __future__ import annotations

import numpy as np
import pytest

from services.pairs import doubt
from services.pairs.doubt import doubts, first_to_review
from services.pairs.quality import Flag
from services.ranking.index import RankingIndex
from services.retrieval.embeddings import WordLlamaEmbedder
from services.retrieval.nearest import VectorIndex

TEXTS = [
    "Rent is due on the first day of the month. The tenant pays it to the landlord.",
    "The probe measures the water level of the harbour every ten minutes.",
    "Sourdough ferments overnight before the oven is lit.",
    "The landlord pays for repairs of the roof and the walls.",
]
EMBED = WordLlamaEmbedder().embed


@pytest.fixture(scope="module")
def index() -> RankingIndex:
    return RankingIndex(VectorIndex(EMBED(TEXTS)), TEXTS, ["a", "b", "c", "a"], EMBED)


def test_a_question_under_the_wrong_chunk_is_more_doubtful_than_under_its_own(index) -> None:
    questions = ["When is rent due?", "What does the probe measure?", "Who repairs the roof?"]
    right = doubts(questions, [0, 1, 3], EMBED(questions), index)
    wrong = doubts(questions, [1, 2, 0], EMBED(questions), index)
    assert right.max() < 0 < wrong.min()


def test_under_a_chunk_near_its_own_it_is_less_doubtful_than_under_a_far_one(index) -> None:
    questions = ["Who pays the landlord?"]
    near, far = (doubts(questions, [row], EMBED(questions), index)[0] for row in (3, 2))
    assert near < far


def test_another_chunk_of_which_the_same_is_asked_is_no_rival(index) -> None:
    questions = ["What does the landlord pay?", "what does the  landlord pay?"]
    alone = doubts(questions[:1], [3], EMBED(questions[:1]), index)[0]
    together = doubts(questions, [3, 0], EMBED(questions), index)[0]
    assert together < 0 < alone


def test_many_are_done_in_blocks_that_change_nothing(index, monkeypatch) -> None:
    questions = [f"Who pays for {thing}?" for thing in ("rent", "bread", "water", "walls", "ice")]
    rows, vectors = [0, 2, 1, 3, 0], EMBED(questions)
    at_once = doubts(questions, rows, vectors, index)
    monkeypatch.setattr(doubt, "_AT_ONCE", 2)
    shares: list[float] = []
    assert np.allclose(doubts(questions, rows, vectors, index, shares.append), at_once)
    assert shares == [0.4, 0.8, 1.0]


def test_a_question_of_unknown_words_and_no_question_at_all_have_a_doubt_too(index) -> None:
    assert np.isfinite(doubts(["Xyzzy?"], [0], EMBED(["Xyzzy?"]), index)).all()
    assert doubts([], [], np.zeros((0, 256), np.float32), index).shape == (0,)


def test_flags_that_say_something_else_make_a_pair_more_doubtful() -> None:
    assert first_to_review(0.1, [Flag.NOT_ANSWERED]) == first_to_review(0.1, []) == 0.1
    once = first_to_review(0.1, [Flag.ASKS_LITTLE])
    assert 0.1 < once < first_to_review(0.1, [Flag.ASKS_LITTLE, Flag.NEAR_DUPLICATE])
