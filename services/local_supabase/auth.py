"""The part of GoTrue that this app needs: accounts, sessions, tokens; GoTrue's names and codes."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import jwt
import psycopg
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from email_validator import EmailNotValidError, validate_email
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb
from psycopg_pool import ConnectionPool

from services.local_supabase.refused_attempts import AuthRefused, Caller, RefusedAttempts

ACCESS_TOKEN_LIFETIME_S = 3600
SHORTEST_PASSWORD = 8
LONGEST_PASSWORD = 1024  # Characters; more would only make hashing slow.
# Two tabs may refresh with the same token at once: within this time the second is just refused.
# After it, a used token counts as stolen, and the whole session ends.
REUSE_TOLERANCE_S = 10

_ALGORITHM = "HS256"
_AUDIENCE = "authenticated"
# Not the gateway's address, which GoTrue would use: the port may differ at the next start.
_ISSUER = "deep-memory-studio/auth/v1"


@dataclass(frozen=True)
class Claims:
    """The claims of a valid access token."""

    user_id: UUID
    session_id: UUID


class Accounts:
    """Accounts in the schema `auth`. Every method blocks: call it from a thread.

    No pool connection is held while a password is hashed, because other calls need it.
    Nobody can sign up with one of the `reserved` e-mail addresses.
    """

    def __init__(
        self, pool: ConnectionPool, jwt_secret: str, reserved: Collection[str] = ()
    ) -> None:
        self._pool = pool
        self._jwt_secret = jwt_secret
        self._reserved = reserved
        self._hasher = PasswordHasher()
        # Compared with when there is no such account, so that the answer takes just as long.
        self._nobodys_hash = self._hasher.hash(secrets.token_urlsafe())
        self._attempts = RefusedAttempts()

    def sign_up(self, body: dict[str, Any], caller: Caller) -> dict[str, Any]:
        """Make an account and sign in. E-mails are not confirmed."""
        email, password = _credentials(body)
        email = _valid_email(email)
        if email in self._reserved:
            raise AuthRefused(422, "email_reserved", "This e-mail address is reserved")
        if len(password) < SHORTEST_PASSWORD or len(password) > LONGEST_PASSWORD:
            raise AuthRefused(
                422,
                "weak_password",
                f"Password should be at least {SHORTEST_PASSWORD} characters.",
                weak_password={"reasons": ["length"]},
            )
        metadata = body.get("data")
        with self._attempts.watching(caller, email):
            hashed = self._hasher.hash(password)
            return self._make_account(email, hashed, metadata)

    def _make_account(self, email: str, hashed: str, metadata: object) -> dict[str, Any]:
        with self._pool.connection() as connection:
            user = connection.execute(
                "insert into auth.users (email, encrypted_password, raw_user_meta_data,"
                " email_confirmed_at) values (%s, %s, %s, now())"
                " on conflict (email) do nothing returning id",
                (
                    email,
                    hashed,
                    Jsonb(metadata if isinstance(metadata, dict) else {}),
                ),
            ).fetchone()
            if user is None:
                raise AuthRefused(422, "user_already_exists", "User already registered")
            return self._begin_session(connection, user[0])

    def sign_in(self, body: dict[str, Any], caller: Caller) -> dict[str, Any]:
        """Exchange e-mail and password for a new session."""
        email, password = _credentials(body)
        email = email.strip().lower()
        with self._attempts.watching(caller, email):
            user_id, stored = self._stored_password(email)
            matches = password_matches(self._hasher, stored or self._nobodys_hash, password)
            if not matches or stored is None or user_id is None:
                raise AuthRefused(400, "invalid_credentials", "Invalid login credentials")
            with self._pool.connection() as connection:
                return self._begin_session(connection, user_id)

    def _stored_password(self, email: str) -> tuple[UUID | None, str | None]:
        with self._pool.connection() as connection:
            user = connection.execute(
                "select id, encrypted_password from auth.users where email = %s", (email,)
            ).fetchone()
        return user or (None, None)

    def refresh(self, body: dict[str, Any]) -> dict[str, Any]:
        """Exchange a refresh token for a new pair of tokens. Each refresh token works once."""
        token = body.get("refresh_token")
        if not isinstance(token, str) or not token:
            raise AuthRefused(400, "validation_failed", "refresh_token required")
        with self._pool.connection() as connection:
            used = connection.execute(
                "update auth.refresh_tokens set revoked = true, updated_at = now()"
                " where token = %s and not revoked returning session_id",
                (_digest(token),),
            ).fetchone()
            if used is not None:
                return self._issue(connection, used[0])
            known = connection.execute(
                "select session_id, updated_at < now() - make_interval(secs => %s)"
                " from auth.refresh_tokens where token = %s",
                (REUSE_TOLERANCE_S, _digest(token)),
            ).fetchone()
            if known is None:
                raise AuthRefused(
                    400,
                    "refresh_token_not_found",
                    "Invalid Refresh Token: Refresh Token Not Found",
                )
            session_id, is_late = known
            if is_late:
                connection.execute("delete from auth.sessions where id = %s", (session_id,))
        # Outside the connection block: its rollback would keep the stolen session alive.
        raise AuthRefused(400, "refresh_token_already_used", "Invalid Refresh Token: Already Used")

    def user(self, token: str) -> dict[str, Any]:
        """The account that an access token belongs to, if its session has not ended."""
        claims = self._verified(token)
        with self._pool.connection() as connection:
            return _user(connection, claims.user_id)

    def sign_out(self, token: str, scope: str) -> None:
        """End this session (`local`), the user's others (`others`) or all of them (`global`)."""
        which = {
            "local": "id = %(session_id)s",
            "others": "user_id = %(user_id)s and id <> %(session_id)s",
            "global": "user_id = %(user_id)s",
        }.get(scope)
        if which is None:
            raise AuthRefused(400, "validation_failed", "Unsupported logout scope")
        claims = self._verified(token)
        with self._pool.connection() as connection:
            connection.execute(
                f"delete from auth.sessions where {which}",
                {"user_id": claims.user_id, "session_id": claims.session_id},
            )

    def _verified(self, token: str) -> Claims:
        try:
            claims = jwt.decode(
                token,
                self._jwt_secret,
                algorithms=[_ALGORITHM],
                audience=_AUDIENCE,
                issuer=_ISSUER,
                options={"require": ["exp", "aud", "iss", "sub", "session_id"]},
            )
            verified = Claims(UUID(claims["sub"]), UUID(claims["session_id"]))
        except (jwt.InvalidTokenError, ValueError) as error:
            raise AuthRefused(
                403, "bad_jwt", f"invalid JWT: unable to parse or verify signature, {error}"
            ) from error
        with self._pool.connection() as connection:
            alive = connection.execute(
                "select 1 from auth.sessions where id = %s and user_id = %s",
                (verified.session_id, verified.user_id),
            ).fetchone()
        if alive is None:
            raise AuthRefused(
                403, "session_not_found", "Session from session_id claim in JWT does not exist"
            )
        return verified

    def _begin_session(self, connection: psycopg.Connection, user_id: UUID) -> dict[str, Any]:
        connection.execute(
            "update auth.users set last_sign_in_at = now(), updated_at = now() where id = %s",
            (user_id,),
        )
        session = connection.execute(
            "insert into auth.sessions (user_id) values (%s) returning id", (user_id,)
        ).fetchone()
        assert session is not None
        return self._issue(connection, session[0])

    def _issue(self, connection: psycopg.Connection, session_id: UUID) -> dict[str, Any]:
        """The tokens of a session, in the shape that the client expects."""
        refresh_token = secrets.token_urlsafe(32)
        connection.execute(
            "insert into auth.refresh_tokens (token, session_id) values (%s, %s)",
            (_digest(refresh_token), session_id),
        )
        owner = connection.execute(
            "update auth.sessions set updated_at = now() where id = %s returning user_id",
            (session_id,),
        ).fetchone()
        assert owner is not None
        user = _user(connection, owner[0])
        now = int(time.time())
        claims = {
            "iss": _ISSUER,
            "sub": user["id"],
            "aud": _AUDIENCE,
            "role": user["role"],
            "email": user["email"],
            "app_metadata": user["app_metadata"],
            "user_metadata": user["user_metadata"],
            "session_id": str(session_id),
            "aal": "aal1",
            "is_anonymous": False,
            "iat": now,
            "exp": now + ACCESS_TOKEN_LIFETIME_S,
        }
        return {
            "access_token": jwt.encode(claims, self._jwt_secret, algorithm=_ALGORITHM),
            "token_type": "bearer",
            "expires_in": ACCESS_TOKEN_LIFETIME_S,
            "expires_at": now + ACCESS_TOKEN_LIFETIME_S,
            "refresh_token": refresh_token,
            "user": user,
        }


def password_matches(hasher: PasswordHasher, stored: str, password: str) -> bool:
    try:
        return hasher.verify(stored, password[: LONGEST_PASSWORD + 1])
    except (VerificationError, InvalidHashError):
        return False


def _credentials(body: dict[str, Any]) -> tuple[str, str]:
    email, password = body.get("email"), body.get("password")
    if not isinstance(email, str) or not email:
        raise AuthRefused(400, "validation_failed", "An email address is required")
    if not isinstance(password, str) or not password:
        raise AuthRefused(400, "validation_failed", "A valid password is required")
    return email, password


def _valid_email(email: str) -> str:
    try:
        # Reserved domains such as example.test are fine here: no mail is sent.
        found = validate_email(email.strip(), check_deliverability=False, test_environment=True)
    except EmailNotValidError as error:
        raise AuthRefused(
            400, "validation_failed", "Unable to validate email address: invalid format"
        ) from error
    return found.normalized.lower()


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _user(connection: psycopg.Connection, user_id: UUID) -> dict[str, Any]:
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(
            "select id::text, aud, role, email, email_confirmed_at, last_sign_in_at, created_at,"
            " updated_at, raw_app_meta_data as app_metadata, raw_user_meta_data as user_metadata"
            " from auth.users where id = %s",
            (user_id,),
        ).fetchone()
    if row is None:
        raise AuthRefused(403, "user_not_found", "User from sub claim in JWT does not exist")
    times = {key: value.isoformat() for key, value in row.items() if hasattr(value, "isoformat")}
    return {**row, **times, "phone": "", "identities": [], "is_anonymous": False}
