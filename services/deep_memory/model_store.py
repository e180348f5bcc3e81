"""Trained models and the rank changes of each: files beside the store, named by run and attempt.

The attempt is part of the name so that a worker that was suspended and wakes up late cannot replace
the model of the attempt that completed the run. An empty marker file stands for each model that is
no longer kept.
"""

from __future__ import annotations

import json
import logging
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from cachetools import LRUCache

from services.deep_memory.hybrid import DeepMemoryModel, SearchIndex
from services.errors import NotFound, TrainingError
from services.models import TrainingRun
from services.retrieval.content import Snapshot
from services.retrieval.nearest import VectorIndex

GONE = "The file of this model is gone."
DAMAGED = "The file of this model is damaged."
NO_LONGER_KEPT = "This model is no longer kept: MODELS_KEPT says how many are."
_CHUNKS_KEPT = 1_500_000
_INDEX_TIMEOUT_S = 3.0

log = logging.getLogger(__name__)


class ModelStore:
    """One user's trained models. The database says which one search uses."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._loaded: tuple[_Seen | None, DeepMemoryModel] | None = None
        self._found_whole: set[_Seen] = set()
        self._lock = threading.Lock()

    def save(self, run: TrainingRun, model: DeepMemoryModel) -> None:
        """Store the model of this attempt; saving it again replaces it atomically."""
        model.save(self._path(run))

    def load(self, run: TrainingRun) -> DeepMemoryModel:
        """The model of a completed run, from memory if it was the last one loaded.

        Raises:
            TrainingError: the file is missing or damaged.
        """
        path = self._path(run)
        with self._lock:
            seen = _seen(path)
            if seen is None or self._loaded is None or self._loaded[0] != seen:
                self._loaded = (seen, DeepMemoryModel.load(path))
            return self._loaded[1]

    def save_rank_changes(self, run: TrainingRun, changes: list[dict[str, Any]]) -> None:
        """Store the wins and losses on each set of questions, which are too many for the run's row.

        If the file cannot be written, the row still has the first of them.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._rank_changes_path(run).write_text(json.dumps(changes), encoding="utf-8")
        except OSError:
            log.warning("rank_changes_not_kept run=%s", run.id, exc_info=True)

    def rank_changes(self, run: TrainingRun) -> list[dict[str, Any]]:
        """What `save_rank_changes` stored; empty for older runs, and if the file is gone."""
        try:
            return json.loads(self._rank_changes_path(run).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return []

    def problem(self, run: TrainingRun) -> str:
        """Why the model of a completed run cannot be used; empty if it can.

        This reads its file once, and again after it has changed.
        """
        path = self._path(run)
        seen = _seen(path)
        if seen is None:
            return NO_LONGER_KEPT if self.was_given_up(run) else GONE
        if seen not in self._found_whole:
            try:
                DeepMemoryModel.load(path)
            except TrainingError:
                return DAMAGED
            self._found_whole.add(seen)
        return ""

    def was_given_up(self, run: TrainingRun) -> bool:
        return _given_up(self._path(run)).exists()

    def runs(self, files: str = "*") -> set[str]:
        """The ids of the runs with files that match the pattern; "*.npz" are models."""
        names = {path.name.split(".")[0] for path in self._folder.glob(files)}
        return {name for name in names if _is_id(name)}

    def give_up(self, run_id: str) -> None:
        """Delete the models of a run, leaving markers; its rank changes stay. Safe to repeat."""
        for path in self._folder.glob(f"{_checked(run_id)}.*.npz"):
            _given_up(path).touch()
            path.unlink(missing_ok=True)

    def remove(self, run_id: str) -> None:
        """Delete the models and rank changes of a removed run; safe if there are none."""
        for path in self._folder.glob(f"{_checked(run_id)}.*"):
            path.unlink(missing_ok=True)

    def _path(self, run: TrainingRun) -> Path:
        return self._folder / f"{_checked(run.id)}.{run.attempt}.npz"

    def _rank_changes_path(self, run: TrainingRun) -> Path:
        return self._path(run).with_suffix(".moves.json")  # existing files have this name


_Seen = tuple[Path, int, int]  # a file, its modification time in ns, and its size in bytes


def _seen(path: Path) -> _Seen | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return path, stat.st_mtime_ns, stat.st_size


def _given_up(path: Path) -> Path:
    return path.with_suffix(".given-up")


@dataclass(frozen=True, eq=False)
class _Version:
    """What search needs for one version of a store."""

    snapshot: Snapshot
    plain: VectorIndex
    trained: Future[SearchIndex]


class SearchIndexes:
    """What search needs for each person's store, built once per version; only the newest is kept.

    Older versions hold texts of documents that were removed since, and a store that changes every
    minute would fill the memory with them.

    An index for trained models takes seconds at 10,000 chunks and minutes at 1,000,000, because
    its words are counted in Python. So it is built in a thread, and `soon` does not wait for it.
    """

    def __init__(self) -> None:
        # Keyed by owner, and limited in chunks: at the limit, the indexes take 2 GB.
        self._kept: LRUCache[str, _Version] = LRUCache(
            _CHUNKS_KEPT, lambda version: min(1 + len(version.snapshot.chunks), _CHUNKS_KEPT)
        )
        self._lock = threading.Lock()

    def plain(self, owner: str, snapshot: Snapshot) -> VectorIndex:
        """The index for plain cosine search in this person's store; available immediately."""
        return self._version(owner, snapshot).plain

    def of(self, owner: str, snapshot: Snapshot) -> SearchIndex:
        """The index for trained models; waits until it is built."""
        return self._building(owner, snapshot).result()

    def soon(self, owner: str, snapshot: Snapshot) -> SearchIndex | None:
        """The index for trained models; None if it is not built within three seconds."""
        try:
            return self._building(owner, snapshot).result(timeout=_INDEX_TIMEOUT_S)
        except TimeoutError:
            return None

    def _version(self, owner: str, snapshot: Snapshot) -> _Version:
        with self._lock:
            version = self._kept.get(owner)
            if version is None or version.snapshot.version != snapshot.version:
                version = _Version(snapshot, VectorIndex(snapshot.embeddings), Future())
                self._kept[owner] = version
            return version

    def _building(self, owner: str, snapshot: Snapshot) -> Future[SearchIndex]:
        version = self._version(owner, snapshot)
        with self._lock:
            if not version.trained.running() and not version.trained.done():
                version.trained.set_running_or_notify_cancel()
                # Daemon: an app that shuts down need not wait for an index.
                threading.Thread(
                    target=self._build, args=(owner, version), name="index", daemon=True
                ).start()
        return version.trained

    def _build(self, owner: str, version: _Version) -> None:
        snapshot = version.snapshot
        try:
            index = SearchIndex.of(
                snapshot.embeddings,
                [chunk.in_context for chunk in snapshot.chunks],
                [chunk.document_id for chunk in snapshot.chunks],
            )
        except Exception as error:
            log.exception("search_index_failed version=%s", snapshot.version)
            with self._lock:
                if self._kept.get(owner) is version:
                    del self._kept[owner]  # the next search tries again
            version.trained.set_exception(error)
        else:
            version.trained.set_result(index)


def _checked(run_id: str) -> str:
    """`run_id`, if it is an id and not a path or a pattern.

    Raises:
        NotFound: it is no id.
    """
    if not _is_id(run_id):
        raise NotFound("There is no such run.")
    return run_id


def _is_id(name: str) -> bool:
    try:
        return str(UUID(name)) == name
    except ValueError:
        return False
