"""The training job for a store in DeepLake Cloud: the service trains, this app measures."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
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
    evaluate_embeddings,
    evaluate_ids,
)
from services.deep_memory.figures import Questions, Ranked
from services.deep_memory.measurement import (
    Material,
    at_most,
    complete,
    measured,
    on_test_sets,
    prepare,
)
from services.deep_memory.model_store import ModelStore
from services.deep_memory.run_questions import RunQuestions
from services.deep_memory.test_sets import (
    OwnQuestion,
    evaluate_places,
    figures_of,
    require_answers,
)
from services.errors import TrainingError
from services.models import TrainingRun
from services.ranking.untrained import Untrained
from services.retrieval.cloud_store import CloudVectorStore
from services.retrieval.content import Snapshot
from services.retrieval.embeddings import Embedder
from services.retrieval.nearest import best_rows
from services.runs.lease import RunLease, RunLost
from services.runs.store import RunStore

# Each measured question is a search over the network.
MOST_MEASURED = 300
_NOTE_EVERY_S = 1.0


def train_in_cloud(
    lease: RunLease,
    run: TrainingRun,
    *,
    questions: RunQuestions,
    store: CloudVectorStore,
    embedder: Embedder,
    watching: Watching,
    models: ModelStore,
) -> None:
    """Have the service train on most of the pairs, measure on the others, complete the run.

    The service's own figures, which are too optimistic, are stored separately under "service".

    Raises:
        TrainingError: the pairs do not fit, or the service cannot train. The pairs are kept.
        StoreUnavailable: the service trained, but did not answer the searches that measure it.
        RunLost: the run was stopped or handed on. The job continues until somebody cancels it.
    """
    snapshot = store.snapshot()
    material = prepare(lease, questions, snapshot, embedder)
    began = time.monotonic()
    figures = _train(lease, run, store, material, watching)
    train_seconds = time.monotonic() - began

    lease.note_training("Measuring on held-out questions", 0.95)
    sets = on_test_sets(
        lease,
        questions,
        lambda name, own: measure_in_cloud(name, own, snapshot, embedder, store, check=lease.check),
    )
    metrics = measured(
        material,
        at_most(material.split.held_out, MOST_MEASURED),
        lambda asked: _measure(lease, asked, snapshot, store),
        sets,
        embedder,
        train_seconds,
        service=asdict(figures),
    )
    models.save_trained_on(run, material.train.texts)
    complete(lease, run, metrics, models)


def _train(
    lease: RunLease,
    run: TrainingRun,
    store: CloudVectorStore,
    material: Material,
    watching: Watching,
) -> ServiceFigures:
    train = material.train
    relevant = [
        [(pair.chunk_id, pair.relevance_score) for pair, _ in material.asked[row]]
        for row in material.split.train
    ]
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
            # Whoever stopped the run could not cancel a job that was still being submitted. Try
            # once only: whoever proceeds in the meantime adopts the job.
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
                CloudPairs(train.texts, relevant, train.vectors),
                record=record,
                recorded=Submission.of(run),
                on_progress=on_progress,
                stop=lease.lost,
            )
    except WatchingStopped as stopped:
        raise RunLost from stopped


def _measure(
    lease: RunLease, questions: Questions, snapshot: Snapshot, store: CloudVectorStore
) -> Ranked:
    """Evaluate without the model, which needs no call, and with it, by searching the store."""
    before = evaluate_embeddings(questions.vectors, snapshot.embeddings, questions.relevant)
    ranked = []
    for vector in questions.vectors:
        lease.check()
        hits = store.search(vector, RANKING_DEPTH, deep_memory=True)
        ranked.append([hit.chunk_id for hit in hits])
    relevant = [{snapshot.chunks[row].id for row in rows} for rows in questions.relevant]
    return Ranked({Untrained.COSINE: before}, evaluate_ids(ranked, relevant))


def measure_in_cloud(
    name: str,
    questions: Sequence[OwnQuestion],
    snapshot: Snapshot,
    embedder: Embedder,
    store: CloudVectorStore,
    check: Callable[[], None] | None = None,
) -> dict[str, Any]:
    """Measure the model that DeepLake Cloud holds, on at most MOST_MEASURED of the questions.

    Each question is one search there; `check` is called before it, and may end it. When measured by
    document, the first ten documents are those of the first hundred chunks.

    Raises:
        NotAllowed: the knowledge base answers none of them.
        AppError: the embedder or the service does not answer.
    """
    found = require_answers(questions, snapshot)
    found = found.only(at_most(np.arange(len(found.texts)), MOST_MEASURED))
    vectors = embedder.embed(found.texts)
    row_of = {chunk.id: row for row, chunk in enumerate(snapshot.chunks)}
    ranked = []
    for vector in vectors:
        if check:
            check()
        hits = store.search(vector, found.depth, deep_memory=True)
        ranked.append([row_of[hit.chunk_id] for hit in hits if hit.chunk_id in row_of])
    by_cosine = [
        best_rows(snapshot.embeddings @ vector, found.depth).tolist() for vector in vectors
    ]
    before = evaluate_places(by_cosine, found, snapshot)
    after = evaluate_places(ranked, found, snapshot)
    return figures_of(name, found, vectors, snapshot, Ranked({Untrained.COSINE: before}, after))
