"""Search says that probably nothing answers, and how often it is right is measured apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.chunks import sample_chunks
from services.deep_memory.no_answer import figures_without_answer, lowest_score, wilson
from services.deep_memory.ranker_training import train_model
from services.deep_memory.test_sets import Expected, OwnQuestion
from services.deep_memory.trained_model import DeepMemoryModel
from services.generation.offline_writer import OfflineQuestionWriter
from services.knowledge.sample import sample_questions
from services.ranking.index import RankingIndex
from services.retrieval.embeddings import WordLlamaEmbedder
from services.retrieval.nearest import VectorIndex
from tests.trained_models import ranking_by

ELSEWHERE = [
    "Who painted the ceiling of the Sistine Chapel?",
    "How do whales sleep without drowning?",
    "What is the offside rule in football?",
    "Which enzyme unwinds the double helix?",
    "When did the Ottoman Empire fall?",
    "How long should a soft-boiled egg cook?",
    "What is the capital of Mongolia?",
    "Why is the sky blue at noon and red at sunset?",
    "Who wrote Pride and Prejudice?",
    "What do pandas eat besides bamboo?",
    "How tall is Mount Kilimanjaro?",
    "Which planet has the most moons?",
    "How did Mozart die?",
    "What makes bread dough rise?",
    "Which chess opening starts with the king's pawn?",
    "Where do monarch butterflies spend the winter?",
]
embed = WordLlamaEmbedder().embed


@pytest.fixture(scope="module")
def index() -> RankingIndex:
    chunks = sample_chunks()
    texts, names = [chunk.in_context for chunk in chunks], [chunk.document for chunk in chunks]
    return RankingIndex(VectorIndex(embed(texts)), texts, names, embed)


def trained_on(index: RankingIndex, asked: Sequence[tuple[str, int]]) -> DeepMemoryModel:
    texts = [text for text, _ in asked]
    return train_model(embed(texts), texts, index, [{row} for _, row in asked], embed=embed)


@pytest.fixture(scope="module")
def of_people() -> list[tuple[str, int]]:
    """The sample's hand-written questions, each with a row that answers it."""
    return [
        (question.question, row)
        for question in sample_questions()
        for row, chunk in enumerate(sample_chunks())
        if chunk.document == question.document and question.answer in chunk.text
    ]


def unanswered(model: DeepMemoryModel, texts: Sequence[str], index: RankingIndex) -> float:
    found = [model.find(embed([text])[0], text, 10, index).is_answerable for text in texts]
    return float(np.mean([answerable is False for answerable in found]))


def test_a_model_of_peoples_questions_tells_foreign_ones_from_others_of_people(
    index: RankingIndex, of_people: list[tuple[str, int]]
) -> None:
    model = trained_on(index, of_people[::2])
    refused = unanswered(model, [text for text, _ in of_people[1::2]], index)
    assert refused < 0.15
    assert unanswered(model, ELSEWHERE, index) > 3 * refused


def test_a_model_of_written_questions_seldom_refuses_what_people_ask(
    index: RankingIndex, of_people: list[tuple[str, int]]
) -> None:
    """Written questions repeat the words of their chunks; with the same limit, half is refused."""
    writer = OfflineQuestionWriter()
    written = [
        (question, row)
        for row, chunk in enumerate(sample_chunks())
        for question in writer.write(chunk, 1).questions
    ]
    model = trained_on(index, written)
    refused = unanswered(model, [text for text, _ in of_people], index)
    assert refused < 0.1
    assert unanswered(model, ELSEWHERE, index) > 3 * refused


def test_one_training_question_in_twenty_stays_below_the_limit() -> None:
    best = np.random.default_rng(0).permutation(np.arange(1, 201)).astype(np.float32)
    limit = lowest_score(best, are_written=False)
    assert limit is not None and (best < limit).sum() == 10
    assert lowest_score(best, are_written=True) == pytest.approx(0.55 * limit)


def test_written_questions_lower_the_limit_also_below_nought() -> None:
    best = np.arange(-50, -20, dtype=np.float32)
    assert lowest_score(best, are_written=True) < lowest_score(best, are_written=False) < 0


@pytest.mark.parametrize(("count", "is_set"), [(0, False), (19, False), (20, True)])
def test_of_few_questions_no_limit_is_learned(count: int, is_set: bool) -> None:
    assert (lowest_score(np.ones(count), are_written=False) is not None) is is_set


# Measuring -------------------------------------------------------------------------------------

TEXTS = ["Ships pay harbour dues.", "The canteen serves soup.", "The pilot boards at noon."]
ASKED = [
    OwnQuestion(TEXTS[0], (Expected("a"),)),
    OwnQuestion("Who painted the Mona Lisa?", ()),
    OwnQuestion(TEXTS[1], ()),
]


def measured(model: DeepMemoryModel, questions: Sequence[OwnQuestion]) -> dict:
    index = RankingIndex(VectorIndex(embed(TEXTS)), TEXTS, list("abc"), embed)
    return figures_without_answer(questions, [TEXTS[0]], model, index, WordLlamaEmbedder())


def test_what_is_said_of_both_kinds_of_questions_is_measured_with_intervals() -> None:
    """By plain cosine, a question that is a chunk word for word has an answer, another has none."""
    figures = measured(replace(ranking_by("cosine"), lowest_score=0.9), ASKED)
    assert figures == {
        "unanswerable": {
            "questions": 2,
            "answerable_questions": 1,
            "said_so": 0.5,
            "said_so_interval": wilson(1, 2),
            "refused_answerable": 0.0,
            "refused_answerable_interval": wilson(0, 1),
        }
    }


def test_a_model_without_a_limit_says_nothing_and_a_set_without_such_questions_is_not_measured():
    said = measured(ranking_by("cosine"), ASKED)["unanswerable"]
    assert (said["questions"], said["said_so"], said["refused_answerable"]) == (2, None, None)
    assert measured(replace(ranking_by("cosine"), lowest_score=0.9), ASKED[:1]) == {}


@pytest.mark.parametrize(
    ("successes", "count", "low", "high"),
    [(0, 10, 0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1), (81, 263, 0.2553, 0.3662)],
)
def test_the_interval_is_wilsons(successes: int, count: int, low: float, high: float) -> None:
    """81 of 263 is the example of Newcombe (1998); the others are from R's prop.test."""
    assert wilson(successes, count) == pytest.approx([low, high], abs=1e-4)


@given(st.integers(1, 10_000), st.data())
def test_the_interval_holds_the_share(count: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, count))
    low, high = wilson(successes, count)
    assert 0 <= low <= high <= 1
    assert low - 1e-9 <= successes / count <= high + 1e-9
