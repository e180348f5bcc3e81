"""Opens a person's store: a folder on this machine, or a dataset in DeepLake Cloud."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from threading import Condition

from cachetools import LRUCache, cached

from services.config import Settings
from services.errors import ConfigurationError, NotAllowed
from services.retrieval.cloud_store import open_cloud_store
from services.retrieval.local_store import LocalVectorStore
from services.retrieval.vector_store import VectorStore

_USER_ID = re.compile(r"[A-Za-z0-9_-]+")


def open_store(settings: Settings, user_id: str, embedder_name: str, width: int) -> VectorStore:
    """Return the user's store, one per process. Nothing is read or created yet.

    `embedder_name` and `width` say which vectors will be stored and searched.
    """
    if settings.is_cloud:
        return open_cloud_store(
            settings, user_id, embedder_name, width, _witness(settings, user_id)
        )
    folder = _store_folder(settings, user_id)
    return _shared_local_store(folder, embedder_name, width, _witness(settings, user_id))


def _witness(settings: Settings, user_id: str) -> Path:
    """Return the file that tells a lost store from one that never existed: see `VectorStore`.

    It is in the data folder, because the disk of DEEPLAKE_PATH may be missing one day. There is one
    for each DEEPLAKE_PATH, because a new path begins empty.
    """
    place = hashlib.sha256((settings.deeplake_path or "").encode()).hexdigest()[:12]
    return settings.data_dir / "has_documents" / place / user_id


def sweep_stores(settings: Settings) -> None:
    """Delete what a crash left of removed documents in the stores on this machine."""
    for user_id in users_with_folder(settings):
        LocalVectorStore(_store_folder(settings, user_id), "", 0).sweep()


def users_with_folder(settings: Settings) -> list[str]:
    """Return the ids of the users whose stores or models are on this machine."""
    folders = _stores_folder(settings).glob("*/")
    return sorted(folder.name for folder in folders if _USER_ID.fullmatch(folder.name))


def models_folder(settings: Settings, user_id: str) -> Path:
    """Return the folder of the user's trained query maps, next to a store on this machine."""
    return _store_folder(settings, user_id) / "models"


def _store_folder(settings: Settings, user_id: str) -> Path:
    if not _USER_ID.fullmatch(user_id):
        raise NotAllowed("This user id cannot name a folder.")
    return _stores_folder(settings) / user_id


def _stores_folder(settings: Settings) -> Path:
    local_path = None if settings.is_cloud else settings.deeplake_path
    if "://" in (local_path or ""):
        raise ConfigurationError("DEEPLAKE_PATH must be a folder or begin with hub://.")
    return Path(local_path or settings.data_dir / "stores").expanduser().resolve()


@cached(LRUCache(16), condition=Condition())
def _shared_local_store(
    folder: Path, embedder_name: str, width: int, witness: Path
) -> LocalVectorStore:
    return LocalVectorStore(folder, embedder_name, width, witness)
