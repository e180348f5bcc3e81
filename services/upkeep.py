"""App-wide upkeep: check that all parts are ready, and delete leftovers of what was removed."""

from __future__ import annotations

import logging
import threading
import time

from services.accounts.database import Database
from services.config import Settings
from services.deep_memory.kept_models import tidy_all_models
from services.disk import require_room
from services.errors import AppError, DatabaseUnavailable
from services.knowledge.import_rows import unfinished_imports
from services.knowledge.kept_files import KeptFiles
from services.retrieval.stores import sweep_stores
from services.retrieval.vector_store import VectorStore
from services.schema import require_known_schema

log = logging.getLogger(__name__)

_OLD_SEARCHES_EVERY_S = 3600.0


def refuse_another_schema(service: Database) -> None:
    """Raise ConfigurationError if the database, when it answers, is of an older or newer app."""
    try:
        require_known_schema(service)
    except DatabaseUnavailable:  # the screens say so, and `require_ready` asks again
        log.warning("schema_not_known")


def require_ready(settings: Settings, service: Database, store: VectorStore) -> None:
    """Check that the disk has room, and that the database and a store answer.

    Raises:
        AppError: something is missing or does not answer; the message says what.
    """
    require_room(settings.data_dir)
    require_known_schema(service)
    service.execute(lambda c: c.table("deep_memory_settings").select("id").limit(1))
    store.count()


def start_tidying(settings: Settings, service: Database, kept: KeptFiles) -> None:
    """Start deleting files of removed data that a crash left behind on this machine, and searches
    that are kept no longer."""

    def tidy() -> None:
        sweep_stores(settings)
        tidy_all_models(settings, service)
        kept.sweep(unfinished_imports(service))

    # Daemon: the next start finishes what this one does not.
    threading.Thread(target=tidy, name="tidy", daemon=True).start()
    threading.Thread(target=_keep_deleting, args=(service,), name="retention", daemon=True).start()


def delete_old_searches(service: Database) -> None:
    """Delete everybody's searches that are older than they were to be kept."""
    count = service.rpc("delete_old_searches")
    if count:
        log.info("old_searches_deleted count=%d", count)


def _keep_deleting(service: Database) -> None:
    """Delete searches that are kept no longer, now and every hour."""
    while True:
        try:
            delete_old_searches(service)
        except AppError as error:
            log.warning("old_searches_not_deleted code=%s", error.code)
        time.sleep(_OLD_SEARCHES_EVERY_S)
