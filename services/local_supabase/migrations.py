"""Applies `supabase/migrations/` to a database, and records them as the Supabase CLI does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from services.errors import ConfigurationError
from services.schema import MIGRATIONS

_BOOTSTRAP = Path(__file__).with_name("bootstrap.sql")
# The CLI's own pattern: other files in the folder are not migrations.
_MIGRATION_NAME = re.compile(r"^(?P<version>[0-9]+)_(?P<name>.*)\.sql$")
# Any number will do, as long as every app that starts on this database uses the same one.
_LOCK = 7_340_021

# As the CLI creates it, so that `supabase db push` continues where this left off.
_HISTORY = """
create schema if not exists supabase_migrations;
create table if not exists supabase_migrations.schema_migrations (
  version text not null primary key
);
alter table supabase_migrations.schema_migrations add column if not exists statements text[];
alter table supabase_migrations.schema_migrations add column if not exists name text;
"""


def connect(dsn: str) -> psycopg.Connection:
    """Open a connection that commits each statement, as the functions here expect."""
    return psycopg.connect(dsn, autocommit=True)


def bootstrap(connection: psycopg.Connection) -> None:
    """Create the roles, privileges and `auth` schema that hosted Supabase starts with.

    Safe to repeat, even by two apps at once.
    """
    with _one_at_a_time(connection), connection.transaction():
        connection.execute("set local client_min_messages = warning")
        connection.execute(_BOOTSTRAP.read_bytes())


def recorded_versions(connection: psycopg.Connection) -> set[str]:
    """The versions of the migrations that the database has."""
    with _one_at_a_time(connection):
        return _recorded(connection)


def apply_migrations(
    connection: psycopg.Connection, folder: Path = MIGRATIONS, *, upto: str | None = None
) -> list[str]:
    """Apply what is not recorded yet, in the order of the file names; return those versions.

    Each file and its record are one transaction. `upto` is the last version to apply. The record
    holds a file as one statement, where the CLI splits it; the CLI compares versions only.

    Raises:
        ConfigurationError: a file fails. It is rolled back, and those before it stay.
    """
    applied = []
    with _one_at_a_time(connection):
        recorded = _recorded(connection)
        for file in sorted(folder.glob("*.sql")):
            match = _MIGRATION_NAME.match(file.name)
            if match is None or match["version"] in recorded:
                continue
            if upto is not None and match["version"] > upto:
                break
            _apply(connection, file, match["version"], match["name"])
            applied.append(match["version"])
    return applied


def _recorded(connection: psycopg.Connection) -> set[str]:
    connection.execute("set client_min_messages = warning")
    connection.execute(_HISTORY.encode())
    rows = connection.execute("select version from supabase_migrations.schema_migrations")
    return {version for (version,) in rows}


def _apply(connection: psycopg.Connection, file: Path, version: str, name: str) -> None:
    sql = file.read_text(encoding="utf-8")
    try:
        with connection.transaction():
            connection.execute(sql.encode())
            connection.execute(
                "insert into supabase_migrations.schema_migrations (version, name, statements)"
                " values (%s, %s, %s)",
                (version, name, [sql]),
            )
    except psycopg.Error as error:
        raise ConfigurationError(
            f"The migration {file.name} cannot be applied: {error}. "
            "It was rolled back; nothing is lost.",
            next_step="Correct the migration, or start afresh with another DATA_DIR.",
        ) from error


@contextmanager
def _one_at_a_time(connection: psycopg.Connection) -> Iterator[None]:
    connection.execute("select pg_advisory_lock(%s)", (_LOCK,))
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute("select pg_advisory_unlock(%s)", (_LOCK,))
