"""Fixtures that several kinds of tests share."""

from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import Callable, Iterator

import jwt
import psycopg
import pytest
from pydantic import SecretStr

from services.accounts.auth import Accounts, Identity, SignedInUser, Tokens
from services.accounts.database import Database, SupabaseEndpoint
from services.local_supabase.data_folder import load_or_create_secrets
from services.local_supabase.migrations import connect
from services.local_supabase.stack import LocalSupabase
from tests.embedded import run_embedded, temporary_data_dir

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
def new_user(
    supabase_stack: LocalSupabase, accounts: Accounts, owner: psycopg.Connection
) -> Callable[[], SignedInUser]:
    """Makes an account that no other test knows, signed in for an hour.

    Without a password, whose hashing takes its time: signing in has tests of its own.
    """
    secret = load_or_create_secrets(supabase_stack.data_dir).jwt_secret

    def make() -> SignedInUser:
        identity = Identity(str(uuid.uuid4()), f"user{next(_numbers)}@example.com")
        owner.execute(
            "insert into auth.users (id, email) values (%s, %s)", (identity.user_id, identity.email)
        )
        expires_at = time.time() + 3600
        claims = {"sub": identity.user_id, "role": "authenticated", "aud": "authenticated"}
        token = jwt.encode({**claims, "exp": int(expires_at)}, secret)
        return accounts.open_session(identity, Tokens(token, "none", expires_at))

    return make


@pytest.fixture
def user(new_user: Callable[[], SignedInUser]) -> SignedInUser:
    return new_user()


@pytest.fixture
def owner(supabase_stack: LocalSupabase) -> Iterator[psycopg.Connection]:
    """The database's owner, whom no policy holds: to look behind the services, and to age rows."""
    with connect(supabase_stack.dsn) as connection:
        yield connection
