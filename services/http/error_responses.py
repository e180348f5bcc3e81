"""What goes wrong, as HTTP: every AppError and every malformed request gets its status here."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services import errors
from services.errors import AppError, RunBlocked
from services.runs.states import RunStatus

_STATUS: dict[type[AppError], int] = {
    errors.NotSignedIn: 401,
    errors.NotFound: 404,
    errors.RunMoved: 400,
    errors.NotAllowed: 400,
    errors.DocumentRejected: 400,
    errors.RunBlocked: 409,
    errors.ConfigurationError: 503,
    errors.DatabaseUnavailable: 503,
    errors.StoreUnavailable: 503,
    errors.EmbedderMismatch: 503,
    errors.EmbedderUnavailable: 503,
    errors.GenerationError: 503,
    errors.TrainingError: 503,
}


class ErrorResponse(BaseModel):
    """Why it was not done, in words."""

    detail: str


class BlockedErrorResponse(ErrorResponse):
    blocking_run_id: UUID
    blocking_run_status: RunStatus


class Flaw(BaseModel):
    """`loc` says where: "body", "query", "path" or "header", then the names down to the value."""

    loc: list[str | int]
    msg: str
    type: str


class InvalidRequest(BaseModel):
    detail: list[Flaw]


_DECLARED: dict[int, dict[str, Any]] = {
    400: {
        "model": ErrorResponse,
        "description": "A rule forbids it, or the run is in another status.",
    },
    401: {
        "model": ErrorResponse,
        "description": "No access token, or it is forged, expired or ended.",
    },
    404: {"model": ErrorResponse, "description": "It does not exist, or belongs to someone else."},
    409: {"model": BlockedErrorResponse, "description": "An unfinished run blocks it."},
    413: {"model": ErrorResponse, "description": "The body is too large."},
    422: {"model": InvalidRequest, "description": "The request is malformed: what, and where."},
    503: {
        "model": ErrorResponse,
        "description": "A part does not answer just now. Try again later.",
    },
}


def error_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The declaration of these responses for a route's `responses`."""
    return {status: _DECLARED[status] for status in statuses}


def explain_errors(api: FastAPI) -> None:
    """Answer every error of the services in the one shape `{"detail": ...}`."""
    api.exception_handler(AppError)(_explain)
    api.exception_handler(RequestValidationError)(_explain_invalid)
    api.exception_handler(Exception)(_explain_unexpected)


def status_of(error: AppError) -> int:
    """The HTTP status of an error of the services."""
    return next((_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS), 500)


async def _explain(_request: Request, error: AppError) -> JSONResponse:
    status = status_of(error)
    body: dict[str, Any] = {"detail": str(error)}
    if isinstance(error, RunBlocked):
        body |= {"blocking_run_id": error.run_id, "blocking_run_status": error.status}
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return JSONResponse(body, status, headers)


async def _explain_invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
    # Without the value itself, which may be a secret.
    flaws = [{name: flaw[name] for name in ("loc", "msg", "type")} for flaw in error.errors()]
    return JSONResponse({"detail": flaws}, 422)


UNEXPECTED = "Something unexpected happened. The cause is in the app's log."


async def _explain_unexpected(_request: Request, _error: Exception) -> JSONResponse:
    """The server logs it; the answer says no more than that."""
    return JSONResponse({"detail": UNEXPECTED}, 500)


class TooLargeInJson:
    """Answers that a body is too large in JSON; Starlette's limit says it in plain text."""

    def __init__(self, app: ASGIApp, body: dict[str, Any]) -> None:
        self._app = app
        self._answer = JSONResponse(body, 413)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        replaced = False

        async def send_or_replace(message: Message) -> None:
            nonlocal replaced
            if message["type"] == "http.response.start" and message["status"] == 413:
                replaced = True
                await self._answer(scope, receive, send)
            if not replaced:
                await send(message)

        await self._app(scope, receive, send_or_replace)
