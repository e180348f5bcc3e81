"""Which trained-model files stay on disk: each person's newest, and the one that search uses."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from services.accounts.database import Database
from services.config import Settings
from services.deep_memory.model_store import ModelStore
from services.errors import AppError
from services.models import TrainingRun
from services.retrieval.stores import models_folder, users_with_folder
from services.runs.store import run_from_row

log = logging.getLogger(__name__)


def run_in_use(service: Database, user_id: str) -> TrainingRun | None:
    """The run whose model search uses now; None while Deep Memory is off."""
    rows = service.execute(
        lambda c: (
            c.table("deep_memory_settings")
            .select("run:deep_memory_training_runs!active_run_id(*)")
            .eq("user_id", user_id)
            .eq("enabled", True)
        )
    ).data
    return run_from_row(rows[0]["run"]) if rows and rows[0]["run"] else None


def tidy_models(service: Database, user_id: str, models: ModelStore, kept: int) -> None:
    """Delete the models of all but the `kept` newest completed runs, but never the one in use.

    Files of removed runs are deleted too: the app may have been killed after deleting their row.
    """
    left = models.runs()
    if not left:
        return
    runs = _runs(service, user_id, sorted(left))
    settings = _settings(service, user_id)
    if not runs and not settings:
        return  # this database does not know the person; it may not be the one used before
    for run_id in left - runs.keys():
        models.remove(run_id)
    active = {row["active_run_id"] for row in settings}
    with_model = models.runs("*.npz") & runs.keys()
    completed = [run_id for run_id in with_model if runs[run_id]]
    newest_first = sorted(completed, key=lambda run_id: runs[run_id], reverse=True)
    for run_id in newest_first[kept:]:
        if run_id not in active:
            models.give_up(run_id)


def tidy_all_models(settings: Settings, service: Database) -> None:
    """Like `tidy_models`, for everybody with a folder on this machine."""
    for user_id in users_with_folder(settings):
        try:
            models = ModelStore(models_folder(settings, user_id))
            tidy_models(service, user_id, models, settings.models_kept)
        except (AppError, OSError):
            log.warning("models_not_tidied user=%s", user_id, exc_info=True)


def _settings(service: Database, user_id: str) -> list[dict[str, Any]]:
    return service.execute(
        lambda c: c.table("deep_memory_settings").select("active_run_id").eq("user_id", user_id)
    ).data


def _runs(service: Database, user_id: str, ids: Sequence[str]) -> dict[str, str]:
    """Run id -> completion time ("" if not completed), for those of `ids` that are the user's."""
    found: dict[str, str] = {}
    for first in range(0, len(ids), 100):  # ids travel in the URL
        found |= _runs_at_once(service, user_id, ids[first : first + 100])
    return found


def _runs_at_once(service: Database, user_id: str, ids: Sequence[str]) -> dict[str, str]:
    rows = service.execute(
        lambda c: (
            c.table("deep_memory_training_runs")
            .select("id, completed_at")
            .eq("user_id", user_id)
            .in_("id", ids)
        )
    ).data
    return {row["id"]: row["completed_at"] or "" for row in rows}
