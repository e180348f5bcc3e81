"""The cookie that survives F5. Only an HTTP answer can set one, and scripts must not read it."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from services.studio import current_studio

COOKIE = "deep_memory_studio"
TICKET_HEADER = "X-Session-Ticket"
_KEEP_S = 30 * 24 * 3600


def session_routes() -> list[Route]:
    return [Route("/session", _keep, methods=["POST"])]


async def _keep(request: Request) -> Response:
    """Trade a single-use ticket for the cookie.

    The ticket travels in a header of its own, which a page of another origin can not send.
    """
    cookie = current_studio().tickets.redeem(request.headers.get(TICKET_HEADER, ""))
    if cookie is None:
        return JSONResponse({"detail": "The ticket is not valid."}, status_code=400)
    answer = Response(status_code=204)
    answer.set_cookie(
        COOKIE,
        cookie,
        max_age=_KEEP_S,
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )
    return answer
