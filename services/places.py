"""Where each person's documents and models are, and what trains and ranks; opened by user id."""

from __future__ import annotations

from functools import cached_property

from services.accounts.database import Database
from services.config import Settings
from services.deep_memory.backend import Backend, make_backend
from services.deep_memory.cloud_jobs import Watching
from services.deep_memory.model_store import ModelStore
from services.knowledge.knowledge_base import KnowledgeBase
from services.ranking.index import RankingIndex
from services.ranking.indexes import SearchIndexes
from services.retrieval.content import Snapshot
from services.retrieval.embedders import make_embedder
from services.retrieval.embeddings import Embedder
from services.retrieval.reranking import Reranker, make_reranker
from services.retrieval.stores import models_folder, open_store
from services.retrieval.vector_store import VectorStore


class Places:
    """Opens everybody's stores, with the embedder and the indexes that all of them share."""

    def __init__(self, settings: Settings, watching: Watching) -> None:
        self._settings = settings
        self._watching = watching
        self._indexes = SearchIndexes()

    @cached_property
    def embedder(self) -> Embedder:
        return make_embedder(self._settings)

    @cached_property
    def reranker(self) -> Reranker | None:
        return make_reranker(self._settings)

    def store_of(self, user_id: str) -> VectorStore:
        return open_store(self._settings, user_id, self.embedder.name, self.embedder.width)

    def knowledge_base_of(self, user_id: str) -> KnowledgeBase:
        return KnowledgeBase(self.store_of(user_id), self.embedder)

    def models_of(self, user_id: str) -> ModelStore:
        return ModelStore(models_folder(self._settings, user_id))

    def ranking_index(self, user_id: str, snapshot: Snapshot) -> RankingIndex:
        """What rankers look at in this person's store; waits until it is built."""
        return self._indexes.of(user_id, snapshot)

    def backend_of(self, user_id: str, database: Database, models: ModelStore) -> Backend:
        """`database` acts with the caller's rights; `models` are this user's."""
        return make_backend(
            self._settings,
            user_id,
            database,
            store=self.store_of(user_id),
            models=models,
            embedder=self.embedder,
            indexes=self._indexes,
            watching=self._watching,
        )
