"""The training job: pairs -> held-out split -> trainer -> recall before and after -> completed."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from services.deep_memory.evaluation import Evaluation, evaluate_embeddings, split_by_document
from services.deep_memory.local_trainer import QueryMap, TrainingStopped, train_query_map
from services.deep_memory.model_store import ModelStore
from services.errors import TrainingError
from services.knowledge.sample import relevant_chunks, sample_questions
from services.models import TrainingPair, TrainingRun
from services.retrieval.content import Snapshot
from services.retrieval.embeddings import Embedder
from services.runs.lease import RunLease, RunLost

log = logging.getLogger(__name__)

SEED = 0
_EMBEDDED_AT_ONCE = 1024
_NOTE_EVERY_S = 1.0
SAMPLE_TEST_SET = "Hand-written questions of the sample"


@dataclass(frozen=True, slots=True)
class Questions:
    """Questions with the rows of the snapshot that answer them. `vectors` is (n, width)."""

    vectors: np.ndarray
    relevant: list[set[int]]

    def only(self, rows: np.ndarray) -> Questions:
        return Questions(self.vectors[rows], [self.relevant[row] for row in rows])


def train_deep_memory(
    lease: RunLease,
    run: TrainingRun,
    *,
    pairs: Sequence[TrainingPair],
    snapshot: Snapshot,
    embedder: Embedder,
    models: ModelStore,
) -> None:
    """Train on most of the pairs, measure on the others, and complete the run.

    Raises:
        TrainingError: too few pairs, or none whose chunk is still there. The pairs are kept.
        RunLost: the run was stopped or handed on.
    """
    present = pairs_with_chunks(pairs, snapshot)
    lease.note_training("Embedding the questions", 0.0)
    questions = embed_questions(lease, present, snapshot, embedder)
    split = split_by_document(
        questions.relevant,
        [chunk.document_id for chunk in snapshot.chunks],
        snapshot.embeddings,
        seed=SEED,
    )
    train, held_out = questions.only(split.train), questions.only(split.held_out)
    began = time.monotonic()
    model = _fit(lease, train, snapshot, embedder)
    train_seconds = time.monotonic() - began

    lease.note_training("Measuring on held-out questions", 0.95)
    before, after = _measure(held_out, snapshot, model)
    metrics: dict[str, Any] = {
        "before": before.as_metrics(),
        "after": after.as_metrics(),
        "held_out_questions": len(split.held_out),
        "trained_questions": len(split.train),
        "trained_chunks": len(set().union(*train.relevant)),
        "pairs_without_chunk": len(pairs) - len(present),
        "train_seconds": round(train_seconds, 2),
        "embedder": embedder.name,
        "test_sets": _measure_test_sets(snapshot, embedder, model),
    }
    metrics["is_worse"] = is_worse(metrics["before"], metrics["after"])
    models.save(run, model)
    lease.finish_training(metrics, activate=not metrics["is_worse"])


def pairs_with_chunks(
    pairs: Sequence[TrainingPair], snapshot: Snapshot
) -> list[tuple[TrainingPair, int]]:
    """Pairs whose chunk is in the knowledge base, each with the chunk's row."""
    row_of = {chunk.id: row for row, chunk in enumerate(snapshot.chunks)}
    present = [
        (pair, row_of[pair.chunk_id])
        for pair in pairs
        if pair.chunk_id in row_of and pair.relevance_score > 0
    ]
    if not present:
        raise TrainingError(
            "None of the pairs belongs to a document that is still in the knowledge base.",
            next_step="Add the documents again and proceed, or remove this run.",
        )
    return present


def embed_questions(
    lease: RunLease,
    present: Sequence[tuple[TrainingPair, int]],
    snapshot: Snapshot,
    embedder: Embedder,
) -> Questions:
    vectors = []
    for first in range(0, len(present), _EMBEDDED_AT_ONCE):
        lease.check()
        batch = present[first : first + _EMBEDDED_AT_ONCE]
        vectors.append(embedder.embed([pair.question_text for pair, _ in batch]))
        lease.note_training("Embedding the questions", 0.2 * (first + len(batch)) / len(present))
    return Questions(np.concatenate(vectors), [{row} for _, row in present])


def _fit(lease: RunLease, train: Questions, snapshot: Snapshot, embedder: Embedder) -> QueryMap:
    noted_at = 0.0

    def on_progress(epoch: int, epochs: int, recall: float) -> None:
        nonlocal noted_at
        if time.monotonic() - noted_at >= _NOTE_EVERY_S:
            noted_at = time.monotonic()
            step = f"Training (recall@10 on validation questions {recall:.3f})"
            lease.note_training(step, 0.2 + 0.75 * epoch / epochs)

    try:
        return train_query_map(
            train.vectors,
            snapshot.embeddings,
            train.relevant,
            seed=SEED,
            embedder=embedder.name,
            on_progress=on_progress,
            should_stop=lease.lost.is_set,
        )
    except TrainingStopped as stopped:
        raise RunLost from stopped


def _measure(
    questions: Questions, snapshot: Snapshot, model: QueryMap
) -> tuple[Evaluation, Evaluation]:
    """The same questions without and with the model."""
    return (
        evaluate_embeddings(questions.vectors, snapshot.embeddings, questions.relevant),
        evaluate_embeddings(
            model.apply(questions.vectors), snapshot.embeddings, questions.relevant
        ),
    )


def sample_test_questions(snapshot: Snapshot, embedder: Embedder) -> Questions | None:
    """Questions that no generator saw: the sample's own, when the sample is loaded."""
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
    return Questions(embedder.embed([text for text, _ in answered]), [rows for _, rows in answered])


def _measure_test_sets(
    snapshot: Snapshot, embedder: Embedder, model: QueryMap
) -> list[dict[str, Any]]:
    questions = sample_test_questions(snapshot, embedder)
    if questions is None:
        return []
    before, after = _measure(questions, snapshot, model)
    return [sample_metrics(questions, before, after)]


def sample_metrics(questions: Questions, before: Evaluation, after: Evaluation) -> dict[str, Any]:
    """The row of the results page for the sample's own questions."""
    return {
        "name": SAMPLE_TEST_SET,
        "questions": len(questions.relevant),
        "before": before.as_metrics(),
        "after": after.as_metrics(),
    }


def is_worse(before: dict[str, float], after: dict[str, float]) -> bool:
    """Whether the held-out result fell: by recall@10, and by nDCG@10 where that is equal."""
    key = ("recall@10", "ndcg@10")
    return [after[name] for name in key] < [before[name] for name in key]
