"""Migrations run in order, once, and are recorded where the Supabase CLI looks."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from services.errors import ConfigurationError, SchemaTooOld
from services.local_supabase.migrations import apply_migrations, bootstrap, connect
from services.local_supabase.stack import start_local_supabase
from services.schema import MIGRATIONS, newest_migration
from tests.embedded import run_embedded, temporary_data_dir


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


def test_stack_refuses_a_database_that_is_newer_than_the_app():
    """As after going back to an older version of the app."""
    with temporary_data_dir() as data_dir:
        with run_embedded(data_dir) as stack, connect(stack.dsn) as connection:
            connection.execute(
                "insert into supabase_migrations.schema_migrations (version) values ('999')"
            )
        with pytest.raises(ConfigurationError, match=r"newer than this app.*999") as refused:
            start_local_supabase(data_dir)
        assert "Update the app" in refused.value.next_step


@pytest.fixture
def recorded_as(service, owner) -> Iterator[Callable[..., None]]:
    """Sets which migrations the database has, as a hosted one says it; puts them back after."""
    kept = service.rpc("applied_migrations")

    def record(*versions: str) -> None:
        owner.execute("delete from supabase_migrations.schema_migrations")
        for version in versions:
            owner.execute(
                "insert into supabase_migrations.schema_migrations (version) values (%s)",
                (version,),
            )

    yield record
    record(*kept)


def test_hosted_database_that_is_newer_than_the_app_is_refused_at_start(recorded_as, new_studio):
    recorded_as(newest_migration(), "998")
    with pytest.raises(ConfigurationError, match=r"newer than this app.*998"):
        new_studio()


def test_hosted_database_that_lacks_migrations_says_what_to_run(recorded_as, new_studio, service):
    recorded_as("007", "008")
    with pytest.raises(SchemaTooOld, match="older than this app") as refused:
        new_studio()
    assert "supabase db push" in refused.value.next_step
    with pytest.raises(SchemaTooOld):  # the first migration with the question itself may be missing
        service.rpc("a_function_of_a_newer_app")


@pytest.mark.parametrize("others", [(), ("20240101120000",)])
def test_migrations_by_hand_and_those_of_other_projects_are_no_reason_to_refuse(
    recorded_as, new_studio, others
):
    recorded_as(*others)
    new_studio()
