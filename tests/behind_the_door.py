"""What tests look at behind the one door: the areas of a workspace keep their stores private."""

from __future__ import annotations

from pathlib import Path

from services.deep_memory.model_store import ModelStore
from services.retrieval.content import ABSENT, EMPTY
from services.retrieval.local_store import LocalVectorStore
from services.retrieval.vector_store import VectorStore
from services.workspace import Workspace


def store_of(space: Workspace) -> VectorStore:
    return space.documents._store


def models_of(space: Workspace) -> ModelStore:
    return space.models._models


def cloud_holds(space: Workspace) -> str | None:
    """The run whose model DeepLake Cloud holds, as the database knows it."""
    return space.user.database.rpc("model_in_cloud")


def dataset_of(store: LocalVectorStore) -> Path | None:
    """The current dataset, which deeplake's own `VectorStore` opens; None if the store is empty."""
    version = store._current_version()
    return None if version in (ABSENT, EMPTY) else store._folder / version
