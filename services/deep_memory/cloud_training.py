"""The training job for a store in DeepLake Cloud: the service trains, this app measures."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from services.deep_memory.activeloop_trainer import (
    ActiveloopTrainer,
    CloudPairs,
    ServiceFigures,
)
from services.deep_memory.cloud_jobs import (
    Submission,
    Watching,
    WatchingStopped,
    cancel_job,
    record_submission,
)
from services.deep_memory.evaluation import (
    RANKING_DEPTH,
    Evaluation,
    evaluate_embeddings,
    evaluate_ids,
)
from services.deep_memory.model_store import ModelStore
from services.deep_memory.split import split_by_document
from services.deep_memory.training import (
    SEED,
    Questions,
    compared,
    complete,
    embed_questions,
    pairs_by_question,
    sample_metrics,
    sample_test_questions,
)
from services.errors import TrainingError
from services.models import TrainingPair, TrainingRun
from services.retrieval.cloud_store import CloudVectorStore
from services.retrieval.content import Snapshot
from services.retrieval.embeddings import Embedder
from services.runs.lease import RunLease, RunLost
from services.runs.store import RunStore

# Each measured question is a search over the network.
MOST_MEASURED = 300
_NOTE_EVERY_S = 1.0


def train_in_cloud(
    lease: RunLease,
    run: TrainingRun,
    *,
    pairs: Sequence[TrainingPair],
    store: CloudVectorStore,
    embedder: Embedder,
    watching: Watching,
    models: ModelStore,
) -> None:
    """Have the service train on most of the pairs, measure on the others, complete the run.

    The service's own figure is stored beside the measured ones, under "service": it flatters.

    Raises:
        TrainingError: the pairs do not fit, or the service can not train. The pairs are kept.
        StoreUnavailable: the service trained and then did not answer the measuring searches.
        RunLost: the run was stopped or handed on. The job goes on until somebody cancels it.
    """
    snapshot = store.snapshot()
    asked = pairs_by_question(pairs, snapshot)
    questions = embed_questions(lease, asked, snapshot, embedder)
    documents = [chunk.document_id for chunk in snapshot.chunks]
    split = split_by_document(questions.relevant, documents, snapshot.embeddings, seed=SEED)
    train = questions.only(split.train)
    chosen = [[pair for pair, _ in asked[row]] for row in split.train]
    began = time.monotonic()
    figures = _train(lease, run, store, chosen, train, watching)
    train_seconds = time.monotonic() - began

    lease.note_training("Measuring on held-out questions", 0.95)
    measured = at_most(split.held_out, MOST_MEASURED)
    held_out = questions.only(measured)
    before, after = _measure(lease, held_out, snapshot, store)
    metrics: dict[str, Any] = {
        "trainer": "cloud",
        "service": asdict(figures),
        **compared(held_out, before, after, split.groups[measured]),
        "held_out_questions": len(measured),
        "held_out_by": split.by,
        "trained_questions": len(split.train),
        "trained_chunks": len(set().union(*train.relevant)),
        "pairs_without_chunk": len(pairs) - sum(map(len, asked)),
        "train_seconds": round(train_seconds, 2),
        "embedder": embedder.name,
        "test_sets": _measure_test_sets(lease, snapshot, store, embedder),
    }
    complete(lease, run, metrics, models)


def _train(
    lease: RunLease,
    run: TrainingRun,
    store: CloudVectorStore,
    chosen: Sequence[Sequence[TrainingPair]],
    train: Questions,
    watching: Watching,
) -> ServiceFigures:
    noted_at = 0.0

    def on_progress(words: str, share: float) -> None:
        nonlocal noted_at
        if time.monotonic() - noted_at >= _NOTE_EVERY_S:
            noted_at = time.monotonic()
            lease.note_training(words, 0.2 + 0.75 * share)

    def record(submission: Submission) -> None:
        try:
            record_submission(lease, submission)
        except RunLost:
            # Whoever stopped the run could not cancel a job that was still being submitted. One
            # try: whoever proceeds in the meantime takes the job up.
            if submission.job_id and lease.was_stopped():
                try:
                    cancel_job(store, submission, stop=lease.lost)
                except TrainingError as error:
                    goes_on = str(error)
                    lease.retrying(
                        lambda: RunStore(lease.database).say_job_goes_on(run.id, goes_on)
                    )
            raise

    trainer = ActiveloopTrainer(store, watching)
    try:
        with lease.watching(trainer.waiting):
            return trainer.train(
                CloudPairs(
                    train.texts,
                    [[(pair.chunk_id, pair.relevance_score) for pair in pairs] for pairs in chosen],
                    train.vectors,
                ),
                record=record,
                recorded=Submission.of(run),
                on_progress=on_progress,
                stop=lease.lost,
            )
    except WatchingStopped as stopped:
        raise RunLost from stopped


def _measure(
    lease: RunLease, questions: Questions, snapshot: Snapshot, store: CloudVectorStore
) -> tuple[Evaluation, Evaluation]:
    """The same questions without the model, which needs no call, and with it, as searches go."""
    before = evaluate_embeddings(questions.vectors, snapshot.embeddings, questions.relevant)
    ranked = []
    for vector in questions.vectors:
        lease.check()
        hits = store.search(vector, RANKING_DEPTH, deep_memory=True)
        ranked.append([hit.chunk_id for hit in hits])
    relevant = [{snapshot.chunks[row].id for row in rows} for rows in questions.relevant]
    return before, evaluate_ids(ranked, relevant)


def _measure_test_sets(
    lease: RunLease, snapshot: Snapshot, store: CloudVectorStore, embedder: Embedder
) -> list[dict[str, Any]]:
    questions = sample_test_questions(snapshot, embedder)
    if questions is None:
        return []
    return [sample_metrics(questions, snapshot, *_measure(lease, questions, snapshot, store))]


def at_most(rows: np.ndarray, count: int) -> np.ndarray:
    """All rows, or `count` of them by chance, the same ones each time."""
    if len(rows) <= count:
        return rows
    return np.sort(np.random.default_rng(SEED).choice(rows, count, replace=False))
