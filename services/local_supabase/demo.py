"""The demo analyst's account, created at start so that nobody else can take its address first."""

from __future__ import annotations

import itertools

import psycopg
from argon2 import PasswordHasher

from services.local_supabase.auth import password_matches

DEMO_EMAIL = "demo@example.com"
_APP_DATA = '{"provider": "email", "providers": ["email"], "demo": true}'


def ensure_demo_account(connection: psycopg.Connection, password: str) -> str:
    """Create the account with this password unless it exists, and return its e-mail address.

    Before the address was reserved, a person could sign up with it. That account stays theirs, and
    the demo analyst becomes demo-2@example.com.
    """
    hasher = PasswordHasher()
    hashed = hasher.hash(password)
    others = (DEMO_EMAIL.replace("@", f"-{number}@") for number in itertools.count(2))
    return next(
        email
        for email in itertools.chain([DEMO_EMAIL], others)
        if _takes(connection, email, hashed) or _has(connection, email, hasher, password)
    )


def _takes(connection: psycopg.Connection, email: str, hashed: str) -> bool:
    """Whether the account is new, or already the demo's; its password is updated to this one."""
    row = connection.execute(
        "insert into auth.users as u (email, encrypted_password, email_confirmed_at,"
        " raw_app_meta_data) values (%s, %s, now(), %s) on conflict (email) do update"
        " set encrypted_password = excluded.encrypted_password"
        " where u.raw_app_meta_data ->> 'demo' = 'true' returning id",
        (email, hashed, _APP_DATA),
    )
    return row.fetchone() is not None


def _has(connection: psycopg.Connection, email: str, hasher: PasswordHasher, password: str) -> bool:
    """Whether it is a demo account from before they were marked as such."""
    row = connection.execute(
        "select encrypted_password from auth.users where email = %s", (email,)
    ).fetchone()
    return row is not None and row[0] is not None and password_matches(hasher, row[0], password)
