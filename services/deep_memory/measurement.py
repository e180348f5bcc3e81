"""Measuring a training, wherever it ran: on which questions, and which results are kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from services.deep_memory.evaluation import Verdict, compare, is_improvement
from services.deep_memory.figures import Questions, Ranked, compared
from services.deep_memory.model_store import ModelStore
from services.deep_memory.split import Split, answering_groups, split_by_document
from services.errors import TrainingError
from services.knowledge.sample import relevant_chunks, sample_questions
from services.models import TrainingPair, TrainingRun
from services.pairs.rules import is_relevant, question_key
from services.retrieval.content import Snapshot
from services.retrieval.embeddings import Embedder
from services.runs.lease import RunLease

SEED = 0
_EMBEDDED_AT_ONCE = 1024
_RANK_CHANGES_IN_ROW = 20
SAMPLE_TEST_SET = "Hand-written questions of the sample"


Measure = Callable[[Questions], Ranked]
AskedPairs = list[tuple[TrainingPair, int]]  # of one question, each with its chunk's row


@dataclass(frozen=True, slots=True)
class Material:
    """The prepared pairs of a run: grouped by question, embedded, some of them held out."""

    snapshot: Snapshot
    asked: list[AskedPairs]
    questions: Questions  # one for each of `asked`
    split: Split
    pairs_without_chunk: int

    @property
    def train(self) -> Questions:
        return self.questions.only(self.split.train)


@dataclass(frozen=True, slots=True)
class TrainingMetrics:
    """The results that are stored for a completed training."""

    held_out: Mapping[str, Any]  # `compared` on the held-out questions
    held_out_questions: int
    held_out_by: str  # "document" or "chunk"
    trained_questions: int
    trained_chunks: int
    pairs_without_chunk: int
    train_seconds: float
    embedder: str
    kept_back: str = ""  # why search does not use the model by itself; empty if it does
    test_sets: Sequence[Mapping[str, Any]] = ()  # name, number of questions and `compared` of each
    service: Mapping[str, Any] | None = None  # DeepLake Cloud's own figures, if it trained
    map_alone: Mapping[str, Any] | None = None  # what an exported model does; see `map_alone`

    def as_json(self) -> dict[str, Any]:
        """The value of the run's column `metrics`, with all rank changes."""
        of_cloud = {} if self.service is None else {"trainer": "cloud", "service": self.service}
        of_map = {} if self.map_alone is None else {"map_alone": self.map_alone}
        return {
            **of_cloud,
            **of_map,
            **self.held_out,
            "held_out_questions": self.held_out_questions,
            "held_out_by": self.held_out_by,
            "trained_questions": self.trained_questions,
            "trained_chunks": self.trained_chunks,
            "pairs_without_chunk": self.pairs_without_chunk,
            "train_seconds": round(self.train_seconds, 2),
            "embedder": self.embedder,
            "kept_back": self.kept_back,
            "test_sets": [dict(kept) for kept in self.test_sets],
        }


def prepare(
    lease: RunLease, pairs: Sequence[TrainingPair], snapshot: Snapshot, embedder: Embedder
) -> Material:
    """Embed the questions and hold some out.

    Raises:
        TrainingError: too few pairs, or none whose chunk is still there. The pairs are kept.
        RunLost: the run was stopped or handed on.
    """
    asked = pairs_by_question(pairs, snapshot)
    lease.note_training("Embedding the questions", 0.0)
    questions = _embedded(lease, asked, snapshot, embedder)
    split = split_by_document(
        questions.relevant,
        [chunk.document_id for chunk in snapshot.chunks],
        snapshot.embeddings,
        seed=SEED,
    )
    left_out = len(pairs) - sum(map(len, asked))
    return Material(snapshot, asked, questions, split, left_out)


def measured(
    material: Material,
    held_out: np.ndarray,
    measure: Measure,
    embedder: Embedder,
    train_seconds: float,
    service: Mapping[str, Any] | None = None,
) -> TrainingMetrics:
    """Measure on the questions in rows `held_out`, and on the sample's own if it is loaded."""
    questions, split = material.questions.only(held_out), material.split
    groups = split.groups[held_out]
    sample = _sample_questions(material.snapshot, embedder)
    ranked = measure(questions)
    sets = [] if sample is None else [_sample_figures(sample, material.snapshot, measure(sample))]
    figures = compared(questions, ranked, groups)
    return TrainingMetrics(
        figures,
        held_out_questions=len(held_out),
        held_out_by=split.by,
        trained_questions=len(split.train),
        trained_chunks=len(set().union(*material.train.relevant)),
        pairs_without_chunk=material.pairs_without_chunk,
        train_seconds=train_seconds,
        embedder=embedder.name,
        kept_back=_why_kept_back(figures, ranked, groups, sets),
        test_sets=sets,
        service=service,
    )


def at_most(rows: np.ndarray, count: int) -> np.ndarray:
    """All rows, or a random `count` of them, the same ones each time."""
    if len(rows) <= count:
        return rows
    return np.sort(np.random.default_rng(SEED).choice(rows, count, replace=False))


def complete(
    lease: RunLease, run: TrainingRun, metrics: TrainingMetrics, models: ModelStore
) -> None:
    """Complete the run, and activate its model unless it is kept back.

    A file keeps all rank changes; the row has only the first, because screens poll it.
    """
    row = metrics.as_json()
    sets = [row, *row["test_sets"]]
    models.save_rank_changes(
        run, [{side: kept[side] for side in ("wins", "losses")} for kept in sets]
    )
    for kept in sets:
        kept.update({side: kept[side][:_RANK_CHANGES_IN_ROW] for side in ("wins", "losses")})
    lease.finish_training(row, activate=not metrics.kept_back)


def _why_kept_back(
    figures: Mapping[str, Any],
    ranked: Ranked,
    groups: np.ndarray,
    sets: Sequence[Mapping[str, Any]],
) -> str:
    """Why the model does not take the place of what search uses now; empty if it does. `figures`
    are those of the held-out questions, as `ranked` ranks them; `sets` those of the others.

    It has to be proven better on held-out questions than search without training and than the model
    in use, which is an advantage of the latter if it was trained on some of them; and not worse on
    any other set: of models that
    were trained on shuffled answers, most measure a little higher or lower by chance.
    """
    gains = {"search without training": figures["intervals"]}
    if ranked.in_use:
        gains["the model in use"] = compare(ranked.in_use, ranked.after, groups).intervals
    for what, intervals in gains.items():
        if not is_improvement(intervals, len(groups)):
            return f"It is not proven better than {what}."
    worse = [kept["name"] for kept in sets if kept["verdict"] == Verdict.WORSE.value]
    return f"It is worse on: {', '.join(worse)}." if worse else ""


def pairs_by_question(pairs: Sequence[TrainingPair], snapshot: Snapshot) -> list[AskedPairs]:
    """Pairs whose chunk is in the knowledge base, each with the chunk's row.

    They are grouped by question: all chunks of a group are relevant to it.

    Raises:
        TrainingError: there are none.
    """
    row_of = {chunk.id: row for row, chunk in enumerate(snapshot.chunks)}
    asked: dict[str, AskedPairs] = {}
    for pair in pairs:
        if pair.chunk_id in row_of and is_relevant(pair.relevance_score):
            same = asked.setdefault(question_key(pair.question_text), [])
            same.append((pair, row_of[pair.chunk_id]))
    if not asked:
        raise TrainingError(
            "None of the pairs belongs to a document that is still in the knowledge base.",
            next_step="Add the documents again and proceed, or remove this run.",
        )
    return list(asked.values())


def _embedded(
    lease: RunLease,
    asked: Sequence[AskedPairs],
    snapshot: Snapshot,
    embedder: Embedder,
) -> Questions:
    """Embed the question of each group of pairs; the chunks of the group are relevant."""
    texts = [pairs[0][0].question_text for pairs in asked]
    vectors = []
    for first in range(0, len(texts), _EMBEDDED_AT_ONCE):
        lease.check()
        batch = texts[first : first + _EMBEDDED_AT_ONCE]
        with lease.watching(embedder.waiting):
            vectors.append(embedder.embed(batch))
        lease.note_training("Embedding the questions", 0.2 * (first + len(batch)) / len(texts))
    return Questions(
        texts,
        np.concatenate(vectors),
        [{row for _, row in pairs} for pairs in asked],
        [chunk.id for chunk in snapshot.chunks],
    )


def _sample_questions(snapshot: Snapshot, embedder: Embedder) -> Questions | None:
    """The sample's own hand-written questions, if the sample is loaded."""
    row_of = {chunk.id: row for row, chunk in enumerate(snapshot.chunks)}
    by_document: dict[str, list[Any]] = {}
    for chunk in snapshot.chunks:
        by_document.setdefault(chunk.document, []).append(chunk)
    answered = [
        (question.question, {row_of[found] for found in relevant})
        for question in sample_questions()
        if (relevant := relevant_chunks(question, by_document.get(question.document, [])))
    ]
    if not answered:
        return None
    texts = [text for text, _ in answered]
    answers = [rows for _, rows in answered]
    sources = [chunk.id for chunk in snapshot.chunks]
    return Questions(texts, embedder.embed(texts), answers, sources)


def _sample_figures(questions: Questions, snapshot: Snapshot, ranked: Ranked) -> dict[str, Any]:
    """The results page's row for the sample's own questions."""
    documents = [chunk.document_id for chunk in snapshot.chunks]
    groups = answering_groups(questions.relevant, documents)
    return {
        "name": SAMPLE_TEST_SET,
        "questions": len(questions.relevant),
        **compared(questions, ranked, groups),
    }
