"""A trained model is read as it was written, also one of before the ranker; others are refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from services.deep_memory.query_map import QueryMap
from services.deep_memory.trained_model import DeepMemoryModel
from services.errors import TrainingError
from services.ranking.index import RankingIndex
from services.ranking.ranker import FIXED_WEIGHTS, Ranker
from services.ranking.signals import NAMES
from services.retrieval.embeddings import WordLlamaEmbedder
from services.retrieval.nearest import VectorIndex
from tests.trained_models import ranking_by

TEXTS = ["A lost card is blocked.", "Holidays lapse on 30 June.", "The canteen serves soup."]
embed = WordLlamaEmbedder().embed


@pytest.fixture
def index() -> RankingIndex:
    return RankingIndex(VectorIndex(embed(TEXTS)), TEXTS, ["a", "b", "c"], embed)


def test_a_model_is_read_as_it_was_written(tmp_path: Path, index: RankingIndex) -> None:
    weights = np.linspace(-1, 2, len(NAMES)).astype(np.float32)
    model = replace(ranking_by(), weights=weights)
    model.save(tmp_path / "run.npz")
    loaded = DeepMemoryModel.load(tmp_path / "run.npz")
    assert np.array_equal(loaded.weights, weights)
    query = embed(["soup"])[0]
    for ours, theirs in zip(
        model.search(query, "soup", 3, index), loaded.search(query, "soup", 3, index), strict=True
    ):
        assert ours.tolist() == theirs.tolist()


def test_it_ranks_by_its_map_and_its_weights(index: RankingIndex) -> None:
    query = embed(["Who blocks a card?"])[0]
    straight, _ = ranking_by().search(query, "", 3, index)
    turned, _ = ranking_by(turn=-1).search(query, "", 3, index)
    assert straight.tolist() == turned.tolist()[::-1]
    assert straight.tolist() == np.argsort(-index.plain.vectors @ query).tolist()


@pytest.mark.parametrize(
    ("known", "is_trusted"), [(None, True), ({"a", "b"}, True), ({"a"}, False), ({"x"}, False)]
)
def test_questions_about_documents_without_pairs_are_left_to_search_without_training(
    index: RankingIndex, known: set[str] | None, is_trusted: bool
) -> None:
    """Three chunks of three documents: two of them are more than half."""
    model = replace(ranking_by(turn=-1), documents=None if known is None else frozenset(known))
    query = embed(["Who blocks a card?"])[0]
    rows, scores = model.search(query, "Who blocks a card?", 3, index)
    untrained = Ranker.untrained(index).search(query, "Who blocks a card?", 3, index)
    trusted = ranking_by(turn=-1).search(query, "Who blocks a card?", 3, index)
    assert untrained[0].tolist() != trusted[0].tolist()
    expected = trusted if is_trusted else untrained
    assert (rows.tolist(), scores.tolist()) == (expected[0].tolist(), expected[1].tolist())


@pytest.mark.parametrize(("lowest", "expected"), [(0.0, True), (2.0, False), (None, None)])
def test_nothing_answers_where_no_chunk_reaches_the_limit(
    index: RankingIndex, lowest: float | None, expected: bool | None
) -> None:
    model = replace(ranking_by(), lowest_score=lowest)
    found = model.find(embed(["Who blocks a card?"])[0], "Who blocks a card?", 3, index)
    assert found.is_answerable is expected
    assert len(found.rows) == 3


def test_a_score_as_high_as_the_limit_answers(index: RankingIndex) -> None:
    query = embed(["soup"])[0]
    lowest = float(ranking_by().search(query, "soup", 1, index)[1][0])
    assert replace(ranking_by(), lowest_score=lowest).find(query, "soup", 1, index).is_answerable


def test_of_what_is_left_to_search_without_training_nothing_is_said(index: RankingIndex) -> None:
    model = replace(ranking_by(), documents=frozenset({"x"}), lowest_score=2.0)
    assert model.find(embed(["soup"])[0], "soup", 3, index).is_answerable is None


def test_of_an_empty_knowledge_base_nothing_is_said() -> None:
    nothing = RankingIndex(VectorIndex(np.zeros((0, 256), np.float32)), [], [], embed)
    model = replace(ranking_by(), lowest_score=2.0)
    assert model.find(embed(["soup"])[0], "soup", 3, nothing).is_answerable is None


@pytest.mark.parametrize("lowest", [2.5, None])
def test_the_limit_is_read_as_it_was_written(tmp_path: Path, lowest: float | None) -> None:
    replace(ranking_by(), lowest_score=lowest).save(tmp_path / "run.npz")
    assert DeepMemoryModel.load(tmp_path / "run.npz").lowest_score == lowest


def test_a_model_of_before_the_limit_never_says_that_nothing_answers(tmp_path: Path) -> None:
    settings = {"weights": dict.fromkeys(NAMES, 1.0), "documents": None}
    QueryMap(np.eye(256, dtype=np.float32), settings=settings).save(tmp_path / "run.npz")
    assert DeepMemoryModel.load(tmp_path / "run.npz").lowest_score is None


def test_the_documents_of_a_model_are_read_as_they_were_written(tmp_path: Path) -> None:
    replace(ranking_by(), documents=frozenset({"b", "a"})).save(tmp_path / "run.npz")
    assert DeepMemoryModel.load(tmp_path / "run.npz").documents == {"a", "b"}
    ranking_by().save(tmp_path / "run.npz")
    assert DeepMemoryModel.load(tmp_path / "run.npz").documents is None


def test_a_model_of_before_the_ranker_ranks_by_its_map_and_the_fixed_weights(
    tmp_path: Path, index: RankingIndex
) -> None:
    matrix = index.whitening
    QueryMap(matrix, "toy", settings={"lexical_weight": 0.03}).save(tmp_path / "run.npz")
    loaded, query = DeepMemoryModel.load(tmp_path / "run.npz"), embed(["soup"])[0]
    rows, scores = loaded.search(query, "soup", 3, index)
    expected = Ranker(matrix, FIXED_WEIGHTS).search(query, "soup", 3, index)
    assert (rows.tolist(), scores.tolist()) == (expected[0].tolist(), expected[1].tolist())


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"lexical_weight": "0.1"},
        {"weights": 3},
        {"weights": dict.fromkeys(NAMES, 1.0), "documents": "all"},
        {"weights": dict.fromkeys(NAMES, 1.0), "documents": [["a"]]},
        {"weights": dict.fromkeys(NAMES, 10**400)},
        {"weights": dict.fromkeys(NAMES, 1.0), "lowest_score": "3"},
        {"weights": dict.fromkeys(NAMES, 1.0), "lowest_score": float("nan")},
        {"weights": {"cosine": 1.0}},
        {"weights": dict.fromkeys(NAMES, "1")},
        {"weights": dict.fromkeys(NAMES, float("inf"))},
        {"weights": dict.fromkeys([*NAMES, "another"], 1.0)},
    ],
)
def test_a_file_without_the_weights_of_the_signals_is_refused(tmp_path: Path, settings) -> None:
    QueryMap(np.eye(4, dtype=np.float32), settings=settings).save(tmp_path / "run.npz")
    with pytest.raises(TrainingError, match="cannot be read") as refused:
        DeepMemoryModel.load(tmp_path / "run.npz")
    assert "train again" in refused.value.next_step


def test_a_question_of_another_width_is_refused(index: RankingIndex) -> None:
    with pytest.raises(TrainingError, match="width 256"):
        ranking_by().search(np.ones(8, np.float32), "soup", 3, index)
