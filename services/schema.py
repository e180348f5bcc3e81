"""Whether a database has the schema that this app was written for."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from services.config import PROJECT_ROOT
from services.errors import ConfigurationError, SchemaTooOld

if TYPE_CHECKING:  # the embedded stack reads migrations and need not wait for Supabase's client
    from services.accounts.database import Database

MIGRATIONS = PROJECT_ROOT / "supabase" / "migrations"
# Ours have three digits. A hosted project may have others, which the CLI names by timestamp.
_OURS = re.compile(r"\d{3}")


def require_known_schema(service: Database) -> None:
    """Check which migrations the database has. It does not record those applied by hand.

    Raises:
        SchemaTooOld: it lacks some of the app's migrations.
        ConfigurationError: it has newer migrations than the app.
        DatabaseUnavailable: it does not answer.
    """
    applied = [version for version in service.rpc("applied_migrations") if _OURS.fullmatch(version)]
    refuse_newer_schema(applied)
    if applied and max(applied) < newest_migration():
        raise SchemaTooOld


def refuse_newer_schema(applied: Iterable[str]) -> None:
    """Raise ConfigurationError if one of these versions is newer than the app's newest."""
    newest = newest_migration()
    newer = [version for version in applied if _OURS.fullmatch(version) and version > newest]
    if newer:
        raise ConfigurationError(
            f"The database is newer than this app: it has migration {max(newer)}, and the app knows"
            f" them up to {newest}. Nothing was changed.",
            next_step="Update the app, then start it again.",
        )


def newest_migration() -> str:
    """The version of the last file in `supabase/migrations`."""
    return max(file.name[:3] for file in MIGRATIONS.glob("[0-9][0-9][0-9]_*.sql"))
