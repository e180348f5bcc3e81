"""The training job on this machine: training, and measuring on held-out questions or test sets."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from services.deep_memory.evaluation import RANKING_DEPTH, Evaluation, evaluate_ids
from services.deep_memory.figures import Questions, Ranked
from services.deep_memory.local_trainer import TrainingStopped
from services.deep_memory.map_alone import map_alone
from services.deep_memory.measurement import (
    SEED,
    at_most,
    complete,
    measured,
    on_test_sets,
    prepare,
)
from services.deep_memory.model_store import ModelStore
from services.deep_memory.no_answer import figures_without_answer
from services.deep_memory.ranker_training import train_model
from services.deep_memory.run_questions import RunQuestions
from services.deep_memory.taught import Taught
from services.deep_memory.test_sets import (
    OwnQuestion,
    evaluate_places,
    figures_of,
    require_answers,
)
from services.deep_memory.trained_model import DeepMemoryModel
from services.models import TrainingRun
from services.ranking.index import RankingIndex
from services.ranking.untrained import Untrained
from services.retrieval.content import Snapshot
from services.retrieval.embeddings import Embedder
from services.retrieval.search import Ranking
from services.runs.lease import RunLease, RunLost

_NOTE_EVERY_S = 1.0
_MOST_MEASURED = 1_000  # held-out questions, each searched four or five times
# What search without training is made of, each more than the one before.
_STEPS = (Untrained.COSINE, Untrained.COSINE_AND_WORDS, Untrained.RANKER)


def train_locally(
    lease: RunLease,
    run: TrainingRun,
    *,
    questions: RunQuestions,
    snapshot: Snapshot,
    index: RankingIndex,
    embedder: Embedder,
    models: ModelStore,
    in_use: DeepMemoryModel | None,
) -> None:
    """Train on most of the pairs, measure on the others and on test sets, and complete the run.

    `index` is that of `snapshot`; `in_use` is the model that search uses now.

    Raises:
        TrainingError: too few pairs, or none whose chunk is still there. The pairs are kept.
        RunLost: the run was stopped or handed on.
    """
    material = prepare(lease, questions, snapshot, embedder)
    began = time.monotonic()
    asked_about = set().union(*material.questions.relevant)
    of_people = material.questions.only(material.taught)
    answers = [sorted(rows) for rows in of_people.relevant]
    model = replace(
        _fit(lease, material.train, index, embedder),
        taught=Taught.of(of_people.vectors, answers, index) if answers else None,
        documents=frozenset(snapshot.chunks[row].document_id for row in asked_about),
    )
    train_seconds = time.monotonic() - began

    lease.note_training("Measuring on held-out questions", 0.95)
    held_out = at_most(material.split.held_out, _MOST_MEASURED)
    sets = on_test_sets(
        lease,
        questions,
        lambda name, own: measure_test_set(
            name, own, snapshot, index, embedder, model, check=lease.check
        ),
    )
    metrics = measured(
        material,
        held_out,
        lambda asked: _measure(lease, asked, index, model, in_use),
        sets,
        embedder,
        train_seconds,
    )
    alone = map_alone(
        material.questions.only(held_out),
        material.split.groups[held_out],
        index,
        model.query_map,
    )
    metrics = replace(metrics, map_alone=alone)
    lease.check()  # whoever stopped the run may have removed it and its files
    metrics = replace(metrics, model_hash=models.save(run, model))
    models.save_trained_on(run, material.train.texts)
    complete(lease, run, metrics, models)


def _fit(
    lease: RunLease, train: Questions, index: RankingIndex, embedder: Embedder
) -> DeepMemoryModel:
    noted_at = 0.0

    def on_progress(epoch: int, epochs: int, recall: float) -> None:
        nonlocal noted_at
        if time.monotonic() - noted_at >= _NOTE_EVERY_S:
            noted_at = time.monotonic()
            step = f"Training (recall@10 on validation questions {recall:.3f})"
            lease.note_training(step, 0.2 + 0.6 * epoch / epochs)

    def embed(texts: Sequence[str]) -> np.ndarray:
        lease.note_training("Weighing the signals", 0.85)
        with lease.watching(embedder.waiting):
            return embedder.embed(texts)

    try:
        return train_model(
            train.vectors,
            train.texts,
            index,
            train.relevant,
            embed=embed,
            seed=SEED,
            embedder=embedder.name,
            on_progress=on_progress,
            should_stop=lease.lost.is_set,
        )
    except TrainingStopped as stopped:
        raise RunLost from stopped


def _measure(
    lease: RunLease,
    questions: Questions,
    index: RankingIndex,
    model: DeepMemoryModel,
    in_use: DeepMemoryModel | None,
) -> Ranked:
    """Evaluate the questions without training, with the model, and with that in use."""

    def evaluate(search: Callable[..., tuple[np.ndarray, np.ndarray]]) -> Evaluation:
        found = partial(search, index=index)
        rows = _ranked(questions.texts, questions.vectors, found, check=lease.check)
        return evaluate_ids(rows, questions.relevant)

    return Ranked(
        {step: evaluate(step.search) for step in _STEPS},
        evaluate(model.search),
        None if in_use is None else evaluate(in_use.search),
    )


def _ranked(
    texts: Sequence[str],
    vectors: np.ndarray,
    search: Ranking,
    depth: int = RANKING_DEPTH,
    check: Callable[[], None] | None = None,
) -> list[list[int]]:
    """The rows that `search` finds for each question, best first; `check` may end it."""
    ranked = []
    for vector, text in zip(vectors, texts, strict=True):
        if check:
            check()
        ranked.append(search(vector, text, depth)[0].tolist())
    return ranked


def measure_test_set(
    name: str,
    questions: Sequence[OwnQuestion],
    snapshot: Snapshot,
    index: RankingIndex,
    embedder: Embedder,
    model: DeepMemoryModel,
    check: Callable[[], None] | None = None,
) -> dict[str, Any]:
    """Measure search without training and with `model`; `index` is that of `snapshot`.

    `check` is called before each search, and may end it.

    Raises:
        NotAllowed: the knowledge base answers none of them.
        AppError: the embedder does not answer, or the model was trained for another embedder.
    """
    found = require_answers(questions, snapshot)
    vectors = embedder.embed(found.texts)

    def evaluate(search: Callable[..., tuple[np.ndarray, np.ndarray]]) -> Evaluation:
        rows = _ranked(found.texts, vectors, partial(search, index=index), found.depth, check)
        return evaluate_places(rows, found, snapshot)

    ranked = Ranked({step: evaluate(step.search) for step in _STEPS}, evaluate(model.search))
    return {
        **figures_of(name, found, vectors, snapshot, ranked),
        **figures_without_answer(questions, found.texts, model, index, embedder),
    }
