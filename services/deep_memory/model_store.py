"""Trained models as files beside the vector store, each named by its run and attempt.

By the attempt too: a worker that was stopped in its sleep and wakes up late must not replace the
model of the attempt that completed the run.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path
from uuid import UUID

from services.deep_memory.hybrid import DeepMemoryModel, SearchIndex
from services.errors import NotFound
from services.models import TrainingRun
from services.retrieval.content import Snapshot

_INDEXES_KEPT = 8


class ModelStore:
    """One user's trained models. Which one search uses is decided in the database."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._loaded: tuple[Path, DeepMemoryModel] | None = None
        self._lock = threading.Lock()

    def save(self, run: TrainingRun, model: DeepMemoryModel) -> None:
        """Keep the model of this attempt; saving it again replaces it in one step."""
        model.save(self._path(run))

    def load(self, run: TrainingRun) -> DeepMemoryModel:
        """The model of a completed run, from memory when it was the last one asked for.

        Raises:
            TrainingError: the file is missing or damaged.
        """
        path = self._path(run)
        with self._lock:
            if self._loaded is None or self._loaded[0] != path:
                self._loaded = (path, DeepMemoryModel.load(path))
            return self._loaded[1]

    def has(self, run: TrainingRun) -> bool:
        """Whether the model's file is there."""
        return self._path(run).is_file()

    def remove(self, run_id: str) -> None:
        """Forget the models of a removed run; safe when there is none."""
        for path in self._folder.glob(f"{_checked(run_id)}.*.npz"):
            path.unlink(missing_ok=True)

    def _path(self, run: TrainingRun) -> Path:
        return self._folder / f"{_checked(run.id)}.{run.attempt}.npz"


class SearchIndexes:
    """What models search, made once for each version of a store; the last few are kept."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, SearchIndex] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, snapshot: Snapshot) -> SearchIndex:
        with self._lock:
            index = self._kept.get(snapshot.version)
            if index is None:
                index = SearchIndex.of(
                    snapshot.embeddings,
                    [chunk.text for chunk in snapshot.chunks],
                    [chunk.document_id for chunk in snapshot.chunks],
                )
                self._kept[snapshot.version] = index
            self._kept.move_to_end(snapshot.version)
            if len(self._kept) > _INDEXES_KEPT:
                self._kept.popitem(last=False)
            return index


def _checked(run_id: str) -> UUID:
    """The id, and never a path or a pattern that someone typed."""
    try:
        return UUID(run_id)
    except ValueError as error:
        raise NotFound("There is no such run.") from error
