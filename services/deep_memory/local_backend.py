"""Deep Memory on this machine: models are files; search and training run in this process."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from services.accounts.database import Database
from services.deep_memory.cloud_jobs import Submission, cancel_job
from services.deep_memory.evaluation import RANKING_DEPTH
from services.deep_memory.kept_models import run_in_use, tidy_models
from services.deep_memory.local_training import measure_test_set, train_locally
from services.deep_memory.model_store import ModelStore
from services.deep_memory.run_questions import RunQuestions
from services.deep_memory.test_sets import OwnQuestion
from services.deep_memory.trained_model import DeepMemoryModel
from services.errors import AppError
from services.models import TrainingRun
from services.ranking.indexes import SearchIndexes
from services.ranking.untrained import Untrained
from services.retrieval.cloud_store import CloudVectorStore
from services.retrieval.embeddings import Embedder
from services.retrieval.nearest import MOST_CHUNKS, VectorIndex
from services.retrieval.search import Comparison, Ranking, TrainedRanking, compare
from services.retrieval.vector_store import VectorStore
from services.runs.lease import RunLease

log = logging.getLogger(__name__)


class LocalBackend:
    """See `backend.Backend`. `trained_before_in` is the cloud store, if any, where a run may have
    left a job that started while DeepLake Cloud did the training."""

    ranks_words = True
    most_ranked = 1_000

    def __init__(
        self,
        user_id: str,
        database: Database,
        store: VectorStore,
        models: ModelStore,
        embedder: Embedder,
        indexes: SearchIndexes,
        *,
        models_kept: int,
        trained_before_in: CloudVectorStore | None,
    ) -> None:
        self._user_id = user_id
        self._database = database
        self._store = store
        self._models = models
        self._embedder = embedder
        self._indexes = indexes
        self._models_kept = models_kept
        self._trained_before_in = trained_before_in

    def is_for(self, chunk_count: int) -> bool:
        return chunk_count <= MOST_CHUNKS

    def train(self, lease: RunLease, run: TrainingRun, questions: RunQuestions) -> None:
        snapshot = self._store.snapshot()
        train_locally(
            lease,
            run,
            questions=questions,
            snapshot=snapshot,
            index=self._indexes.of(self._user_id, snapshot),
            embedder=self._embedder,
            models=self._models,
            in_use=self._in_use(),
        )
        try:
            tidy_models(self._database, self._user_id, self._models, self._models_kept)
        except (AppError, OSError):  # the run is completed all the same
            log.warning("models_not_tidied user=%s", self._user_id, exc_info=True)

    def compare(
        self, query: str, k: int, run: TrainingRun | None, untrained: Untrained
    ) -> Comparison:
        """Returns only a list by cosine while the index for everything else is being built."""
        snapshot = self._store.snapshot()
        model = None if run is None else self._models.load(run)
        is_plain = model is None and untrained is Untrained.COSINE
        index = None if is_plain else self._indexes.soon(self._user_id, snapshot)
        trained: TrainedRanking | None = None
        if index is None:
            plain = self._indexes.plain(self._user_id, snapshot)
            without = _by_cosine(plain)
        else:
            without = partial(untrained.search, index=index)
            trained = partial(model.find, index=index) if model is not None else None
        comparison = compare(query, self._embedder, snapshot, without, trained, k)
        return replace(comparison, is_indexing=index is None and not is_plain)

    def measure(
        self, test_set: str, questions: Sequence[OwnQuestion], run: TrainingRun
    ) -> dict[str, Any]:
        snapshot = self._store.snapshot()
        index = self._indexes.of(self._user_id, snapshot)
        model = self._models.load(run)
        return measure_test_set(test_set, questions, snapshot, index, self._embedder, model)

    def rank_both(
        self, questions: Sequence[str], run: TrainingRun | None, k: int = RANKING_DEPTH
    ) -> Iterator[tuple[list[str], list[str]]]:
        snapshot = self._store.snapshot()
        index = self._indexes.of(self._user_id, snapshot)
        model = None if run is None else self._models.load(run)
        used = Untrained.RANKER.search if model is None else model.search
        other = (Untrained.COSINE if model is None else Untrained.RANKER).search

        def best(search: Callable[..., Any], vector: np.ndarray, text: str) -> list[str]:
            rows, _ = search(vector, text, k, index)
            return [snapshot.chunks[row].id for row in rows]

        for vector, text in zip(self._embedder.embed(questions), questions, strict=True):
            yield best(used, vector, text), best(other, vector, text)

    def why_unusable(self, runs: Sequence[TrainingRun]) -> dict[str, str]:
        return {run.id: reason for run in runs if (reason := self._why_unusable(run))}

    def _why_unusable(self, run: TrainingRun) -> str:
        if run.metrics.get("trainer") == "cloud":
            return "This model is in DeepLake Cloud, and search is not."
        trained_for = run.metrics.get("embedder", self._embedder.name)
        if trained_for != self._embedder.name:
            return f"This model is for embeddings by {trained_for}, not by {self._embedder.name}."
        return self._models.problem(run)

    def _in_use(self) -> DeepMemoryModel | None:
        """The model that search uses now; None if it uses none, or one that cannot rank."""
        run = run_in_use(self._database, self._user_id)
        if run is None or self._why_unusable(run):
            return None
        return self._models.load(run)

    def cancel(self, run: TrainingRun) -> None:
        submission = Submission.of(run)
        if submission is not None and self._trained_before_in is not None:
            cancel_job(self._trained_before_in, submission)


def _by_cosine(plain: VectorIndex) -> Ranking:
    return lambda vector, _, k: plain.top(vector, k)
