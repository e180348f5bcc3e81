"""Which store a person has: a folder of this machine, or a dataset in DeepLake Cloud."""

from __future__ import annotations

import re
from pathlib import Path
from threading import Condition

from cachetools import LRUCache, cached

from services.config import Settings
from services.errors import ConfigurationError, NotAllowed
from services.retrieval.cloud_store import open_cloud_store
from services.retrieval.local_store import LocalVectorStore
from services.retrieval.vector_store import VectorStore


def open_store(settings: Settings, user_id: str, embedder_name: str, width: int) -> VectorStore:
    """Return the user's store. Nothing is read or made yet, and one process shares one store.

    `embedder_name` and `width` say which vectors will go in and be searched.
    """
    if settings.is_cloud:
        return open_cloud_store(settings, user_id, embedder_name, width)
    return _shared_local_store(_store_folder(settings, user_id), embedder_name, width)


def models_folder(settings: Settings, user_id: str) -> Path:
    """Return where the user's trained query maps are kept, beside a store of this machine."""
    return _store_folder(settings, user_id) / "models"


def _store_folder(settings: Settings, user_id: str) -> Path:
    if not re.fullmatch(r"[A-Za-z0-9_-]+", user_id):
        raise NotAllowed("This user id can not name a folder.")
    local_path = None if settings.is_cloud else settings.deeplake_path
    if "://" in (local_path or ""):
        raise ConfigurationError("DEEPLAKE_PATH must be a folder or begin with hub://.")
    root = Path(local_path or settings.data_dir / "stores").expanduser().resolve()
    return root / user_id


@cached(LRUCache(16), condition=Condition())
def _shared_local_store(folder: Path, embedder_name: str, width: int) -> LocalVectorStore:
    return LocalVectorStore(folder, embedder_name, width)
