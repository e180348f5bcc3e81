"""The connection to Supabase: the only module that imports its client."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import httpx
from postgrest.exceptions import APIError
from postgrest.types import CountMethod as CountMethod
from postgrest.types import ReturnMethod as ReturnMethod
from pydantic import SecretStr
from supabase import Client, ClientOptions, create_client

from services.config import Settings
from services.errors import (
    AppError,
    DatabaseUnavailable,
    DiskFull,
    NotAllowed,
    NotFound,
    NotSignedIn,
    SchemaTooOld,
)

log = logging.getLogger(__name__)

# One page of rows: hosted Supabase returns at most 1,000, whatever is asked for.
PAGE_ROWS = 1000
_TIMEOUT = httpx.Timeout(20.0, connect=5.0)
# Reading the certificates takes 40 ms, so all clients share them.
_TLS = httpx.create_ssl_context()


@dataclass(frozen=True, slots=True)
class SupabaseEndpoint:
    """Where Supabase is, hosted or embedded, and the keys to it."""

    url: str
    publishable_key: SecretStr
    secret_key: SecretStr

    @classmethod
    def of_settings(cls, settings: Settings) -> SupabaseEndpoint:
        """The hosted Supabase that the settings name."""
        url, publishable = settings.supabase_url, settings.supabase_publishable_key
        secret = settings.supabase_secret_key
        assert url and publishable and secret  # Settings refuses it half set
        return cls(url, publishable, secret)


def _connections() -> httpx.Client:
    """HTTP/1.1 connections. HTTP/2, the library's default, is reported to drop idle ones
    (supabase-py issue 1064)."""
    return httpx.Client(verify=_TLS, timeout=_TIMEOUT, http2=False, follow_redirects=True)


def _client(
    url: str,
    key: SecretStr,
    connections: httpx.Client,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> Client:
    """A client that keeps no session and refreshes no token by itself.

    It does not retry reads either, which would block a screen for 7 seconds: screens poll, and
    workers retry.
    """
    options = ClientOptions(
        headers=dict(headers),
        auto_refresh_token=False,
        persist_session=False,
        postgrest_client_retry=False,
        httpx_client=connections,
    )
    return create_client(url, key.get_secret_value(), options)


@contextmanager
def passing_client(
    endpoint: SupabaseEndpoint,
    key: SecretStr | None = None,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Client]:
    """A client for a call or two of someone who is not signed in yet; its connection then closes.

    `key` defaults to the publishable key. A client that is only dropped would keep its connection
    until garbage collection.
    """
    with _connections() as connections:
        yield _client(endpoint.url, key or endpoint.publishable_key, connections, headers)


class Database:
    """The statements of one identity.

    With `access_token` they run as that user, under row-level security, with a fresh token each
    time; without it, with the role of the key. One per signed-in session: never share it.
    """

    def __init__(
        self, url: str, key: SecretStr, access_token: Callable[[], str] | None = None
    ) -> None:
        self._client = _client(url, key, _connections())
        # The library creates this part on first use: two threads that use it at once would create
        # two, and one of them would lack the user's token.
        _ = self._client.postgrest
        self._access_token = access_token

    def execute(self, query: Callable[[Client], Any]) -> Any:
        """Run `query(client)` and return the library's answer (`.data`, `.count`).

        Raises:
            DatabaseUnavailable: no answer; a write may have landed all the same.
            DiskFull: there was no room for the write, so nothing was changed.
            SchemaTooOld: the database lacks a migration of this app.
            NotSignedIn: the token was refused.
            NotAllowed: one of the database's rules forbids the statement.
            NotFound: an id is malformed.
        """
        try:
            if self._access_token is not None:
                self._client.postgrest.auth(self._access_token())
            return query(self._client).execute()
        except httpx.HTTPError as error:
            raise DatabaseUnavailable("The database does not answer just now.") from error
        except APIError as error:
            raise _app_error(error) from error

    def rpc(self, function: str, **parameters: Any) -> Any:
        """Call a database function and return its rows or its value."""
        return self.execute(lambda client: client.rpc(function, parameters)).data


def every_row(page: Callable[[int, int], list[Any]]) -> list[Any]:
    """Collect all rows of `page(first, last)` beyond the row cap; their order must be unique."""
    rows: list[Any] = []
    while True:
        batch = page(len(rows), len(rows) + PAGE_ROWS - 1)
        rows.extend(batch)
        if len(batch) < PAGE_ROWS:
            return rows


def storable(text: str) -> str:
    """`text` without what Postgres cannot store: NUL, and lone surrogates."""
    return text.replace("\0", "").encode(errors="replace").decode()


def _app_error(error: APIError) -> AppError:
    code = str(error.code or "")
    if code in ("PGRST301", "PGRST302", "PGRST303", "401"):
        return NotSignedIn("Your session has ended.")
    if code in ("23514", "23505", "42501"):
        return NotAllowed(_REFUSALS.get(code, str(error.message)))
    if code == "22P02":
        return NotFound("That is not a valid id.")
    if code == "53100":
        return DiskFull("The disk of the database is full. Nothing was changed.")
    if code in ("PGRST202", "PGRST205"):  # no such function, no such table
        log.error("database_lacks_a_migration code=%s", code)
        return SchemaTooOld()
    if not code or _PASSES_BY_ITSELF.match(code):
        return DatabaseUnavailable("The database does not answer just now.")
    log.error("database_refused code=%s", code)
    return AppError("The database refused this. Nothing was changed.")


# PostgREST cannot reach Postgres (PGRST0xx); Postgres shuts down or starts (57P0x), loses the
# connection (08), is out of resources (53) or resolved a deadlock (40); a proxy in front of it
# answers with its own HTTP status.
_PASSES_BY_ITSELF = re.compile(r"PGRST0\d\d|(57P|08\w|53\w|40\w)\w\w|5\d\d|429")

_REFUSALS = {
    "23505": "That already exists.",
    "42501": "You may not change that, or not in this status.",
}
