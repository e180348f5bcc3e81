"""The training job: pairs -> held-out split -> trainer -> recall before and after -> completed."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from services.deep_memory.evaluation import (
    Evaluation,
    compare,
    evaluate_blocks,
    evaluate_embeddings,
    measured_lower,
)
from services.deep_memory.hybrid import DeepMemoryModel, SearchIndex, train_hybrid
from services.deep_memory.local_trainer import TrainingStopped
from services.deep_memory.model_store import ModelStore
from services.deep_memory.split import answering_groups, split_by_document
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
_MOST_MOVES = 1000  # of each side; 160 kB
_MOVES_IN_ROW = 20
SAMPLE_TEST_SET = "Hand-written questions of the sample"


@dataclass(frozen=True, slots=True)
class Questions:
    """Questions with the rows of the snapshot that answer them. `vectors` is (n, width).

    `sources[row]` is the id of the chunk, or the name of the document, that a row stands for.
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


def train_deep_memory(
    lease: RunLease,
    run: TrainingRun,
    *,
    pairs: Sequence[TrainingPair],
    snapshot: Snapshot,
    index: SearchIndex,
    embedder: Embedder,
    models: ModelStore,
) -> None:
    """Train on most of the pairs, measure on the others, and complete the run.

    `index` is that of `snapshot`.

    Raises:
        TrainingError: too few pairs, or none whose chunk is still there. The pairs are kept.
        RunLost: the run was stopped or handed on.
    """
    asked = pairs_by_question(pairs, snapshot)
    lease.note_training("Embedding the questions", 0.0)
    questions = embed_questions(lease, asked, snapshot, embedder)
    split = split_by_document(
        questions.relevant,
        [chunk.document_id for chunk in snapshot.chunks],
        snapshot.embeddings,
        seed=SEED,
    )
    train, held_out = questions.only(split.train), questions.only(split.held_out)
    began = time.monotonic()
    model = _fit(lease, train, index, embedder)
    train_seconds = time.monotonic() - began

    lease.note_training("Measuring on held-out questions", 0.95)
    before, after = _measure(held_out, snapshot, index, model)
    metrics: dict[str, Any] = {
        **compared(held_out, before, after, split.groups[split.held_out]),
        "held_out_questions": len(split.held_out),
        "held_out_by": split.by,
        "trained_questions": len(split.train),
        "trained_chunks": len(set().union(*train.relevant)),
        "pairs_without_chunk": len(pairs) - sum(map(len, asked)),
        "train_seconds": round(train_seconds, 2),
        "embedder": embedder.name,
        "test_sets": _measure_test_sets(snapshot, index, embedder, model),
    }
    lease.check()  # whoever stopped the run may have removed it with its files
    models.save(run, model)
    complete(lease, run, metrics, models)


def complete(
    lease: RunLease, run: TrainingRun, metrics: dict[str, Any], models: ModelStore
) -> None:
    """Complete the run, and put its model to use unless it measured lower than plain search.

    A file keeps all moves; the row has the first, because screens poll it.
    """
    sets = [metrics, *metrics["test_sets"]]
    models.save_rank_changes(
        run, [{side: kept[side] for side in ("wins", "losses")} for kept in sets]
    )
    for kept in sets:
        kept.update({side: kept[side][:_MOVES_IN_ROW] for side in ("wins", "losses")})
    lower = measured_lower(metrics["before"], metrics["after"])
    lease.finish_training(metrics, activate=not lower)


def pairs_by_question(
    pairs: Sequence[TrainingPair], snapshot: Snapshot
) -> list[list[tuple[TrainingPair, int]]]:
    """Pairs whose chunk is in the knowledge base, each with the chunk's row.

    Those of one question, but for case and spacing, are together: all its chunks are relevant.

    Raises:
        TrainingError: there are none.
    """
    row_of = {chunk.id: row for row, chunk in enumerate(snapshot.chunks)}
    asked: dict[str, list[tuple[TrainingPair, int]]] = {}
    for pair in pairs:
        if pair.chunk_id in row_of and pair.relevance_score > 0:
            question = " ".join(pair.question_text.split()).casefold()
            asked.setdefault(question, []).append((pair, row_of[pair.chunk_id]))
    if not asked:
        raise TrainingError(
            "None of the pairs belongs to a document that is still in the knowledge base.",
            next_step="Add the documents again and proceed, or remove this run.",
        )
    return list(asked.values())


def embed_questions(
    lease: RunLease,
    asked: Sequence[Sequence[tuple[TrainingPair, int]]],
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


def _fit(
    lease: RunLease, train: Questions, index: SearchIndex, embedder: Embedder
) -> DeepMemoryModel:
    noted_at = 0.0

    def on_progress(epoch: int, epochs: int, recall: float) -> None:
        nonlocal noted_at
        if time.monotonic() - noted_at >= _NOTE_EVERY_S:
            noted_at = time.monotonic()
            step = f"Training (recall@10 on validation questions {recall:.3f})"
            lease.note_training(step, 0.2 + 0.75 * epoch / epochs)

    try:
        return train_hybrid(
            train.vectors,
            train.texts,
            index,
            train.relevant,
            seed=SEED,
            embedder=embedder.name,
            on_progress=on_progress,
            should_stop=lease.lost.is_set,
        )
    except TrainingStopped as stopped:
        raise RunLost from stopped


def _measure(
    questions: Questions, snapshot: Snapshot, index: SearchIndex, model: DeepMemoryModel
) -> tuple[Evaluation, Evaluation]:
    """The same questions by plain cosine and with the model."""

    def scores(start: int, stop: int) -> np.ndarray:
        return model.scores(questions.vectors[start:stop], questions.texts[start:stop], index)

    return (
        evaluate_embeddings(questions.vectors, snapshot.embeddings, questions.relevant),
        evaluate_blocks(scores, len(snapshot.chunks), questions.relevant),
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
    texts = [text for text, _ in answered]
    answers = [rows for _, rows in answered]
    sources = [chunk.id for chunk in snapshot.chunks]
    return Questions(texts, embedder.embed(texts), answers, sources)


def _measure_test_sets(
    snapshot: Snapshot, index: SearchIndex, embedder: Embedder, model: DeepMemoryModel
) -> list[dict[str, Any]]:
    questions = sample_test_questions(snapshot, embedder)
    if questions is None:
        return []
    return [sample_metrics(questions, snapshot, *_measure(questions, snapshot, index, model))]


def sample_metrics(
    questions: Questions, snapshot: Snapshot, before: Evaluation, after: Evaluation
) -> dict[str, Any]:
    """The row of the results page for the sample's own questions."""
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
    """What a run keeps of a comparison on the same questions, as JSON.

    `groups` (n,) names what each question shares its fate with: a document or a chunk.

    "ranks": [rank before, rank after, how many questions], None for a rank beyond the first ten.
    """
    result = compare(before, after, groups)
    ranks = [(_rank(was), _rank(is_)) for was, is_ in zip(before.mrr, after.mrr, strict=True)]

    def moved(rows: Sequence[int]) -> list[dict[str, Any]]:
        return [
            {
                "question": questions.texts[row],
                "before": ranks[row][0],
                "after": ranks[row][1],
                "relevant": sorted(questions.sources[found] for found in questions.relevant[row]),
            }
            for row in rows[:_MOST_MOVES]
        ]

    return {
        "before": before.as_metrics(),
        "after": after.as_metrics(),
        "verdict": result.verdict.value,
        "intervals": {name: list(interval) for name, interval in result.intervals.items()},
        "win_count": len(result.wins),
        "loss_count": len(result.losses),
        "wins": moved(result.wins),
        "losses": moved(result.losses),
        "ranks": [[*pair, count] for pair, count in Counter(ranks).most_common()],
    }


def _rank(reciprocal: float) -> int | None:
    """The rank of the first relevant chunk; None beyond the first ten."""
    return round(1 / reciprocal) if reciprocal > 0 else None
