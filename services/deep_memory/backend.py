"""Where trained models are trained and used: on this machine or in DeepLake Cloud. Chosen here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from services.accounts.database import Database
from services.config import Settings
from services.deep_memory.cloud_backend import CloudBackend
from services.deep_memory.cloud_jobs import Watching
from services.deep_memory.evaluation import RANKING_DEPTH
from services.deep_memory.local_backend import LocalBackend
from services.deep_memory.model_store import ModelStore
from services.deep_memory.run_questions import RunQuestions
from services.deep_memory.test_sets import OwnQuestion
from services.models import TrainingRun
from services.ranking.indexes import SearchIndexes
from services.ranking.untrained import Untrained
from services.retrieval.cloud_store import CloudVectorStore
from services.retrieval.embeddings import Embedder
from services.retrieval.search import Comparison
from services.retrieval.vector_store import VectorStore
from services.runs.lease import RunLease


class Backend(Protocol):
    """Trains one person's models, and ranks and measures with them."""

    @property
    def ranks_words(self) -> bool:
        """Whether search ranks by words too, with a trained model and without."""

    @property
    def most_ranked(self) -> int:
        """The most questions to `rank` while a person waits."""

    def is_for(self, chunk_count: int) -> bool:
        """Whether it is meant for search and training over this many chunks."""

    def train(self, lease: RunLease, run: TrainingRun, questions: RunQuestions) -> None:
        """Train and measure, and complete the run.

        Raises:
            AppError: it failed; the message says why. The pairs are kept.
            RunLost: the run was stopped or handed on.
        """

    def compare(
        self, query: str, k: int, run: TrainingRun | None, untrained: Untrained
    ) -> Comparison:
        """The list without training, and that by the model of `run` unless `run` is None.

        Raises:
            NotAllowed: the query is empty.
            TrainingError: the model cannot be read.
            StoreUnavailable: the knowledge base cannot be read.
        """

    def measure(
        self, test_set: str, questions: Sequence[OwnQuestion], run: TrainingRun
    ) -> dict[str, Any]:
        """The figures of the model of `run` on `questions`, as `figures_of` gives them.

        Raises:
            NotAllowed: the knowledge base answers none of them.
            TrainingError: the model cannot be read.
            StoreUnavailable: DeepLake Cloud, where the model is, does not answer.
        """

    def rank_both(
        self, questions: Sequence[str], run: TrainingRun | None, k: int = RANKING_DEPTH
    ) -> Iterator[tuple[list[str], list[str]]]:
        """The ids of the first `k` chunks of each question, twice: as the model of `run` ranks them
        and as search without training does. Without a run: the best without training, and by
        cosine. Each is ranked when it is asked for.

        Raises:
            TrainingError: the model cannot be read.
            StoreUnavailable: the knowledge base cannot be read.
        """

    def why_unusable(self, runs: Sequence[TrainingRun]) -> dict[str, str]:
        """Run id -> why search cannot use its model now, for those of completed `runs`."""

    def cancel(self, run: TrainingRun) -> None:
        """Cancel the external job of a run that was given up.

        Raises:
            TrainingError: the job continues, or may do so.
        """


def make_backend(
    settings: Settings,
    user_id: str,
    database: Database,
    *,
    store: VectorStore,
    models: ModelStore,
    embedder: Embedder,
    indexes: SearchIndexes,
    watching: Watching,
) -> Backend:
    """The backend that the settings choose. `database` acts with the caller's rights."""
    cloud = store if isinstance(store, CloudVectorStore) else None
    if cloud is not None and settings.trains_in_cloud:
        return CloudBackend(database, cloud, models, embedder, watching)
    return LocalBackend(
        user_id,
        database,
        store,
        models,
        embedder,
        indexes,
        models_kept=settings.models_kept,
        trained_before_in=cloud,
    )
