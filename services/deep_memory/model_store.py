"""Trained models as files beside the vector store, each named by its run."""

from __future__ import annotations

import threading
from pathlib import Path
from uuid import UUID

from services.deep_memory.local_trainer import QueryMap
from services.errors import NotFound


class ModelStore:
    """One user's trained models. Which one search uses is decided in the database."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._loaded: tuple[str, QueryMap] | None = None
        self._lock = threading.Lock()

    def save(self, run_id: str, model: QueryMap) -> None:
        """Keep the model of a run; saving it again replaces it in one step."""
        model.save(self._path(run_id))

    def load(self, run_id: str) -> QueryMap:
        """The model of a run, from memory when it was the last one asked for.

        Raises:
            TrainingError: the file is missing or damaged.
        """
        with self._lock:
            if self._loaded is None or self._loaded[0] != run_id:
                self._loaded = (run_id, QueryMap.load(self._path(run_id)))
            return self._loaded[1]

    def remove(self, run_id: str) -> None:
        """Forget the model of a removed run; safe when there is none."""
        self._path(run_id).unlink(missing_ok=True)

    def _path(self, run_id: str) -> Path:
        try:
            return self._folder / f"{UUID(run_id)}.npz"  # never a path that someone typed
        except ValueError as error:
            raise NotFound("There is no such run.") from error
