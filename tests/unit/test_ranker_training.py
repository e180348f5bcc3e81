"""A model learns which signals to trust, and from written questions less than from people's."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

from benchmarks.chunks import sample_chunks
from services.deep_memory.evaluation import evaluate_ids
from services.deep_memory.local_trainer import TrainingStopped
from services.deep_memory.ranker_training import _gains, fit_weights, train_model
from services.deep_memory.trained_model import DeepMemoryModel
from services.deep_memory.training_questions import harder
from services.generation.offline_writer import OfflineQuestionWriter
from services.knowledge.sample import sample_questions
from services.ranking.index import RankingIndex
from services.ranking.ranker import FIXED_WEIGHTS, Ranker
from services.ranking.words import words_of
from services.retrieval.embeddings import WordLlamaEmbedder
from services.retrieval.nearest import VectorIndex

TEXTS = [
    "The gateway needs 12 volts. It restarts every night.",
    "Probes are calibrated each year by the laboratory.",
    "A lost card is blocked at once by the front desk.",
    "Holidays that are left over lapse on 30 June.",
]
embed = WordLlamaEmbedder().embed


def test_weights_go_to_the_signal_that_tells() -> None:
    rng = np.random.default_rng(0)
    signals = rng.standard_normal((400, 3)).astype(np.float32)
    question = np.repeat(np.arange(40), 10)
    gains = np.zeros(400)
    for number in range(40):
        gains[number * 10 + signals[number * 10 : number * 10 + 10, 1].argmax()] = 1
    weights = fit_weights(
        signals * [1, 100, 1], question, gains, towards=np.zeros(3), pull=0.05
    ) * [1, 100, 1]
    assert weights[1] > 5 * max(abs(weights[0]), abs(weights[2]))


def test_rows_that_do_not_count_change_nothing() -> None:
    rng = np.random.default_rng(1)
    signals = rng.standard_normal((60, 4)).astype(np.float32)
    question, gains = np.repeat(np.arange(6), 10), np.tile([1.0] + [0.0] * 8 + [-1.0], 6)
    how = {"towards": np.zeros(4), "pull": 0.05}
    as_is = fit_weights(signals, question, gains, **how)
    gains[gains < 0] = 0
    assert np.abs(as_is - fit_weights(signals, question, gains, **how)).max() > 1e-3


def test_the_harder_they_are_pulled_the_nearer_weights_stay_to_the_fixed_ones() -> None:
    rng = np.random.default_rng(2)
    signals = rng.standard_normal((300, 3)).astype(np.float32)
    question, gains = np.repeat(np.arange(30), 10), np.zeros(300)
    for number in range(30):
        gains[number * 10 + signals[number * 10 : number * 10 + 10, 1].argmax()] = 1
    towards = np.array([1.0, 0.0, -1.0])
    away = [
        np.abs(fit_weights(signals, question, gains, towards=towards, pull=pull) - towards).max()
        for pull in (0.05, 0.5, 2.0)
    ]
    assert away[0] > away[1] > away[2] > 0


class Sample(NamedTuple):
    """The sample with what the offline writer asks, half of the documents for training."""

    index: RankingIndex
    train: list[tuple[str, set[int]]]
    test: list[tuple[str, set[int]]]


@pytest.fixture(scope="module")
def sample() -> Sample:
    chunks = sample_chunks()
    texts, names = [chunk.in_context for chunk in chunks], [chunk.document for chunk in chunks]
    index = RankingIndex(VectorIndex(embed(texts)), texts, names, embed)
    writer, order = OfflineQuestionWriter(), sorted(set(names))
    train: list[tuple[str, set[int]]] = []
    test: list[tuple[str, set[int]]] = []
    for row, chunk in enumerate(chunks):
        part = train if order.index(chunk.document) % 2 else test
        part += [(asked, {row}) for asked in writer.write(chunk, 3).questions]
    return Sample(index, train, test)


def trained_on(index: RankingIndex, asked: list[tuple[str, set[int]]]) -> DeepMemoryModel:
    texts, relevant = [text for text, _ in asked], [rows for _, rows in asked]
    return train_model(embed(texts), texts, index, relevant, embed=embed, embedder="toy")


def ndcg(search, asked: list[tuple[str, set[int]]], index: RankingIndex) -> float:
    ranked = [search(embed([text])[0], text, 10, index)[0].tolist() for text, _ in asked]
    return evaluate_ids(ranked, [rows for _, rows in asked]).as_metrics()["ndcg@10"]


def test_training_beats_the_untrained_ranker_on_questions_of_unseen_documents(
    sample: Sample,
) -> None:
    """Learned from the written questions of every other document, asked those of the rest."""
    model = trained_on(sample.index, sample.train)
    again = trained_on(sample.index, sample.train)
    assert model.weights.tolist() == again.weights.tolist()
    assert np.array_equal(model.query_map.matrix, again.query_map.matrix)
    untrained = Ranker.untrained(sample.index)
    assert ndcg(model.search, sample.test, sample.index) > ndcg(
        untrained.search, sample.test, sample.index
    )


def test_written_questions_are_told_from_peoples_and_change_the_weights_less(
    sample: Sample,
) -> None:
    people = [
        (question.question, {row})
        for question in sample_questions()
        for row, chunk in enumerate(sample_chunks())
        if chunk.document == question.document and question.answer in chunk.text
    ]
    written = trained_on(sample.index, sample.train)
    of_people = trained_on(sample.index, people)
    assert (written.query_map.settings["pull"], of_people.query_map.settings["pull"]) == (10.0, 0.5)
    away = [np.abs(model.weights - FIXED_WEIGHTS).sum() for model in (written, of_people)]
    assert 0 < away[0] < away[1]


def test_a_training_of_the_weights_ends_when_it_is_told_to(sample: Sample) -> None:
    texts, relevant = [text for text, _ in sample.train], [rows for _, rows in sample.train]
    ended: list[bool] = []

    def embed_and_end(asked: list[str]) -> np.ndarray:  # once the map is fitted
        ended.append(True)
        return embed(asked)

    with pytest.raises(TrainingStopped):
        train_model(
            embed(texts), texts, sample.index, relevant, embed=embed_and_end,
            should_stop=lambda: bool(ended),
        )  # fmt: skip
    assert ended == [True]


def test_questions_that_find_no_chunk_leave_the_weights_as_they_are() -> None:
    """All four chunks answer each question: no candidate is wrong."""
    index = RankingIndex(VectorIndex(embed(TEXTS)), TEXTS, ["a", "a", "b", "b"], embed)
    model = trained_on(index, [(f"{text} Is it so?", {0, 1, 2, 3}) for text in TEXTS])
    assert np.array_equal(model.weights, FIXED_WEIGHTS)


def test_chunks_beside_an_answer_count_for_written_questions_only(sample: Sample) -> None:
    index, rows = sample.index, np.arange(5)
    assert _gains(rows, [1], index, 0.25).tolist() == [0.25, 1, 0.25, 0, 0]
    assert _gains(rows, [1], index, 0.0).tolist() == [0, 1, 0, 0, 0]


def test_a_copy_of_an_answer_is_neither_right_nor_wrong() -> None:
    texts = [*TEXTS, TEXTS[0]]
    index = RankingIndex(VectorIndex(embed(texts)), texts, list("abcde"), embed)
    assert _gains(np.arange(5), [0], index, 0.0).tolist() == [1, 0, 0, 0, -1]


def test_harder_questions_repeat_fewer_words() -> None:
    index = RankingIndex(VectorIndex(embed(TEXTS)), TEXTS, ["a", "a", "b", "b"], embed)
    asked = ["Is a lost card blocked by the front desk?"] * 30
    made = harder(asked, index, 3)
    assert made == harder(asked, index, 3) != harder(asked, index, 4)
    kept = [len(set(words_of(one)) & set(words_of(asked[0]))) for one in made]
    assert np.mean(kept) < 4.5 and max(kept) <= 5
