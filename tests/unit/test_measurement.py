"""What both trainers take and keep: which pairs ask the same, what moved, what a row holds."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from benchmarks.chunks import sample_chunks
from services.deep_memory import figures, measurement
from services.deep_memory.evaluation import Evaluation, Verdict, evaluate_ranks
from services.deep_memory.figures import Questions, Ranked, compared
from services.deep_memory.measurement import (
    TrainingMetrics,
    _why_kept_back,
    complete,
    pairs_by_question,
    prepare,
)
from services.deep_memory.model_store import ModelStore
from services.errors import TrainingError
from services.knowledge.sample import sample_questions
from services.models import Chunk, TrainingPair, Waiting
from services.ranking.untrained import Untrained
from services.retrieval.content import Snapshot
from services.runs.lease import RunLost, Waits
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
    return compared(asked(len(before)), by_cosine(before, after), np.arange(len(before)))


def by_cosine(before: Evaluation, after: Evaluation) -> Ranked:
    return Ranked({Untrained.COSINE: before}, after)


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
    together = compared(asked(30), by_cosine(before, after), np.repeat([0, 1, 2], 10))
    assert alone["intervals"]["recall@10"][0] > 0 > together["intervals"]["recall@10"][0]


def test_a_thousand_moves_of_each_side_are_kept_and_all_are_counted(monkeypatch):
    monkeypatch.setattr(figures, "_MOST_RANK_CHANGES", 2)
    kept = comparison(found_at(*[2] * 3, *[1] * 4), found_at(*[1] * 3, *[2] * 4))
    assert (len(kept["wins"]), len(kept["losses"])) == (2, 2)
    assert (kept["win_count"], kept["loss_count"]) == (3, 4)


def test_only_some_questions_keep_their_own_vectors_and_chunks():
    few = asked(5).only(np.array([3, 1]))
    assert few.texts == ["Question 3?", "Question 1?"]
    assert few.vectors.argmax(axis=1).tolist() == [3, 1]
    assert few.relevant == [{3, 4}, {1, 2}]
    assert few.sources == asked(5).sources


# The way to them, and where they are kept --------------------------------------------------------


@dataclass
class Lease:
    """A hold that lasts until `lost` is set, and remembers what it was told."""

    notes: list[tuple[str, float]] = field(default_factory=list)
    finished: list[tuple[dict, bool]] = field(default_factory=list)
    watched: list[Waits] = field(default_factory=list)
    lost: threading.Event = field(default_factory=threading.Event)

    def check(self) -> None:
        if self.lost.is_set():
            raise RunLost

    @contextmanager
    def watching(self, waits: Waits) -> Iterator[None]:
        self.watched.append(waits)
        yield

    def note_training(self, step: str, share: float) -> None:
        self.notes.append((step, share))

    def finish_training(self, metrics: dict, *, activate: bool) -> None:
        self.finished.append((metrics, activate))


class Counting:
    """Embeds each text as its length, and remembers how many were asked for at once."""

    name, width = "counting", 2

    def __init__(self) -> None:
        self.asked: list[int] = []

    def embed(self, texts) -> np.ndarray:
        self.asked.append(len(texts))
        return np.array([[len(text), 1] for text in texts], np.float32)

    def waiting(self) -> Waiting | None:
        return None


TWICE = Snapshot(
    tuple(Chunk(f"c{n}", f"d{n % 7}", f"{n % 7}.txt", n // 7, f"Text {n}") for n in range(14)),
    np.eye(14, dtype=np.float32),
    "v1",
)
# Seven questions, each asked of both chunks of a document; one more of a chunk that is gone.
PAIRS = [pair(n, letter * (n % 7 + 1), f"c{n}") for n, letter in enumerate("x" * 7 + "X" * 7)]
PAIRS.append(pair(14, "x", "gone"))


def test_questions_are_embedded_in_parts_and_keep_their_order(monkeypatch):
    monkeypatch.setattr(measurement, "_EMBEDDED_AT_ONCE", 3)
    lease, embedder = Lease(), Counting()
    material = prepare(lease, PAIRS, TWICE, embedder)
    questions = material.questions
    assert embedder.asked == [3, 3, 1]
    assert lease.watched == [embedder.waiting] * 3
    assert questions.vectors[:, 0].tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert [len(text) for text in questions.texts] == [1, 2, 3, 4, 5, 6, 7]
    assert questions.relevant == [{n, n + 7} for n in range(7)]
    assert questions.sources == [chunk.id for chunk in TWICE.chunks]
    shares = [share for _, share in lease.notes]
    assert shares == pytest.approx([0, 0.2 * 3 / 7, 0.2 * 6 / 7, 0.2])
    assert material.pairs_without_chunk == 1
    assert material.train.texts == [questions.texts[row] for row in material.split.train]


def test_a_stop_ends_the_embedding_before_the_next_part_is_paid_for(monkeypatch):
    monkeypatch.setattr(measurement, "_EMBEDDED_AT_ONCE", 3)
    lease, embedder = Lease(), Counting()
    lease.note_training = lambda step, share: lease.lost.set() if share else None
    with pytest.raises(RunLost):
        prepare(lease, PAIRS, TWICE, embedder)
    assert embedder.asked == [3]


def kept(before: Evaluation, after: Evaluation, **more: Any) -> TrainingMetrics:
    return TrainingMetrics(
        comparison(before, after) | more, len(before), "document", 9, 8, 7, 1.234, "counting"
    )


@pytest.mark.parametrize("reason", ["", "It is not proven better than search without training."])
def test_a_model_that_is_kept_back_is_not_activated(user, service, tmp_path, reason):
    lease, run = Lease(), Script(user, service).start().now
    metrics = replace(kept(found_at(2), found_at(1)), kept_back=reason)
    complete(lease, run, metrics, ModelStore(tmp_path))
    [(row, activate)] = lease.finished
    assert (row["kept_back"], activate) == (reason, not reason)


BETTER, SAME = found_at(*[1] * 30), found_at(*[None] * 30)
ONE_BETTER = found_at(1, *[None] * 29)
BETTER_ORDER = found_at(*[2] * 30)  # than rank 9: recall@10 is 1 both times


@pytest.mark.parametrize(
    ("after", "in_use", "verdict", "reason"),
    [
        (BETTER, None, Verdict.BETTER, ""),
        (BETTER, SAME, Verdict.NOT_PROVEN, ""),
        (SAME, None, Verdict.BETTER, "It is not proven better than search without training."),
        (ONE_BETTER, None, Verdict.BETTER, "It is not proven better than search without training."),
        (BETTER, BETTER, Verdict.BETTER, "It is not proven better than the model in use."),
        (ONE_BETTER, SAME, Verdict.BETTER, "It is not proven better than search without training."),
        (BETTER_ORDER, None, Verdict.BETTER, ""),
        (BETTER, None, Verdict.WORSE, "It is worse on: Our own."),
    ],
)
def test_a_model_takes_over_if_it_is_proven_better_than_what_search_uses_and_nowhere_worse(
    after, in_use, verdict, reason
):
    before = found_at(*[9] * 30) if after is BETTER_ORDER else SAME
    ranked = Ranked({Untrained.COSINE: BETTER, Untrained.RANKER: before}, after, in_use)
    sets = [{"name": "Our own", "verdict": verdict.value}]
    held_out = compared(asked(30), ranked, np.arange(30))
    assert _why_kept_back(held_out, ranked, np.arange(30), sets) == reason


def test_what_search_without_training_is_made_of_is_told_in_order_and_the_last_is_before():
    ranked = Ranked({Untrained.COSINE: SAME, Untrained.RANKER: ONE_BETTER}, BETTER)
    kept = compared(asked(30), ranked, np.arange(30))
    assert [step["search"] for step in kept["steps"]] == ["cosine", "ranker"]
    assert kept["steps"][0] == {"search": "cosine", **SAME.as_metrics()}
    assert kept["before"] == ONE_BETTER.as_metrics()


def test_a_file_keeps_all_moves_and_the_row_the_first(user, service, tmp_path):
    run = Script(user, service).start().now
    wins, losses = [{"question": f"w{n}"} for n in range(25)], [{"question": "l"}]
    metrics = replace(
        kept(found_at(2), found_at(1), wins=wins, losses=losses),
        test_sets=[{"name": "other", "wins": losses, "losses": wins}],
    )
    lease, models = Lease(), ModelStore(tmp_path)
    complete(lease, run, metrics, models)
    assert models.rank_changes(run) == [
        {"wins": wins, "losses": losses},
        {"wins": losses, "losses": wins},
    ]
    [(row, _)] = lease.finished
    assert (row["wins"], row["losses"]) == (wins[:20], losses)
    assert (row["test_sets"][0]["wins"], row["test_sets"][0]["losses"]) == (losses, wins[:20])


def test_the_row_says_what_was_trained_and_by_whom_only_where_that_was_the_cloud():
    here = kept(found_at(2, 3), found_at(1, 3))
    row = here.as_json()
    assert {name: row[name] for name in row if name not in here.held_out} == {
        "held_out_questions": 2,
        "held_out_by": "document",
        "trained_questions": 9,
        "trained_chunks": 8,
        "pairs_without_chunk": 7,
        "train_seconds": 1.23,
        "embedder": "counting",
        "kept_back": "",
        "test_sets": [],
    }
    there = replace(here, service={"job_id": "j"}).as_json()
    assert there == row | {"trainer": "cloud", "service": {"job_id": "j"}}


def test_the_samples_questions_are_asked_of_the_sample_alone():
    chunks = sample_chunks()
    sample = Snapshot(tuple(chunks), np.zeros((len(chunks), 2), np.float32), "v1")
    assert measurement._sample_questions(SNAPSHOT, Counting()) is None
    questions = measurement._sample_questions(sample, Counting())
    assert len(questions.texts) == len(questions.vectors) == len(sample_questions())
    assert questions.sources == [chunk.id for chunk in sample.chunks]
    by_text = {question.question: question.document for question in sample_questions()}
    for text, rows in zip(questions.texts, questions.relevant, strict=True):
        assert {sample.chunks[row].document for row in rows} == {by_text[text]}
