"""Fixtures that several kinds of tests share."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import psycopg
import pytest
from pydantic import SecretStr

from services.accounts.auth import Accounts, SignedInUser
from services.accounts.database import Database, SupabaseEndpoint
from services.local_supabase.migrations import connect
from services.local_supabase.stack import LocalSupabase
from tests.embedded import run_embedded, temporary_data_dir

PASSWORD = "correct horse battery"
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def supabase_stack() -> Iterator[LocalSupabase]:
    """One embedded Supabase for the whole test session, with all migrations applied."""
    with temporary_data_dir() as data_dir, run_embedded(data_dir) as stack:
        yield stack


@pytest.fixture(scope="session")
def endpoint(supabase_stack: LocalSupabase) -> SupabaseEndpoint:
    return SupabaseEndpoint(
        supabase_stack.url,
        SecretStr(supabase_stack.publishable_key),
        SecretStr(supabase_stack.secret_key),
    )


@pytest.fixture(scope="session")
def service(endpoint: SupabaseEndpoint) -> Database:
    """The database as the worker threads see it."""
    return Database(endpoint.url, endpoint.secret_key)


@pytest.fixture(scope="session")
def accounts(endpoint: SupabaseEndpoint, service: Database) -> Accounts:
    return Accounts(endpoint, service)


@pytest.fixture
def new_user(accounts: Accounts) -> Callable[[], SignedInUser]:
    """Makes an account that no other test knows, and signs in with it."""
    return lambda: accounts.sign_up(f"user{next(_numbers)}@example.com", PASSWORD)


@pytest.fixture
def user(new_user: Callable[[], SignedInUser]) -> SignedInUser:
    return new_user()


@pytest.fixture
def owner(supabase_stack: LocalSupabase) -> Iterator[psycopg.Connection]:
    """The database's owner, whom no policy holds: to look behind the services, and to age rows."""
    with connect(supabase_stack.dsn) as connection:
        yield connection
