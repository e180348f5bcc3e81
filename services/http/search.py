"""The route of search."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import anyio.to_thread
from anyio import CapacityLimiter
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt

from services.deep_memory.search import NO_MODEL
from services.http.bearer import Space
from services.http.error_responses import error_responses
from services.retrieval.search import Comparison
from services.workspace import Workspace

# Apart from the threads that all routes share: nothing cheap queues behind a slow model or cloud.
SEARCHES_AT_ONCE = 20
_searches = CapacityLimiter(SEARCHES_AT_ONCE)

router = APIRouter(prefix="/search", tags=["Search"])


class SearchRequest(BaseModel):
    """`deep_memory` left out: as the settings say."""

    model_config = ConfigDict(extra="forbid")

    query: str = Field(min_length=1, max_length=4_000)
    k: Annotated[StrictInt, Field(ge=1, le=100)] = 10
    deep_memory: StrictBool | None = None


class Hit(BaseModel):
    """One chunk. A higher `score` is better; `rank` starts at 1."""

    id: str
    text: str
    document: str
    score: float
    rank: int


class Hits(BaseModel):
    """`deep_memory` says whether it ranked these: not before a training has completed, not when its
    model is gone or damaged, and not while a changed knowledge base is indexed for it. `notice`
    says why, where it was to rank and did not."""

    hits: list[Hit]
    deep_memory: bool
    trained_run_id: UUID | None
    notice: str | None


def _notice(comparison: Comparison) -> str | None:
    if comparison.problem == NO_MODEL:
        return NO_MODEL
    if comparison.problem:
        return f"{comparison.problem} Search works without it."
    if comparison.is_indexing:
        return "The changed knowledge base is being indexed for Deep Memory. Search again soon."
    return None


@router.post("", response_model=Hits, responses=error_responses(400, 401, 404, 413, 422, 503))
async def search(body: SearchRequest, space: Space) -> Hits:
    """The `k` chunks that answer the query best, with Deep Memory or without."""
    return await anyio.to_thread.run_sync(_search, body, space, limiter=_searches)


def _search(body: SearchRequest, space: Workspace) -> Hits:
    comparison = space.search.as_chosen(body.query, body.k, deep_memory=body.deep_memory)
    used = comparison.run_id is not None
    return Hits(
        hits=[
            Hit(
                id=hit.chunk_id,
                text=hit.text,
                document=hit.document,
                score=hit.score,
                rank=hit.rank,
            )
            for hit in (comparison.with_ if used else comparison.without)
        ],
        deep_memory=used,
        trained_run_id=UUID(comparison.run_id) if used and comparison.run_id else None,
        notice=_notice(comparison),
    )
