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

# One page of rows: hosted Supabase answers at most 1,000, whatever is asked for.
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
        """The hosted one that the settings name."""
        url, publishable = settings.supabase_url, settings.supabase_publishable_key
        secret = settings.supabase_secret_key
        assert url and publishable and secret  # Settings refuses it half set
        return cls(url, publishable, secret)


def _connections() -> httpx.Client:
    """Connections of HTTP/1.1. HTTP/2, the library's default, is reported to drop idle ones
    (supabase-py issue 1064)."""
    return httpx.Client(verify=_TLS, timeout=_TIMEOUT, http2=False, follow_redirects=True)


def _client(
    url: str,
    key: SecretStr,
    connections: httpx.Client,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> Client:
    """A client that keeps no session and refreshes nothing by itself.

    It repeats no read either, which would hold a screen for 7 seconds: screens poll, workers retry.
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
    """A client for a call or two of someone who is not known yet; its connection ends with them.

    `key` is the publishable one unless it is given.

    A client that is only dropped keeps its connection until the garbage collector comes by.
    """
    with _connections() as connections:
        yield _client(endpoint.url, key or endpoint.publishable_key, connections, headers)


class Database:
    """The statements of one identity.

    With `access_token` they run as that user, under row-level security, with a fresh token each
    time; without, as the key itself. One per signed-in session: never share it.
    """

    def __init__(
        self, url: str, key: SecretStr, access_token: Callable[[], str] | None = None
    ) -> None:
        self._client = _client(url, key, _connections())
        # The library makes this part at its first use: two threads that use it at once would make
        # two, and one of them would go without the user's token.
        _ = self._client.postgrest
        self._access_token = access_token

    def execute(self, query: Callable[[Client], Any]) -> Any:
        """Run `query(client)` and return the library's answer (`.data`, `.count`).

        Raises:
            DatabaseUnavailable: no answer; a read changed nothing, a write may have landed.
            DiskFull: the write found no room, and changed nothing.
            SchemaTooOld: the database lacks a migration of this app.
            NotSignedIn: the token was refused.
            NotAllowed: the database refused the statement by one of its rules.
            NotFound: an id is not one.
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
    """Collect all rows of `page(first, last)`, whose order must be unique, past the row cap."""
    rows: list[Any] = []
    while True:
        batch = page(len(rows), len(rows) + PAGE_ROWS - 1)
        rows.extend(batch)
        if len(batch) < PAGE_ROWS:
            return rows


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


# PostgREST cannot reach Postgres (PGRST0xx); Postgres goes down or comes up (57P0x), loses the
# connection (08), is out of resources (53), or chose this one of two that waited for each other
# (40); a proxy in front of it answers with an HTTP status of its own.
_PASSES_BY_ITSELF = re.compile(r"PGRST0\d\d|(57P|08\w|53\w|40\w)\w\w|5\d\d|429")

_REFUSALS = {
    "23505": "That is there already.",
    "42501": "That is not yours to change, or not in this status.",
}
