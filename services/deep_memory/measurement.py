"""Measuring a training, wherever it ran: on which questions, and which results are kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from services.deep_memory.evaluation import Evaluation, compare, measured_lower
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
_MOST_RANK_CHANGES = 1000  # wins, and as many losses; 160 kB
_RANK_CHANGES_IN_ROW = 20
SAMPLE_TEST_SET = "Hand-written questions of the sample"


@dataclass(frozen=True, slots=True)
class Questions:
    """Questions with the rows of the snapshot that answer them. `vectors` is (n, width).

    `sources[row]` is the id of the chunk, or the name of the document, that the row stands for.
    """

    texts: list[str]
    vectors: np.ndarray
    relevant: list[set[int]]
    sources: Sequence[str]

    def only(self, rows: np.ndarray) -> Questions:
        return Questions(
            [self.texts[row] for row in rows],
            self.vectors[rows],
            [self.relevant[row] for row in rows],
            self.sources,
        )


# Questions -> evaluations of search without the trained model, and with it.
Measure = Callable[[Questions], tuple[Evaluation, Evaluation]]
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
    sample = _sample_questions(material.snapshot, embedder)
    before, after = measure(questions)
    return TrainingMetrics(
        compared(questions, before, after, split.groups[held_out]),
        held_out_questions=len(held_out),
        held_out_by=split.by,
        trained_questions=len(split.train),
        trained_chunks=len(set().union(*material.train.relevant)),
        pairs_without_chunk=material.pairs_without_chunk,
        train_seconds=train_seconds,
        embedder=embedder.name,
        test_sets=[]
        if sample is None
        else [_sample_figures(sample, material.snapshot, *measure(sample))],
        service=service,
    )


def complete(
    lease: RunLease, run: TrainingRun, metrics: TrainingMetrics, models: ModelStore
) -> None:
    """Complete the run, and activate its model unless it measured lower than plain search.

    A file keeps all rank changes; the row has only the first, because screens poll it.
    """
    row = metrics.as_json()
    sets = [row, *row["test_sets"]]
    models.save_rank_changes(
        run, [{side: kept[side] for side in ("wins", "losses")} for kept in sets]
    )
    for kept in sets:
        kept.update({side: kept[side][:_RANK_CHANGES_IN_ROW] for side in ("wins", "losses")})
    lower = measured_lower(row["before"], row["after"])
    lease.finish_training(row, activate=not lower)


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


def _sample_figures(
    questions: Questions, snapshot: Snapshot, before: Evaluation, after: Evaluation
) -> dict[str, Any]:
    """The results page's row for the sample's own questions."""
    documents = [chunk.document_id for chunk in snapshot.chunks]
    groups = answering_groups(questions.relevant, documents)
    return {
        "name": SAMPLE_TEST_SET,
        "questions": len(questions.relevant),
        **compared(questions, before, after, groups),
    }


def compared(
    questions: Questions, before: Evaluation, after: Evaluation, groups: np.ndarray
) -> dict[str, Any]:
    """What a run stores of a comparison on the same questions, as JSON.

    `groups` (n,) names the document or chunk of each question; see `evaluation.compare`.

    "ranks": [rank before, rank after, number of questions], None for a rank beyond the first ten.
    """
    result = compare(before, after, groups)
    ranks = [(_rank(was), _rank(is_)) for was, is_ in zip(before.mrr, after.mrr, strict=True)]

    def rank_changes(rows: Sequence[int]) -> list[dict[str, Any]]:
        return [
            {
                "question": questions.texts[row],
                "before": ranks[row][0],
                "after": ranks[row][1],
                "relevant": sorted(questions.sources[found] for found in questions.relevant[row]),
            }
            for row in rows[:_MOST_RANK_CHANGES]
        ]

    return {
        "before": before.as_metrics(),
        "after": after.as_metrics(),
        "verdict": result.verdict.value,
        "intervals": {name: list(interval) for name, interval in result.intervals.items()},
        "win_count": len(result.wins),
        "loss_count": len(result.losses),
        "wins": rank_changes(result.wins),
        "losses": rank_changes(result.losses),
        "ranks": [[*pair, count] for pair, count in Counter(ranks).most_common()],
    }


def _rank(reciprocal: float) -> int | None:
    """The rank of the first relevant chunk; None beyond the first ten."""
    return round(1 / reciprocal) if reciprocal > 0 else None
