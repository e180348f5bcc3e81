"""Deep Memory on this machine: models are files; search and training run in this process."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from services.accounts.database import Database
from services.deep_memory.cloud_jobs import Submission, cancel_job
from services.deep_memory.kept_models import tidy_models
from services.deep_memory.local_training import measure_test_set, train_locally
from services.deep_memory.model_store import ModelStore, SearchIndexes
from services.deep_memory.test_sets import OwnQuestion
from services.errors import AppError
from services.models import TrainingPair, TrainingRun
from services.retrieval.cloud_store import CloudVectorStore
from services.retrieval.embeddings import Embedder
from services.retrieval.nearest import MOST_CHUNKS
from services.retrieval.search import Comparison, Ranking, compare
from services.retrieval.vector_store import VectorStore
from services.runs.lease import RunLease

log = logging.getLogger(__name__)


class LocalBackend:
    """See `backend.Backend`. `trained_before_in` is the cloud store, if any, where a run may have
    left a job that started while DeepLake Cloud did the training."""

    ranks_words = True

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

    def train(self, lease: RunLease, run: TrainingRun, pairs: Sequence[TrainingPair]) -> None:
        snapshot = self._store.snapshot()
        train_locally(
            lease,
            run,
            pairs=pairs,
            snapshot=snapshot,
            index=self._indexes.of(self._user_id, snapshot),
            embedder=self._embedder,
            models=self._models,
        )
        try:
            tidy_models(self._database, self._user_id, self._models, self._models_kept)
        except (AppError, OSError):  # the run is completed all the same
            log.warning("models_not_tidied user=%s", self._user_id, exc_info=True)

    def compare(
        self, query: str, k: int, run: TrainingRun | None, *, with_words: bool
    ) -> Comparison:
        """Returns only the plain list while the index for trained models is being built."""
        snapshot = self._store.snapshot()
        model = None if run is None else self._models.load(run)
        index = None if model is None else self._indexes.soon(self._user_id, snapshot)
        ranking: Ranking | None = None
        if model is not None and index is not None:
            model = model if with_words else model.without_words()
            ranking = partial(model.search, index=index)
        plain = self._indexes.plain(self._user_id, snapshot)
        comparison = compare(query, self._embedder, snapshot, plain, ranking, k)
        return replace(comparison, is_indexing=model is not None and index is None)

    def measure(
        self, test_set: str, questions: Sequence[OwnQuestion], run: TrainingRun
    ) -> dict[str, Any]:
        snapshot = self._store.snapshot()
        index = self._indexes.of(self._user_id, snapshot)
        model = self._models.load(run)
        return measure_test_set(test_set, questions, snapshot, index, self._embedder, model)

    def why_unusable(self, runs: Sequence[TrainingRun]) -> dict[str, str]:
        return {run.id: reason for run in runs if (reason := self._why_unusable(run))}

    def _why_unusable(self, run: TrainingRun) -> str:
        if run.metrics.get("trainer") == "cloud":
            return "This model is in DeepLake Cloud, and search is not."
        trained_for = run.metrics.get("embedder", self._embedder.name)
        if trained_for != self._embedder.name:
            return f"This model is for embeddings by {trained_for}, not by {self._embedder.name}."
        return self._models.problem(run)

    def cancel(self, run: TrainingRun) -> None:
        submission = Submission.of(run)
        if submission is not None and self._trained_before_in is not None:
            cancel_job(self._trained_before_in, submission)
