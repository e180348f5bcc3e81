"""Trained models, their rank changes and what they were trained on: files named by run and attempt.

The attempt is part of the name so that a worker that was suspended and wakes up late cannot replace
the model of the attempt that completed the run. An empty marker file stands for each model that is
no longer kept.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from itertools import zip_longest
from pathlib import Path
from typing import Any
from uuid import UUID

from services.deep_memory.measured_sets import HELD_OUT
from services.deep_memory.trained_model import DeepMemoryModel
from services.errors import NotFound, TrainingError
from services.models import TrainingRun
from services.pairs.rules import question_key

GONE = "The file of this model is gone."
DAMAGED = "The file of this model is damaged."
NO_LONGER_KEPT = "This model is no longer kept: MODELS_KEPT says how many are."

log = logging.getLogger(__name__)


class ModelStore:
    """One user's trained models. The database says which one search uses."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._loaded: tuple[_Seen | None, DeepMemoryModel] | None = None
        self._found_whole: set[_Seen] = set()
        self._lock = threading.Lock()

    def save(self, run: TrainingRun, model: DeepMemoryModel) -> str:
        """Store the model of this attempt; saving it again replaces it atomically.

        Returns the SHA-256 of its file: the same model gives the same.
        """
        path = self._path(run)
        model.save(path)
        return sha256(path.read_bytes()).hexdigest()

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

    def save_rank_changes(
        self, run: TrainingRun, held_out: Mapping[str, Any], sets: Sequence[Mapping[str, Any]]
    ) -> None:
        """Store the wins and losses on each set of questions, which are too many for the run's row.

        If the file cannot be written, the row still has the first of them.
        """
        changes = [_changes(HELD_OUT, held_out), *(_changes(kept["name"], kept) for kept in sets)]
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._rank_changes_path(run).write_text(json.dumps(changes), encoding="utf-8")
        except OSError:
            log.warning("rank_changes_not_kept run=%s", run.id, exc_info=True)

    def add_rank_changes(self, run: TrainingRun, figures: Mapping[str, Any]) -> None:
        """Store those on a set that was measured later, in place of earlier ones on this set."""
        others = self.rank_changes(run)
        others.pop(figures["name"], None)
        held_out = others.pop(HELD_OUT, {"wins": [], "losses": []})
        sets = [{"name": name, **changes} for name, changes in others.items()]
        self.save_rank_changes(run, held_out, [*sets, figures])

    def rank_changes(self, run: TrainingRun) -> dict[str, dict[str, Any]]:
        """Name of the set -> "wins" and "losses"; empty for older runs, and if the file is gone.

        Files of an earlier version have no names: the first is that of the held-out questions, the
        others are in the order of the row.
        """
        try:
            kept = json.loads(self._rank_changes_path(run).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        names = [HELD_OUT, *(found["name"] for found in run.metrics.get("test_sets", []))]
        return {
            found.get("name", name): {side: found[side] for side in ("wins", "losses")}
            for name, found in zip_longest(names, kept, fillvalue=None)
            if found is not None
        }

    def save_trained_on(self, run: TrainingRun, questions: Iterable[str]) -> None:
        """Keep hashes of the questions that a run was trained on: they cannot measure it."""
        hashes = sorted({_hash(question) for question in questions})
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._trained_on_path(run).write_text(json.dumps(hashes), encoding="utf-8")
        except OSError:
            log.warning("trained_on_not_kept run=%s", run.id, exc_info=True)

    def trained_on(self, run: TrainingRun, questions: Iterable[str]) -> set[str]:
        """Which of the questions the run was trained on; none for older runs."""
        try:
            hashes = set(json.loads(self._trained_on_path(run).read_text(encoding="utf-8")))
        except (OSError, ValueError):
            return set()
        return {question for question in questions if _hash(question) in hashes}

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

    def _trained_on_path(self, run: TrainingRun) -> Path:
        return self._path(run).with_suffix(".trained-on.json")


def _changes(name: str, figures: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": name, "wins": figures["wins"], "losses": figures["losses"]}


_Seen = tuple[Path, int, int]  # a file, its modification time in ns, and its size in bytes


def _seen(path: Path) -> _Seen | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return path, stat.st_mtime_ns, stat.st_size


def _hash(question: str) -> str:
    return sha256(question_key(question).encode(errors="replace")).hexdigest()[:16]


def _given_up(path: Path) -> Path:
    return path.with_suffix(".given-up")


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
