"""The training job: which pairs it takes, and what it takes for one question."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import numpy as np
import pytest

from services.deep_memory import training
from services.deep_memory.evaluation import Evaluation, evaluate_ranks
from services.deep_memory.hybrid import SearchIndex
from services.deep_memory.model_store import ModelStore
from services.deep_memory.split import split_by_document
from services.deep_memory.training import (
    SAMPLE_TEST_SET,
    SEED,
    Questions,
    compared,
    complete,
    embed_questions,
    pairs_by_question,
    sample_metrics,
    sample_test_questions,
    train_deep_memory,
)
from services.errors import TrainingError
from services.knowledge.sample import sample_documents, sample_questions
from services.models import Chunk, TrainingPair
from services.retrieval.chunking import split_into_chunks
from services.retrieval.content import Snapshot
from services.retrieval.embeddings import WordLlamaEmbedder
from services.runs.lease import RunLost
from services.runs.states import RunStatus
from tests.runs import Script

CHUNKS = [Chunk(f"c{n}", "d", "d.txt", n, f"Text {n}") for n in range(3)]
SNAPSHOT = Snapshot(tuple(CHUNKS), np.eye(3, 4, dtype=np.float32), "v1")


def pair(number: int, question: str, chunk_id: str, relevance: float = 1.0) -> TrainingPair:
    return TrainingPair(f"p{number}", "run", question, chunk_id, "", relevance)


def test_all_chunks_of_a_question_are_relevant_to_it():
    pairs = [
        pair(0, "Who pays?", "c2"),
        pair(1, "When?", "c1"),
        pair(2, "who  PAYS?", "c0"),
        pair(3, "Who pays?", "c1", relevance=0.0),
        pair(4, "Who pays?", "gone"),
    ]
    asked = pairs_by_question(pairs, SNAPSHOT)
    assert [[(found.id, row) for found, row in group] for group in asked] == [
        [("p0", 2), ("p2", 0)],
        [("p1", 1)],
    ]


def test_pairs_whose_documents_are_all_gone_are_refused_in_words():
    with pytest.raises(TrainingError, match="still in the knowledge base"):
        pairs_by_question([pair(0, "Who pays?", "gone")], SNAPSHOT)


# What is kept of a comparison ------------------------------------------------------------------


def found_at(*ranks: int | None) -> Evaluation:
    """An evaluation of questions whose only relevant chunk was found at these ranks."""
    return evaluate_ranks([[] if rank is None else [rank] for rank in ranks], [1] * len(ranks))


def asked(count: int) -> Questions:
    sources = [f"c{row}" for row in range(count)]
    return Questions(
        [f"Question {row}?" for row in range(count)],
        np.eye(count, dtype=np.float32),
        [{row, (row + 1) % count} for row in range(count)],
        sources,
    )


def comparison(before: Evaluation, after: Evaluation) -> dict[str, Any]:
    return compared(asked(len(before)), before, after, np.arange(len(before)))


@pytest.mark.parametrize(
    ("before", "after", "is_worse"),
    [
        ((1, 2), (1, None), True),  # recall@10 fell
        ((1, None), (1, 10), False),  # it rose
        ((2, None), (None, 1), False),  # recall is equal and nDCG rose
        ((1, None), (None, 2), True),  # recall is equal and nDCG fell
        ((9, None, None), (10, 10, None), False),  # recall rose, whatever nDCG did
        ((3, 5), (3, 5), False),  # all is as it was
    ],
)
def test_a_model_is_worse_by_recall_and_where_that_is_equal_by_ndcg(before, after, is_worse):
    assert comparison(found_at(*before), found_at(*after))["is_worse"] is is_worse


def test_what_moved_is_told_with_its_ranks_and_the_chunks_that_answer():
    kept = comparison(found_at(4, 1, None, 2), found_at(1, None, 10, 2))
    assert kept["wins"] == [
        {"question": "Question 0?", "before": 4, "after": 1, "relevant": ["c0", "c1"]},
        {"question": "Question 2?", "before": None, "after": 10, "relevant": ["c2", "c3"]},
    ]
    assert kept["losses"] == [
        {"question": "Question 1?", "before": 1, "after": None, "relevant": ["c1", "c2"]}
    ]
    assert (kept["win_count"], kept["loss_count"]) == (2, 1)


def test_ranks_before_and_after_are_counted_most_frequent_first():
    kept = comparison(found_at(1, 3, 3, 3, None), found_at(1, 2, 2, 2, None))
    assert kept["ranks"][0] == [3, 2, 3]
    assert sorted(kept["ranks"][1:], key=str) == [[1, 1, 1], [None, None, 1]]


def test_the_means_and_intervals_are_those_of_before_and_after():
    kept = comparison(found_at(*[2] * 30), found_at(*[1] * 30))
    assert (kept["before"]["recall@1"], kept["after"]["recall@1"]) == (0, 1)
    assert kept["intervals"]["mrr@10"] == pytest.approx([0.5, 0.5])


def test_questions_of_one_document_share_their_fate():
    alone = comparison(found_at(*[None] * 30), found_at(*[1] * 20, *[None] * 10))
    before, after = found_at(*[None] * 30), found_at(*[1] * 20, *[None] * 10)
    together = compared(asked(30), before, after, np.repeat([0, 1, 2], 10))
    assert alone["intervals"]["recall@10"][0] > 0 > together["intervals"]["recall@10"][0]


def test_a_thousand_moves_of_each_side_are_kept_and_all_are_counted(monkeypatch):
    monkeypatch.setattr(training, "_MOST_MOVES", 2)
    kept = comparison(found_at(*[2] * 3, *[1] * 4), found_at(*[1] * 3, *[2] * 4))
    assert (len(kept["wins"]), len(kept["losses"])) == (2, 2)
    assert (kept["win_count"], kept["loss_count"]) == (3, 4)


def test_only_some_questions_keep_their_own_vectors_and_chunks():
    few = asked(5).only(np.array([3, 1]))
    assert few.texts == ["Question 3?", "Question 1?"]
    assert few.vectors.argmax(axis=1).tolist() == [3, 1]
    assert few.relevant == [{3, 4}, {1, 2}]
    assert few.sources == asked(5).sources


# The job ---------------------------------------------------------------------------------------


@dataclass
class Lease:
    """A hold that lasts until `lost` is set, and remembers what it was told."""

    notes: list[tuple[str, float]] = field(default_factory=list)
    finished: list[tuple[dict, bool]] = field(default_factory=list)
    lost: threading.Event = field(default_factory=threading.Event)

    def check(self) -> None:
        if self.lost.is_set():
            raise RunLost

    def note_training(self, step: str, share: float) -> None:
        self.notes.append((step, share))

    def finish_training(self, metrics: dict, *, activate: bool) -> None:
        self.finished.append((metrics, activate))


class Counting:
    """Embeds each text as its length, and remembers how many were asked for at once."""

    name = "counting"

    def __init__(self) -> None:
        self.asked: list[int] = []

    def embed(self, texts) -> np.ndarray:
        self.asked.append(len(texts))
        return np.array([[len(text), 1] for text in texts], np.float32)


def questions_of(count: int) -> list[list[tuple[TrainingPair, int]]]:
    return [[(pair(n, "x" * (n + 1), "c1"), 1), (pair(n, "X", "c2"), 2)] for n in range(count)]


def test_questions_are_embedded_in_parts_and_keep_their_order(monkeypatch):
    monkeypatch.setattr(training, "_EMBEDDED_AT_ONCE", 3)
    lease, embedder = Lease(), Counting()
    questions = embed_questions(lease, questions_of(7), SNAPSHOT, embedder)
    assert embedder.asked == [3, 3, 1]
    assert questions.vectors[:, 0].tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert [len(text) for text in questions.texts] == [1, 2, 3, 4, 5, 6, 7]
    assert questions.relevant == [{1, 2}] * 7
    assert questions.sources == ["c0", "c1", "c2"]
    assert [share for _, share in lease.notes] == pytest.approx([0.2 * 3 / 7, 0.2 * 6 / 7, 0.2])


def test_a_stop_ends_the_embedding_before_the_next_part_is_paid_for(monkeypatch):
    monkeypatch.setattr(training, "_EMBEDDED_AT_ONCE", 3)
    lease, embedder = Lease(), Counting()
    lease.note_training = lambda step, share: lease.lost.set()
    with pytest.raises(RunLost):
        embed_questions(lease, questions_of(7), SNAPSHOT, embedder)
    assert embedder.asked == [3]


@pytest.mark.parametrize("is_worse", [False, True])
def test_a_file_keeps_all_moves_the_row_the_first_and_a_worse_model_stays_off(
    user, service, tmp_path, is_worse
):
    run = Script(user, service).start().now
    wins, losses = [{"question": f"w{n}"} for n in range(25)], [{"question": "l"}]
    metrics = {
        "is_worse": is_worse,
        "wins": wins,
        "losses": losses,
        "test_sets": [{"wins": losses, "losses": wins, "is_worse": not is_worse}],
    }
    lease, models = Lease(), ModelStore(tmp_path)
    complete(lease, run, metrics, models)
    assert models.moves(run) == [
        {"wins": wins, "losses": losses},
        {"wins": losses, "losses": wins},
    ]
    [(kept, activate)] = lease.finished
    assert activate is not is_worse
    assert (kept["wins"], kept["losses"]) == (wins[:20], losses)
    assert (kept["test_sets"][0]["wins"], kept["test_sets"][0]["losses"]) == (losses, wins[:20])


@pytest.fixture(scope="module")
def sample() -> Snapshot:
    """The sample knowledge base, embedded as the app does offline."""
    chunks = [
        chunk
        for name, content in sample_documents()
        for chunk in split_into_chunks(content.decode(), str(uuid4()), name)
    ]
    embeddings = WordLlamaEmbedder().embed([chunk.text for chunk in chunks])
    return Snapshot(tuple(chunks), embeddings, "v1")


@pytest.fixture(scope="module")
def index(sample) -> SearchIndex:
    texts = [chunk.text for chunk in sample.chunks]
    return SearchIndex.of(sample.embeddings, texts, [chunk.document_id for chunk in sample.chunks])


def pairs_about(snapshot: Snapshot) -> list[TrainingPair]:
    """A question for each chunk: some of its own words. One of them about a chunk that is gone."""
    about = [
        pair(n, f"What of {' '.join(chunk.text.split()[5:12])}?", chunk.id)
        for n, chunk in enumerate(snapshot.chunks)
    ]
    return [*about, pair(len(about), "What is gone?", "gone")]


def test_a_run_is_trained_on_some_documents_measured_on_others_and_completed(
    user, service, sample, index, tmp_path
):
    script = Script(user, service).to(RunStatus.GENERATED).train()
    pairs, models = pairs_about(sample), ModelStore(tmp_path)
    embedder = WordLlamaEmbedder()
    train_deep_memory(
        script.lease,
        script.run,
        pairs=pairs,
        snapshot=sample,
        index=index,
        embedder=embedder,
        models=models,
    )
    run = script.now
    assert run.status is RunStatus.COMPLETED
    metrics = run.metrics
    questions = pairs_by_question(pairs, sample)
    split = split_by_document(
        [{row for _, row in group} for group in questions],
        [chunk.document_id for chunk in sample.chunks],
        sample.embeddings,
        seed=SEED,
    )
    assert metrics["held_out_by"] == split.by
    assert metrics["held_out_questions"] == len(split.held_out)
    assert metrics["trained_questions"] == len(split.train) == metrics["trained_chunks"]
    assert metrics["pairs_without_chunk"] == 1
    assert metrics["embedder"] == embedder.name
    assert 0 < metrics["train_seconds"] < 60
    assert sum(count for *_, count in metrics["ranks"]) == len(split.held_out)
    [on_sample] = metrics["test_sets"]
    assert (on_sample["name"], on_sample["questions"]) == (SAMPLE_TEST_SET, len(sample_questions()))
    model = models.load(run)
    assert model.query_map.embedder == embedder.name
    hand_written = sample_test_questions(sample, embedder)
    before, after = training._measure(hand_written, sample, index, model)
    again = sample_metrics(hand_written, sample, before, after)
    for key in ("before", "after", "intervals", "win_count", "ranks"):
        assert again[key] == on_sample[key]


@pytest.mark.parametrize("when", ["Training", "Measuring"])
def test_a_stop_while_it_trains_or_measures_leaves_no_model(
    user, service, sample, index, tmp_path, when, monkeypatch
):
    monkeypatch.setattr(training, "_NOTE_EVERY_S", 0.0)
    run, models, lease = Script(user, service).start().now, ModelStore(tmp_path), Lease()

    def stop_there(step: str, share: float) -> None:
        assert 0 <= share <= 1
        if step.startswith(when):
            lease.lost.set()

    lease.note_training = stop_there
    with pytest.raises(RunLost):
        train_deep_memory(
            lease,
            run,
            pairs=pairs_about(sample),
            snapshot=sample,
            index=index,
            embedder=WordLlamaEmbedder(),
            models=models,
        )
    assert not models.has(run)
    assert lease.finished == []


def test_the_samples_questions_are_asked_of_the_sample_alone(sample):
    assert sample_test_questions(SNAPSHOT, Counting()) is None
    questions = sample_test_questions(sample, Counting())
    assert len(questions.texts) == len(questions.vectors) == len(sample_questions())
    assert questions.sources == [chunk.id for chunk in sample.chunks]
    by_text = {question.question: question.document for question in sample_questions()}
    for text, rows in zip(questions.texts, questions.relevant, strict=True):
        assert {sample.chunks[row].document for row in rows} == {by_text[text]}
