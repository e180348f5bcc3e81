"""Trained models as files beside the vector store, each named by its run and attempt.

By the attempt too: a worker that was stopped in its sleep and wakes up late must not replace the
model of the attempt that completed the run.
"""

from __future__ import annotations

import threading
from pathlib import Path
from uuid import UUID

from services.deep_memory.local_trainer import QueryMap
from services.errors import NotFound
from services.models import TrainingRun


class ModelStore:
    """One user's trained models. Which one search uses is decided in the database."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._loaded: tuple[Path, QueryMap] | None = None
        self._lock = threading.Lock()

    def save(self, run: TrainingRun, model: QueryMap) -> None:
        """Keep the model of this attempt; saving it again replaces it in one step."""
        model.save(self._path(run))

    def load(self, run: TrainingRun) -> QueryMap:
        """The model of a completed run, from memory when it was the last one asked for.

        Raises:
            TrainingError: the file is missing or damaged.
        """
        path = self._path(run)
        with self._lock:
            if self._loaded is None or self._loaded[0] != path:
                self._loaded = (path, QueryMap.load(path))
            return self._loaded[1]

    def remove(self, run_id: str) -> None:
        """Forget the models of a removed run; safe when there is none."""
        for path in self._folder.glob(f"{_checked(run_id)}.*.npz"):
            path.unlink(missing_ok=True)

    def _path(self, run: TrainingRun) -> Path:
        return self._folder / f"{_checked(run.id)}.{run.attempt}.npz"


def _checked(run_id: str) -> UUID:
    """The id, and never a path or a pattern that someone typed."""
    try:
        return UUID(run_id)
    except ValueError as error:
        raise NotFound("There is no such run.") from error
