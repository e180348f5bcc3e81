"""Routes of the account: who calls, what the app is set up with, and whether OpenAI answers."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING
from uuid import UUID

import anyio.to_thread
from anyio import CapacityLimiter
from fastapi import APIRouter
from pydantic import BaseModel

from services.http.bearer import Space
from services.http.error_responses import error_responses

if TYPE_CHECKING:
    from services.openai_api.connection_check import ConnectionReport

_connection_tests = CapacityLimiter(2)  # each may wait for a server for most of a minute

router = APIRouter(prefix="/account", tags=["Account"])


class AccountFacts(BaseModel):
    """Which services are set (else what is built in is used), and what is in use because of that.
    Where `deep_memory_is_available` is false, no run can be started."""

    user_id: UUID
    email: str
    supabase_is_set: bool
    deeplake_cloud_is_set: bool
    openai_is_set: bool
    question_writer: str
    embedder: str
    reranker: str | None
    trainer: str
    questions_per_chunk: int
    supabase_url: str
    deep_memory_is_available: bool


class Connection(BaseModel):
    """What the test found: a model that is null is not set to a server, and was not tried. With no
    `problems` a run can start."""

    question_model: str | None
    answer_form: str | None
    embedding_model: str | None
    embedding_width: int | None
    problems: list[str]


@router.get("", response_model=AccountFacts, responses=error_responses(401, 404, 422, 503))
def account(space: Space) -> AccountFacts:
    """Whose token this is, and which settings are present; never a value."""
    return AccountFacts(
        user_id=UUID(space.user.identity.user_id),
        email=space.account.email,
        deep_memory_is_available=space.runs.are_available,
        **asdict(space.account.set_up()),
    )


@router.post(
    "/test-connection",
    response_model=Connection,
    responses=error_responses(400, 401, 404, 413, 422, 503),
)
async def test_connection(space: Space) -> ConnectionReport:
    """Ask the set models for one question and one embedding; costs a few hundred tokens."""
    return await anyio.to_thread.run_sync(space.account.check_connection, limiter=_connection_tests)
