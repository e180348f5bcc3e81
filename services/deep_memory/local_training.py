"""The training job on this machine: training, and measuring on held-out questions or test sets."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from services.deep_memory.evaluation import Evaluation, evaluate_blocks, evaluate_embeddings
from services.deep_memory.hybrid import DeepMemoryModel, SearchIndex, train_hybrid
from services.deep_memory.local_trainer import TrainingStopped
from services.deep_memory.map_alone import map_alone
from services.deep_memory.measurement import SEED, Questions, complete, measured, prepare
from services.deep_memory.model_store import ModelStore
from services.deep_memory.test_sets import (
    OwnQuestion,
    document_starts,
    figures_of,
    pooled,
    require_answers,
)
from services.models import TrainingPair, TrainingRun
from services.retrieval.content import Snapshot
from services.retrieval.embeddings import Embedder
from services.runs.lease import RunLease, RunLost

_NOTE_EVERY_S = 1.0


def train_locally(
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
    material = prepare(lease, pairs, snapshot, embedder)
    began = time.monotonic()
    model = _fit(lease, material.train, index, embedder)
    train_seconds = time.monotonic() - began

    lease.note_training("Measuring on held-out questions", 0.95)
    metrics = measured(
        material,
        material.split.held_out,
        lambda questions: _measure(questions, snapshot, index, model),
        embedder,
        train_seconds,
    )
    held_out = material.split.held_out
    alone = map_alone(
        material.questions.only(held_out),
        material.split.groups[held_out],
        snapshot,
        model.query_map,
    )
    metrics = replace(metrics, map_alone=alone)
    lease.check()  # whoever stopped the run may have removed it and its files
    models.save(run, model)
    complete(lease, run, metrics, models)


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
    """Evaluate the questions by plain cosine, and with the model."""

    def scores(start: int, stop: int) -> np.ndarray:
        return model.scores(questions.vectors[start:stop], questions.texts[start:stop], index)

    return (
        evaluate_embeddings(questions.vectors, snapshot.embeddings, questions.relevant),
        evaluate_blocks(scores, len(snapshot.chunks), questions.relevant),
    )


def measure_test_set(
    name: str,
    questions: Sequence[OwnQuestion],
    snapshot: Snapshot,
    index: SearchIndex,
    embedder: Embedder,
    model: DeepMemoryModel,
) -> dict[str, Any]:
    """Measure search without and with `model` on the questions; `index` is that of `snapshot`.

    Raises:
        NotAllowed: the knowledge base answers none of them.
        AppError: the embedder does not answer, or the model was trained for another embedder.
    """
    found = require_answers(questions, snapshot)
    vectors = embedder.embed(found.texts)
    starts = document_starts(snapshot.chunks)

    def score(start: int, stop: int) -> np.ndarray:
        scores = model.scores(vectors[start:stop], found.texts[start:stop], index)
        return pooled(scores, found, starts)

    after = evaluate_blocks(score, len(snapshot.chunks), found.relevant)
    return figures_of(name, found, vectors, snapshot, after)
