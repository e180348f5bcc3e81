"""Migrations run in order, once, and are recorded where the Supabase CLI looks."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from services.errors import ConfigurationError
from services.local_supabase.migrations import MIGRATIONS, apply_migrations, bootstrap, connect


@pytest.fixture
def empty_dsn(supabase_stack) -> Iterator[str]:
    """A new database with what hosted Supabase starts with, and no migration."""
    name = f"migrated_{uuid.uuid4().hex[:8]}"
    with connect(supabase_stack.dsn) as owner:
        owner.execute(f"create database {name}")
        dsn = make_conninfo(supabase_stack.dsn, dbname=name)
        with connect(dsn) as connection:
            bootstrap(connection)
        yield dsn
        owner.execute(f"drop database {name} with (force)")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "001_first.sql").write_text("create table things (id int); -- 100%\n")
    (tmp_path / "002_second.sql").write_text("alter table things add name text;")
    (tmp_path / "notes.sql").write_text("this is no migration")
    return tmp_path


def recorded(connection: psycopg.Connection) -> list[tuple]:
    return connection.execute(
        "select version, name, statements from supabase_migrations.schema_migrations order by 1"
    ).fetchall()


def test_migrations_are_recorded_as_the_cli_records_them(empty_dsn, folder):
    with connect(empty_dsn) as connection:
        assert apply_migrations(connection, folder) == ["001", "002"]
        first, second = recorded(connection)
    assert first == ("001", "first", [(folder / "001_first.sql").read_text()])
    assert second[:2] == ("002", "second")


def test_migrations_applied_twice_change_nothing(empty_dsn, folder):
    with connect(empty_dsn) as connection:
        apply_migrations(connection, folder)
        assert apply_migrations(connection, folder) == []


def test_upto_stops_after_that_version(empty_dsn, folder):
    with connect(empty_dsn) as connection:
        assert apply_migrations(connection, folder, upto="001") == ["001"]
        assert apply_migrations(connection, folder) == ["002"]


def test_two_apps_that_start_at_once_apply_each_migration_once(empty_dsn, folder):
    def start(_: int) -> list[str]:
        with connect(empty_dsn) as connection:
            bootstrap(connection)
            return apply_migrations(connection, folder)

    with ThreadPoolExecutor(4) as apps:
        applied = sorted(version for part in apps.map(start, range(4)) for version in part)
    assert applied == ["001", "002"]


def test_migration_that_fails_leaves_nothing_of_itself_and_is_named(empty_dsn, folder):
    (folder / "002_second.sql").write_text("create table half (id int); select nonsense;")
    with connect(empty_dsn) as connection:
        with pytest.raises(ConfigurationError, match=r"002_second\.sql"):
            apply_migrations(connection, folder)
        assert [row[0] for row in recorded(connection)] == ["001"]
        assert connection.execute("select to_regclass('half')").fetchone() == (None,)


def test_running_stack_has_every_migration_of_the_project(supabase_stack):
    with connect(supabase_stack.dsn) as connection:
        versions = [row[0] for row in recorded(connection)]
    assert versions == sorted(file.name.split("_")[0] for file in MIGRATIONS.glob("*_*.sql"))
