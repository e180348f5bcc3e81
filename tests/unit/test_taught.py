"""A question that a person taught finds what they marked when it is asked again, or nearly so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from services.deep_memory.query_map import QueryMap
from services.deep_memory.taught import Taught, lift
from services.deep_memory.trained_model import DeepMemoryModel
from services.errors import TrainingError
from services.ranking.index import RankingIndex
from services.ranking.ranker import FIXED_WEIGHTS
from services.retrieval.embeddings import WordLlamaEmbedder
from services.retrieval.nearest import VectorIndex

TEXTS = [
    "Ships pay harbour dues when they berth.",
    "The canteen serves soup on Fridays.",
    "Parking in the yard is free for visitors on Sundays.",
    "Pilots board a vessel two miles from port.",
    "The crane lifts forty tonnes and is inspected each spring.",
]
ASKED = "Where may guests leave their car at the weekend?"
SPRING = TEXTS.index(TEXTS[4])

embed = WordLlamaEmbedder().embed


def index_of(texts: list[str]) -> RankingIndex:
    return RankingIndex(
        VectorIndex(embed(texts)), texts, [f"d{n}" for n in range(len(texts))], embed
    )


@pytest.fixture(scope="module")
def index() -> RankingIndex:
    return index_of(TEXTS)


@pytest.fixture(scope="module")
def model(index) -> DeepMemoryModel:
    """Taught, against all sense, that the crane answers the question of the guests."""
    taught = Taught.of(embed([ASKED]), [[SPRING]], index)
    width = len(embed(["x"])[0])
    return DeepMemoryModel(QueryMap(np.eye(width, dtype=np.float32)), FIXED_WEIGHTS, taught=taught)


def found(model: DeepMemoryModel, question: str, index: RankingIndex) -> list[int]:
    return model.search(embed([question])[0], question, 5, index)[0].tolist()


def test_the_question_itself_finds_it_first_and_the_others_keep_their_order(model, index):
    without = found(replace(model, taught=None), ASKED, index)
    assert without[0] != SPRING
    others = [row for row in without if row != SPRING]
    assert found(model, ASKED, index) == [SPRING, *others]


def test_nearly_the_same_words_lift_it_and_other_questions_are_left_alone(model, index):
    near = "Where may guests leave a car at the weekend?"
    assert 0.85 < float(embed([near])[0] @ embed([ASKED])[0]) < 1
    plain = replace(model, taught=None)
    assert found(model, near, index).index(SPRING) < found(plain, near, index).index(SPRING)
    for other in ("Who pays harbour dues?", "When is there soup?"):
        assert found(model, other, index) == found(plain, other, index)


def test_what_a_person_answered_is_not_said_to_be_without_an_answer(model, index):
    strict = replace(model, lowest_score=1e6)
    assert strict.find(embed([ASKED])[0], ASKED, 5, index).is_answerable is True
    other = "Who pays harbour dues?"
    assert strict.find(embed([other])[0], other, 5, index).is_answerable is False


def test_it_is_known_by_its_text_wherever_it_stands_now_and_forgotten_with_it(model):
    moved = index_of([TEXTS[4], *TEXTS[:4]])
    assert found(model, ASKED, moved)[0] == 0
    gone = index_of(TEXTS[:4])
    plain = replace(model, taught=None)
    assert found(model, ASKED, gone) == found(plain, ASKED, gone)


def test_it_is_lifted_though_its_documents_are_not_known_to_the_model(model, index):
    of_others = replace(model, documents=frozenset({"elsewhere"}))
    assert found(of_others, ASKED, index)[0] == SPRING


def test_it_comes_back_with_the_file_and_a_damaged_one_is_refused(model, index, tmp_path):
    model.save(tmp_path / "m.npz")
    loaded = DeepMemoryModel.load(tmp_path / "m.npz")
    assert loaded.taught.answers == model.taught.answers
    assert found(loaded, ASKED, index) == found(model, ASKED, index)
    for damage in (
        {"vectors": "***", "answers": []},
        {"vectors": model.taught.as_json()["vectors"], "answers": []},
        {"answers": [["a"]]},
        [],
    ):
        assert Taught.from_json(damage, len(model.query_map.matrix)) is None
    wide = Taught(np.ones((1, 8), np.float32), (("a",),))
    replace(model, taught=wide).save(tmp_path / "wide.npz")
    with pytest.raises(TrainingError):
        DeepMemoryModel.load(tmp_path / "wide.npz")


def test_a_chunk_that_was_no_candidate_becomes_one():
    rows, scores = lift(np.array([3, 5]), np.array([2.0, 1.0], np.float32), {7: 1.0, 5: 0.5})
    assert rows.tolist() == [3, 5, 7]
    assert scores == pytest.approx([2.0, 1.6, 2.2])
