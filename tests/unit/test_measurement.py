"""What both trainers take and keep: which pairs ask the same, what moved, what a row holds."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from services.deep_memory import figures, measurement
from services.deep_memory.evaluation import Evaluation, evaluate_ranks
from services.deep_memory.figures import Questions, Ranked, compared
from services.deep_memory.measured_sets import HELD_OUT
from services.deep_memory.measurement import (
    TrainingMetrics,
    _why_kept_back,
    complete,
    on_test_sets,
    pairs_by_question,
    prepare,
    usable_pairs,
)
from services.deep_memory.model_store import ModelStore
from services.deep_memory.run_questions import RunQuestions
from services.deep_memory.test_sets import Expected, OwnQuestion
from services.deep_memory.verdicts import Verdict
from services.deep_memory.versions import versions
from services.errors import NotAllowed, TrainingError
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
    ]
    asked = pairs_by_question(pairs, SNAPSHOT)
    assert [[(found.id, row) for found, row in group] for group in asked] == [
        [("p0", 2), ("p2", 0)],
        [("p1", 1)],
    ]


def test_pairs_whose_documents_are_all_gone_are_refused_in_words():
    usable, left_out = usable_pairs([pair(0, "Who pays?", "gone")], SNAPSHOT, ())
    assert (usable, left_out) == ([], {"chunk is gone": 1})
    with pytest.raises(TrainingError, match="still in the"):
        pairs_by_question(usable, SNAPSHOT)


def test_what_teaches_nothing_or_measures_search_is_left_out_with_its_reason():
    blank = replace(CHUNKS[0], id="blank", text=" ")
    snapshot = Snapshot((*CHUNKS, blank), np.eye(4, dtype=np.float32), "v1")
    pairs = [
        pair(0, "Who pays?", "c2"),
        pair(1, "  ", "c1"),
        pair(2, "Who?", "blank"),
        pair(3, "why " * 2_000, "c1"),
        pair(4, "Which  ONE?", "c1"),
        pair(5, "Who pays?", "gone"),
        pair(6, "Who?", "gone"),
    ]
    usable, left_out = usable_pairs(pairs, snapshot, {"which one?"})
    assert [found.id for found in usable] == ["p0"]
    assert left_out == {
        "no question": 1,
        "empty chunk": 1,
        "question is too long": 1,
        "test question": 1,
        "chunk is gone": 2,
    }


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
    material = prepare(lease, RunQuestions(PAIRS), TWICE, embedder)
    questions = material.questions
    assert embedder.asked == [3, 3, 1]
    assert lease.watched == [embedder.waiting] * 3
    assert questions.vectors[:, 0].tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert [len(text) for text in questions.texts] == [1, 2, 3, 4, 5, 6, 7]
    assert questions.relevant == [{n, n + 7} for n in range(7)]
    assert questions.sources == [chunk.id for chunk in TWICE.chunks]
    shares = [share for _, share in lease.notes]
    assert shares == pytest.approx([0, 0.2 * 3 / 7, 0.2 * 6 / 7, 0.2])
    assert material.left_out == {"chunk is gone": 1}
    assert len(material.taught) == 0
    assert material.train.texts == [questions.texts[row] for row in material.split.train]


def test_peoples_training_questions_are_trained_on_and_their_documents_not_held_out():
    of_people = [pair(n, f"Person {n}?", f"c{n}") for n in range(5)]
    material = prepare(Lease(), RunQuestions(PAIRS, of_people), TWICE, Counting())
    trained = {material.questions.texts[row] for row in material.split.train}
    assert {one.question_text for one in of_people} <= trained
    assert len(material.taught) == 5
    held_out = set().union(*material.questions.only(material.split.held_out).relevant)
    assert held_out
    assert held_out.isdisjoint(range(5))


def test_a_test_question_is_never_trained_on():
    sets = {"mine": [OwnQuestion("x", (Expected("c0"),))]}
    material = prepare(Lease(), RunQuestions(PAIRS, test_sets=sets), TWICE, Counting())
    assert "x" not in material.questions.texts
    assert material.left_out == {"chunk is gone": 1, "test question": 2}


def test_a_set_without_an_answer_in_the_knowledge_base_is_passed_over():
    asked_of = RunQuestions([], test_sets={"gone": [], "mine": []})

    def measure(name: str, questions: Any) -> dict[str, Any]:
        if name == "gone":
            raise NotAllowed("none")
        return {"name": name}

    assert on_test_sets(Lease(), asked_of, measure) == [{"name": "mine"}]


def test_a_stop_ends_the_embedding_before_the_next_part_is_paid_for(monkeypatch):
    monkeypatch.setattr(measurement, "_EMBEDDED_AT_ONCE", 3)
    lease, embedder = Lease(), Counting()
    lease.note_training = lambda step, share: lease.lost.set() if share else None
    with pytest.raises(RunLost):
        prepare(lease, RunQuestions(PAIRS), TWICE, embedder)
    assert embedder.asked == [3]


def kept(before: Evaluation, after: Evaluation, **more: Any) -> TrainingMetrics:
    return TrainingMetrics(
        comparison(before, after) | more,
        len(before),
        "document",
        held_out_imported=1,
        trained_questions=9,
        trained_chunks=8,
        of_people=2,
        left_out={"chunk is gone": 7},
        train_seconds=1.234,
        embedder="counting",
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
    on_both = {"recall@10": verdict.value, "ndcg@10": verdict.value}
    sets = [{"name": "Our own", "verdicts": on_both}]
    assert _why_kept_back(ranked, np.arange(30), sets) == reason


def test_on_few_held_out_questions_search_keeps_what_it_uses():
    ranked = Ranked({Untrained.COSINE: found_at(*[None] * 19)}, found_at(*[1] * 19))
    said = "19 held-out questions are too few to measure."
    assert _why_kept_back(ranked, np.arange(19), []) == said


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
    assert models.rank_changes(run) == {
        HELD_OUT: {"wins": wins, "losses": losses},
        "other": {"wins": losses, "losses": wins},
    }
    models.add_rank_changes(run, {"name": "later", "wins": [], "losses": losses})
    models.add_rank_changes(run, {"name": "other", "wins": wins, "losses": wins})
    assert models.rank_changes(run) == {
        HELD_OUT: {"wins": wins, "losses": losses},
        "later": {"wins": [], "losses": losses},
        "other": {"wins": wins, "losses": wins},
    }
    [(row, _)] = lease.finished
    assert (row["wins"], row["losses"]) == (wins[:20], losses)
    assert (row["test_sets"][0]["wins"], row["test_sets"][0]["losses"]) == (losses, wins[:20])


def test_the_row_says_what_was_trained_and_by_whom_only_where_that_was_the_cloud():
    here = kept(found_at(2, 3), found_at(1, 3))
    row = here.as_json()
    assert {name: row[name] for name in row if name not in here.held_out} == {
        "held_out_questions": 2,
        "held_out_by": "document",
        "held_out_imported": 1,
        "trained_questions": 9,
        "trained_chunks": 8,
        "of_people": 2,
        "left_out": {"chunk is gone": 7},
        "train_seconds": 1.23,
        "embedder": "counting",
        "model_hash": None,
        "versions": versions(),
        "kept_back": "",
        "test_sets": [],
    }
    there = replace(here, service={"job_id": "j"}).as_json()
    assert there == row | {"trainer": "cloud", "service": {"job_id": "j"}}
