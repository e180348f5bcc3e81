"""Sign-up, sign-in and sign-out, and sessions that survive F5 and a restart of the app."""

from __future__ import annotations

import base64
import json
import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
from supabase_auth.errors import AuthApiError, AuthError, AuthRetryableError, AuthWeakPasswordError

from services.accounts.database import Database, SupabaseEndpoint, passing_client
from services.accounts.visitors import Visitor, hashed, new_cookie, told_of
from services.errors import AppError, DatabaseUnavailable, NotSignedIn, SignInRefused

log = logging.getLogger(__name__)

_REFRESH_BEFORE_END_S = 60
_TRUSTED_S = 30.0  # how long, at most, a session still works after a sign-out elsewhere
_STORING_S = 3.0  # the longest time between the answer to a refresh and its row in the table
_TABLE = "app_sessions"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who is signed in."""

    user_id: str
    email: str


@dataclass(frozen=True, slots=True)
class Tokens:
    access_token: str
    refresh_token: str
    expires_at: float  # seconds since the epoch


@dataclass(frozen=True, slots=True)
class BearerUser:
    """Who an access token belongs to, and the database as that user sees it."""

    identity: Identity
    database: Database


class SignedInUser:
    """One signed-in session: its identity, and the database as that user sees it.

    `cookie` is the random id that the browser keeps. It is signed, so that even after a sign-out it
    shows that this person signed in on this device before. The tokens live in the database, because
    refresh tokens are single-use and several tabs, processes and replicas share one session.
    """

    def __init__(self, accounts: Accounts, cookie: str, identity: Identity, tokens: Tokens) -> None:
        self._accounts = accounts
        self._tokens = tokens
        self._checked_at = time.monotonic()
        self._lock = threading.Lock()
        self.cookie = cookie
        self.identity = identity
        endpoint = accounts.endpoint
        self.database = Database(endpoint.url, endpoint.publishable_key, self.access_token)

    def access_token(self) -> str:
        """A token that is valid for at least a minute, refreshed if necessary.

        Raises:
            NotSignedIn: the session was signed out, here or elsewhere, or cannot be refreshed.
        """
        with self._lock:
            is_trusted = time.monotonic() - self._checked_at < _TRUSTED_S
            if not is_trusted or self._tokens.expires_at - time.time() < _REFRESH_BEFORE_END_S:
                self._tokens = self._accounts.fresh_tokens(self.cookie)
                self._checked_at = time.monotonic()
            return self._tokens.access_token


class Accounts:
    """People and their sessions. `service` is the database with the secret key."""

    def __init__(self, endpoint: SupabaseEndpoint, service: Database) -> None:
        self.endpoint = endpoint
        self._service = service

    def sign_in(self, email: str, password: str, visitor: Visitor | None = None) -> SignedInUser:
        """Sign in. Without a visitor it is the app itself, which no one's guesses can block."""
        return self._begin(
            lambda auth: auth.sign_in_with_password({"email": email, "password": password}),
            told_of(visitor, email, self.endpoint.secret_key),
        )

    def sign_up(self, email: str, password: str, visitor: Visitor | None = None) -> SignedInUser:
        """Create an account and sign in with it.

        Raises:
            SignInRefused: also when the project wants the address confirmed by e-mail first.
        """
        return self._begin(
            lambda auth: auth.sign_up({"email": email, "password": password}),
            told_of(visitor, email, self.endpoint.secret_key),
        )

    def restore(self, cookie: str) -> SignedInUser | None:
        """The session that the cookie names, or None when it has ended."""
        row = self._row(cookie)
        if row is None:
            return None
        tokens = _tokens_of_row(row)
        return SignedInUser(self, cookie, _identity_in(tokens.access_token), tokens)

    def sign_out(self, user: SignedInUser) -> None:
        """End this session, here and at Supabase. Safe to repeat."""
        id_hash = hashed(user.cookie)
        self._service.execute(lambda c: c.table(_TABLE).delete().eq("id_hash", id_hash))
        try:
            with passing_client(self.endpoint) as client:
                client.auth.admin.sign_out(user.access_token(), "local")
        except (AuthError, NotSignedIn, httpx.HTTPError):
            # The cookie no longer opens anything; the tokens expire within the hour.
            log.info("sign_out_at_supabase_failed user=%s", user.identity.user_id)

    def identify(self, access_token: str) -> Identity:
        """Who an `Authorization: Bearer` token belongs to, according to Supabase.

        Raises:
            NotSignedIn: the token is forged, expired or signed out.
        """
        try:
            with passing_client(self.endpoint) as client:
                answer = client.auth.get_user(access_token)
        except (AuthRetryableError, httpx.HTTPError) as error:
            raise DatabaseUnavailable("The sign-in service does not answer just now.") from error
        except AuthError as error:
            raise NotSignedIn("The access token is not valid.") from error
        if answer is None:
            raise NotSignedIn("The access token is not valid.")
        return Identity(answer.user.id, answer.user.email or "")

    def bearer(self, access_token: str, identity: Identity) -> BearerUser:
        """The user of a token that `identify` accepted. It is valid as long as the token."""
        endpoint = self.endpoint
        return BearerUser(
            identity, Database(endpoint.url, endpoint.publishable_key, lambda: access_token)
        )

    def fresh_tokens(self, cookie: str) -> Tokens:
        """Tokens of a session that are not about to expire. Several callers share one refresh.

        Raises:
            NotSignedIn: the session has ended.
        """
        row = self._row(cookie)
        if row is None:
            raise NotSignedIn("Your session has ended.")
        tokens = _tokens_of_row(row)
        if tokens.expires_at - time.time() >= _REFRESH_BEFORE_END_S:
            return tokens  # another tab or replica refreshed it
        try:
            with passing_client(self.endpoint) as client:
                answer = client.auth.refresh_session(tokens.refresh_token)
            renewed = _tokens_of_session(answer.session)
        except (AuthRetryableError, httpx.HTTPError) as error:
            raise DatabaseUnavailable("The sign-in service does not answer just now.") from error
        except AuthError as error:
            elsewhere = self._renewed_elsewhere(cookie, tokens, error)
            if elsewhere is None:
                raise NotSignedIn("Your session has ended.") from error
            return elsewhere
        self._service.execute(
            lambda c: c.table(_TABLE).update(_row_of(renewed)).eq("id_hash", hashed(cookie))
        )
        return renewed

    def _renewed_elsewhere(self, cookie: str, old: Tokens, error: AuthError) -> Tokens | None:
        """The tokens of another process that was faster; it may not have stored them yet."""
        deadline = time.monotonic() + _STORING_S
        while (row := self._row(cookie)) is not None:
            if row["refresh_token"] != old.refresh_token:
                return _tokens_of_row(row)
            # As text: the library's list of codes does not have this one.
            if str(error.code) != "refresh_token_already_used" or time.monotonic() > deadline:
                return None
            time.sleep(0.05)
        return None

    def _begin(self, sign: Any, said: Mapping[str, str]) -> SignedInUser:
        try:
            # With the secret key: without it, Supabase does not trust these headers.
            with passing_client(self.endpoint, self.endpoint.secret_key, said) as client:
                answer = sign(client.auth)
        except (AuthRetryableError, httpx.HTTPError) as error:
            raise DatabaseUnavailable("The sign-in service does not answer just now.") from error
        except AuthError as error:
            raise _app_error(error) from error
        if answer.session is None:
            raise SignInRefused(
                "The account was created, but its e-mail address has to be confirmed first.",
                next_step="Open the link in the e-mail, then sign in.",
            )
        identity = Identity(answer.user.id, answer.user.email or "")
        return self.open_session(identity, _tokens_of_session(answer.session))

    def open_session(self, identity: Identity, tokens: Tokens) -> SignedInUser:
        """A session for somebody to whom Supabase gave these tokens."""
        cookie = new_cookie(identity.email, self.endpoint.secret_key)
        row = {"id_hash": hashed(cookie), "user_id": identity.user_id, **_row_of(tokens)}
        self._service.execute(lambda c: c.table(_TABLE).upsert(row))
        return SignedInUser(self, cookie, identity, tokens)

    def _row(self, cookie: str) -> dict[str, Any] | None:
        rows = self._service.execute(
            lambda c: c.table(_TABLE).select("*").eq("id_hash", hashed(cookie))
        ).data
        return rows[0] if rows else None


def _tokens_of_session(session: Any) -> Tokens:
    return Tokens(session.access_token, session.refresh_token, time.time() + session.expires_in)


def _tokens_of_row(row: dict[str, Any]) -> Tokens:
    expires_at = datetime.fromisoformat(row["expires_at"]).timestamp()
    return Tokens(row["access_token"], row["refresh_token"], expires_at)


def _row_of(tokens: Tokens) -> dict[str, Any]:
    expires_at = datetime.fromtimestamp(tokens.expires_at, UTC)
    return {
        "access_token": tokens.access_token,
        "refresh_token": tokens.refresh_token,
        "expires_at": expires_at.isoformat(),
        "updated_at": datetime.now(UTC).isoformat(),
    }


def _identity_in(access_token: str) -> Identity:
    """Read the claims of a token from our own table; the database verifies it in each statement."""
    payload = access_token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return Identity(claims["sub"], claims.get("email") or "")


def _app_error(error: AuthError) -> AppError:
    if isinstance(error, AuthWeakPasswordError) or error.code == "weak_password":
        return SignInRefused("The password is too weak: use at least 8 characters.")
    if error.code in ("user_already_exists", "email_exists"):
        return SignInRefused(
            "There is an account with this e-mail address.", next_step="Sign in with it."
        )
    if str(error.code) == "email_reserved":  # only the embedded Supabase says so
        return SignInRefused(
            "This address belongs to the demo account.",
            next_step="Continue as demo analyst, or use another address.",
        )
    if error.code in ("over_request_rate_limit", "over_email_send_rate_limit"):
        return SignInRefused("Too many attempts.", next_step="Wait a few minutes, then try again.")
    if error.code in ("validation_failed", "email_address_invalid"):
        return SignInRefused("This is not a valid e-mail address.")
    if error.code in ("signup_disabled", "email_provider_disabled"):
        return SignInRefused(
            "New accounts are switched off here.", next_step="Ask whoever runs this app."
        )
    if isinstance(error, AuthApiError) and error.status >= 500:
        return DatabaseUnavailable("The sign-in service does not answer just now.")
    return SignInRefused("The e-mail address or the password is not right.")
