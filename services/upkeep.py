"""What the app sees to as a whole: that its parts are ready, and that nothing removed stays."""

from __future__ import annotations

import logging
import threading

from services.accounts.database import Database
from services.config import Settings
from services.deep_memory.kept_models import tidy_all_models
from services.disk import require_room
from services.errors import DatabaseUnavailable
from services.retrieval.stores import sweep_stores
from services.retrieval.vector_store import VectorStore
from services.schema import require_known_schema

log = logging.getLogger(__name__)


def refuse_another_schema(service: Database) -> None:
    """Raises ConfigurationError for a database of an older or newer app, if it can be asked."""
    try:
        require_known_schema(service)
    except DatabaseUnavailable:  # the screens say so, and `require_ready` asks again
        log.warning("schema_not_known")


def require_ready(settings: Settings, service: Database, store: VectorStore) -> None:
    """Look for room on the disk, and ask the database and a store for an answer.

    Raises:
        AppError: what is missing, or which of them gave none.
    """
    require_room(settings.data_dir)
    require_known_schema(service)
    service.execute(lambda c: c.table("deep_memory_settings").select("id").limit(1))
    store.count()


def start_tidying(settings: Settings, service: Database) -> None:
    """Begin to delete what crashes left on this machine of what people removed."""

    def tidy() -> None:
        sweep_stores(settings)
        tidy_all_models(settings, service)

    # Daemon: what it does not finish, the next start does.
    threading.Thread(target=tidy, name="tidy", daemon=True).start()
