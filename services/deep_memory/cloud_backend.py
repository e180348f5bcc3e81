"""Deep Memory in DeepLake Cloud: it trains, keeps the latest model of a dataset, and ranks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from services.accounts.database import Database
from services.deep_memory.cloud_jobs import Submission, Watching, cancel_job
from services.deep_memory.cloud_training import MOST_MEASURED, measure_in_cloud, train_in_cloud
from services.deep_memory.evaluation import RANKING_DEPTH
from services.deep_memory.model_in_cloud import REPLACED_IN_CLOUD, model_in_cloud
from services.deep_memory.model_store import ModelStore
from services.deep_memory.run_questions import RunQuestions
from services.deep_memory.test_sets import OwnQuestion
from services.errors import ConfigurationError, StoreUnavailable
from services.models import TrainingRun
from services.ranking.untrained import Untrained
from services.retrieval.cloud_store import CloudVectorStore
from services.retrieval.embeddings import Embedder
from services.retrieval.nearest import best_rows
from services.retrieval.search import Comparison, compare_in_cloud
from services.runs.lease import RunLease


class CloudBackend:
    """See `backend.Backend`."""

    ranks_words = False
    most_ranked = MOST_MEASURED

    def __init__(
        self,
        database: Database,
        store: CloudVectorStore,
        models: ModelStore,
        embedder: Embedder,
        watching: Watching,
    ) -> None:
        self._database = database
        self._store = store
        self._models = models  # holds only the rank changes; the trained models are in the cloud
        self._embedder = embedder
        self._watching = watching

    def is_for(self, chunk_count: int) -> bool:
        return True

    def train(self, lease: RunLease, run: TrainingRun, questions: RunQuestions) -> None:
        train_in_cloud(
            lease,
            run,
            questions=questions,
            store=self._store,
            embedder=self._embedder,
            watching=self._watching,
            models=self._models,
        )

    def compare(
        self, query: str, k: int, run: TrainingRun | None, untrained: Untrained
    ) -> Comparison:
        return compare_in_cloud(query, self._embedder, self._store, is_trained=run is not None, k=k)

    def measure(
        self, test_set: str, questions: Sequence[OwnQuestion], run: TrainingRun
    ) -> dict[str, Any]:
        snapshot = self._store.snapshot()
        return measure_in_cloud(test_set, questions, snapshot, self._embedder, self._store)

    def rank_both(
        self, questions: Sequence[str], run: TrainingRun | None, k: int = RANKING_DEPTH
    ) -> Iterator[tuple[list[str], list[str]]]:
        """Without a run both lists are the same: there is one ranking without training, by cosine,
        for which the service is not asked."""
        snapshot = self._store.snapshot()
        for vector in self._embedder.embed(questions):
            rows = best_rows(snapshot.embeddings @ vector, k)
            other = [snapshot.chunks[row].id for row in rows]
            used = other
            if run is not None:
                hits = self._store.search(vector, k, deep_memory=True)
                used = [hit.chunk_id for hit in hits]
            yield used, other

    def why_unusable(self, runs: Sequence[TrainingRun]) -> dict[str, str]:
        in_cloud, otherwise = None, REPLACED_IN_CLOUD
        try:
            in_cloud = model_in_cloud(self._database, self._store)
        except (StoreUnavailable, ConfigurationError) as error:
            otherwise = str(error)
        return {
            run.id: otherwise
            if run.metrics.get("trainer") == "cloud"
            else "This model is not in DeepLake Cloud, where search is now."
            for run in runs
            if run.id != in_cloud
        }

    def cancel(self, run: TrainingRun) -> None:
        if submission := Submission.of(run):
            cancel_job(self._store, submission)
