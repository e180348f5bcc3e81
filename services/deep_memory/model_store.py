"""Trained models and the rank changes by each: files beside the store, named by run and attempt.

By the attempt too: a worker that was stopped in its sleep and wakes up late must not replace the
model of the attempt that completed the run. Beside a model that is no longer kept lies an empty
file that says so.
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
    """One user's trained models. Which one search uses is decided in the database."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._loaded: tuple[_Seen | None, DeepMemoryModel] | None = None
        self._found_whole: set[_Seen] = set()
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
            seen = _seen(path)
            if seen is None or self._loaded is None or self._loaded[0] != seen:
                self._loaded = (seen, DeepMemoryModel.load(path))
            return self._loaded[1]

    def save_rank_changes(self, run: TrainingRun, changes: list[dict[str, Any]]) -> None:
        """Keep the wins and losses on each set of questions, which are too many for the run's row.

        Where the file cannot be written, the row still has the first of them.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._rank_changes_path(run).write_text(json.dumps(changes), encoding="utf-8")
        except OSError:
            log.warning("rank_changes_not_kept run=%s", run.id, exc_info=True)

    def rank_changes(self, run: TrainingRun) -> list[dict[str, Any]]:
        """What `save_rank_changes` kept; empty for runs before it, and when the file is gone."""
        try:
            return json.loads(self._rank_changes_path(run).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return []

    def problem(self, run: TrainingRun) -> str:
        """Why the model of a completed run cannot be used; empty when it can.

        Its file is read for that, once, and again when it has changed.
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
        """The ids of the runs of which there are such files; "*.npz" are models."""
        names = {path.name.split(".")[0] for path in self._folder.glob(files)}
        return {name for name in names if _is_id(name)}

    def give_up(self, run_id: str) -> None:
        """Delete the models of a run and remember that; its rank changes stay. Safe to repeat."""
        for path in self._folder.glob(f"{_checked(run_id)}.*.npz"):
            _given_up(path).touch()
            path.unlink(missing_ok=True)

    def remove(self, run_id: str) -> None:
        """Forget the models and rank changes of a removed run; safe when there is none."""
        for path in self._folder.glob(f"{_checked(run_id)}.*"):
            path.unlink(missing_ok=True)

    def _path(self, run: TrainingRun) -> Path:
        return self._folder / f"{_checked(run.id)}.{run.attempt}.npz"

    def _rank_changes_path(self, run: TrainingRun) -> Path:
        return self._path(run).with_suffix(".moves.json")  # on disks under this name already


_Seen = tuple[Path, int, int]  # a file with its time of change in ns and its size in bytes


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
    """What search needs of one version of a store."""

    snapshot: Snapshot
    plain: VectorIndex
    trained: Future[SearchIndex]


class SearchIndexes:
    """What search needs of each person's store, made once for each version; the newest is kept.

    Not the versions before: they hold the texts of documents that were removed since, and a store
    that is changed every minute would fill the memory with them.

    An index for models takes seconds at 10,000 chunks and minutes at 1,000,000: its words are
    counted in Python. So it is made in a thread, and who cannot wait goes without it.
    """

    def __init__(self) -> None:
        # By owner; and by chunks, because an index of them all takes 2 GB.
        self._kept: LRUCache[str, _Version] = LRUCache(
            _CHUNKS_KEPT, lambda version: min(1 + len(version.snapshot.chunks), _CHUNKS_KEPT)
        )
        self._lock = threading.Lock()

    def plain(self, owner: str, snapshot: Snapshot) -> VectorIndex:
        """What search by cosine looks through, in the store of this person; at once."""
        return self._version(owner, snapshot).plain

    def of(self, owner: str, snapshot: Snapshot) -> SearchIndex:
        """What models search, when it is made."""
        return self._building(owner, snapshot).result()

    def soon(self, owner: str, snapshot: Snapshot) -> SearchIndex | None:
        """What models search if it is there within three seconds; else it is being made."""
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
                # Daemon: an app that is told to stop need not wait for an index.
                threading.Thread(
                    target=self._build, args=(owner, version), name="index", daemon=True
                ).start()
        return version.trained

    def _build(self, owner: str, version: _Version) -> None:
        snapshot = version.snapshot
        try:
            index = SearchIndex.of(
                snapshot.embeddings,
                [chunk.text for chunk in snapshot.chunks],
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
    """The id, and never a path or a pattern that someone typed."""
    if not _is_id(run_id):
        raise NotFound("There is no such run.")
    return run_id


def _is_id(name: str) -> bool:
    try:
        return str(UUID(name)) == name
    except ValueError:
        return False
