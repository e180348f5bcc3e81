"""The embedded Supabase's HTTP gateway: `/rest/v1` goes to PostgREST, `/auth/v1` is ours."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio.to_thread
import httpx
import psycopg
from anyio import CapacityLimiter
from psycopg_pool import PoolTimeout
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from services.local_supabase.auth import Accounts
from services.local_supabase.refused_attempts import AuthRefused, Caller

log = logging.getLogger(__name__)

LARGEST_AUTH_BODY = 64 * 1024
LARGEST_REST_BODY = 32 * 1024 * 1024
# Hashing one password takes 64 MB and every core it can get.
_HASHES_AT_ONCE = 2
# What the app says about the person at its sign-in screen; trusted only with the secret key, as in
# GoTrue ("IP address forwarding"). GoTrue does not have the second header.
FORWARDED_FOR, KNOWN_DEVICE = "sb-forwarded-for", "x-known-device"
_API_VERSION = "2024-01-01"
# Headers that belong to one connection and not to the message (RFC 9110, section 7.6.1).
_HOP_BY_HOP = {
    b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"te", b"trailer",
    b"transfer-encoding", b"upgrade",
}  # fmt: skip
_NOT_FORWARDED = _HOP_BY_HOP | {b"host", b"content-length", b"apikey", b"accept-encoding"}
_METHODS = ["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS"]


@dataclass(frozen=True)
class Keys:
    """The two API keys. Every request needs one; without a user token, the key sets its role."""

    publishable: str = field(repr=False)
    secret: str = field(repr=False)


class _BodyTooLarge(Exception):
    pass


def create_gateway(accounts: Accounts, keys: Keys, rest_url: Callable[[], str]) -> Starlette:
    """The ASGI app. `rest_url` is called for each request: a restart changes PostgREST's port."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        # PostgREST closes an idle connection after 30 s: drop it before that.
        limits = httpx.Limits(
            max_connections=100, max_keepalive_connections=20, keepalive_expiry=10
        )
        async with httpx.AsyncClient(limits=limits, timeout=60) as client:
            app.state.rest = client
            yield

    hashing = CapacityLimiter(_HASHES_AT_ONCE)

    def answering(
        handle: Callable[[Accounts, Request, bytes], Any], status: int = 200
    ) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            try:
                body = await _body(request, LARGEST_AUTH_BODY)
                # Requests that hash no password never queue behind those that do.
                limiter = hashing if _hashes(request) else None
                answer = await anyio.to_thread.run_sync(
                    handle, accounts, request, body, limiter=limiter
                )
            except AuthRefused as refused:
                return _error_response(request, refused)
            except _BodyTooLarge:
                return _error_response(request, _refused_body(413, "Request body is too large"))
            except (psycopg.OperationalError, PoolTimeout):
                log.warning("auth_database_unavailable")
                message = "Database is not available just now"
                return _error_response(request, AuthRefused(503, "request_timeout", message))
            return JSONResponse(answer, status) if status != 204 else Response(status_code=204)

        return endpoint

    async def rest(request: Request) -> Response:
        return await _forward(request, request.app.state.rest, rest_url())

    routes = [
        Route("/auth/v1/signup", answering(_sign_up), methods=["POST"]),
        Route("/auth/v1/token", answering(_token), methods=["POST"]),
        Route("/auth/v1/user", answering(_get_user), methods=["GET"]),
        Route("/auth/v1/logout", answering(_sign_out, 204), methods=["POST"]),
        Route("/auth/v1/health", answering(_health), methods=["GET"]),
        Route("/rest/v1/{path:path}", rest, methods=_METHODS),
    ]
    return Starlette(
        routes=routes, lifespan=lifespan, middleware=[Middleware(_ApiKeyRequired, keys=keys)]
    )


class _ApiKeyRequired:
    """Refuses a request without one of the keys, as Supabase's own gateway (Kong) does."""

    def __init__(self, app: ASGIApp, keys: Keys) -> None:
        self._app = app
        self._keys = {keys.publishable, keys.secret}
        self._secret = keys.secret

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            request = Request(scope)
            key = request.headers.get("apikey") or request.query_params.get("apikey")
            if key not in self._keys:
                problem = (
                    {
                        "message": "Invalid API key",
                        "hint": "Double check your Supabase `anon` or `service_role` API key.",
                    }
                    if key
                    else {
                        "message": "No API key found in request",
                        "hint": "No `apikey` request header or url param was found.",
                    }
                )
                await JSONResponse(problem, 401)(scope, receive, send)
                return
            scope.setdefault("state", {}).update(apikey=key, is_app=key == self._secret)
        await self._app(scope, receive, send)


def _hashes(request: Request) -> bool:
    grants_by_password = request.query_params.get("grant_type") == "password"
    return request.url.path.endswith("/signup") or grants_by_password


def _sign_up(accounts: Accounts, request: Request, body: bytes) -> dict[str, Any]:
    return accounts.sign_up(_json(body), _caller(request))


def _token(accounts: Accounts, request: Request, body: bytes) -> dict[str, Any]:
    match request.query_params.get("grant_type"):
        case "password":
            return accounts.sign_in(_json(body), _caller(request))
        case "refresh_token":
            return accounts.refresh(_json(body))
    raise AuthRefused(400, "validation_failed", "unsupported_grant_type")


def _get_user(accounts: Accounts, request: Request, body: bytes) -> dict[str, Any]:
    return accounts.user(_bearer(request))


def _sign_out(accounts: Accounts, request: Request, body: bytes) -> None:
    accounts.sign_out(_bearer(request), request.query_params.get("scope", "global"))


def _health(accounts: Accounts, request: Request, body: bytes) -> dict[str, Any]:
    return {"name": "GoTrue", "description": "Deep Memory Studio's embedded accounts"}


async def _forward(request: Request, client: httpx.AsyncClient, base: str) -> Response:
    headers = [pair for pair in request.headers.raw if pair[0] not in _NOT_FORWARDED]
    if "authorization" not in request.headers:
        headers.append((b"authorization", b"Bearer " + request.state.apikey.encode()))
    path = request.scope["raw_path"].removeprefix(b"/rest/v1")
    query = request.scope["query_string"]
    target = httpx.URL(base).copy_with(raw_path=path + (b"?" + query if query else b""))
    try:
        body = await _body(request, LARGEST_REST_BODY)
        answer = await client.request(request.method, target, headers=headers, content=body)
    except _BodyTooLarge:
        return JSONResponse(_postgrest_problem("413", "Request body is too large"), 413)
    except httpx.TransportError:
        log.warning("postgrest_unavailable")
        message = "Database connection error. Retrying the connection."
        return JSONResponse(_postgrest_problem("PGRST000", message), 503)
    response = Response(answer.content, answer.status_code)
    # Keep PostgREST's Content-Length: a HEAD response has one, but no content to count.
    response.raw_headers = [
        pair for pair in answer.headers.raw if pair[0].lower() not in _HOP_BY_HOP
    ]
    if b"content-length" not in {name.lower() for name, _ in response.raw_headers}:
        response.raw_headers.append((b"content-length", str(len(answer.content)).encode()))
    return response


async def _body(request: Request, largest: int) -> bytes:
    body = bytearray()
    try:
        async for part in request.stream():
            body += part
            if len(body) > largest:
                raise _BodyTooLarge
    except ClientDisconnect:
        return b""
    return bytes(body)


def _json(body: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(body)
    except ValueError as error:
        raise _refused_body(400, "Could not parse request body as JSON") from error
    if not isinstance(parsed, dict):
        raise _refused_body(400, "Request body is not a JSON object")
    return parsed


def _refused_body(status: int, message: str) -> AuthRefused:
    return AuthRefused(status, "bad_json", message)


def _bearer(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise AuthRefused(401, "no_authorization", "This endpoint requires a valid Bearer token")
    return token


def _caller(request: Request) -> Caller:
    address = request.client.host if request.client else ""
    if not request.state.is_app:
        return Caller(address)
    said = request.headers
    return Caller(said.get(FORWARDED_FOR, address), said.get(KNOWN_DEVICE))


def _error_response(request: Request, refused: AuthRefused) -> JSONResponse:
    """An error in GoTrue's shape: clients that send an API version get the error code in `code`."""
    if request.headers.get("x-supabase-api-version", "") >= _API_VERSION:
        body = {"code": refused.code, "message": str(refused), **refused.extra}
        return JSONResponse(body, refused.status, {"x-supabase-api-version": _API_VERSION})
    body = {"code": refused.status, "error_code": refused.code, "msg": str(refused)}
    return JSONResponse({**body, **refused.extra}, refused.status)


def _postgrest_problem(code: str, message: str) -> dict[str, Any]:
    return {"code": code, "details": None, "hint": None, "message": message}
