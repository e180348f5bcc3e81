"""The route of search."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import anyio.to_thread
from anyio import CapacityLimiter
from fastapi import APIRouter, BackgroundTasks
from pydantic import BaseModel, Field, StrictBool, StrictInt

from services.deep_memory.search import NO_MODEL
from services.http.bearer import Space
from services.http.error_responses import error_responses
from services.http.shapes import Body
from services.models import SearchHit
from services.questions.kept_searches import Source
from services.ranking.untrained import Untrained
from services.retrieval.search import KEPT_ORDER, Comparison
from services.workspace import Workspace

# Apart from the threads that all routes share: nothing cheap queues behind a slow model or cloud.
SEARCHES_AT_ONCE = 20
_searches = CapacityLimiter(SEARCHES_AT_ONCE)

router = APIRouter(prefix="/search", tags=["Search"])


class SearchRequest(Body):
    """`deep_memory` left out: as the settings say. `untrained`: how to rank without a trained
    model: `ranker`, the best there is; `cosine` of the embeddings; `bm25`; `cosine_and_bm25`.
    DeepLake Cloud always ranks by cosine."""

    query: str = Field(min_length=1, max_length=4_000)
    k: Annotated[StrictInt, Field(ge=1, le=100)] = 10
    deep_memory: StrictBool | None = None
    untrained: Untrained = Untrained.RANKER


class CompareRequest(Body):
    """`training_run_id` left out: with the model that is chosen. `untrained`: as in a search."""

    query: str = Field(min_length=1, max_length=4_000)
    k: Annotated[StrictInt, Field(ge=1, le=100)] = 10
    training_run_id: UUID | None = None
    untrained: Untrained = Untrained.RANKER


class Hit(BaseModel):
    """One chunk, and where it is in its document. A higher `score` is better; `rank` is from 1."""

    id: str
    text: str
    document: str
    score: float
    rank: int
    heading_path: list[str]
    page: int | None


class Hits(BaseModel):
    """`deep_memory` says whether it was to rank these: not before a model is chosen, not when its
    model is gone or damaged, and not while a changed knowledge base is indexed. It leaves questions
    about documents without training pairs to search without training. `notice` says why, where it
    was to rank and did not. `reranked_ms` is the time that a reranker took to
    order the first 30 hits anew, which then have its scores; null if none is set, or if it failed,
    which `notice` says too. `answerable`: false, if the model finds that probably nothing here
    answers; null, if it did not rank, or does not say."""

    hits: list[Hit]
    deep_memory: bool
    trained_run_id: UUID | None
    reranked_ms: int | None
    answerable: bool | None
    notice: str | None


class TwoLists(BaseModel):
    """One query without training, and with a model. `moved` has by id how many ranks each hit of
    the latter went up (negative: down); null when the former does not have it. No reranker orders
    them, because they show what training brings. Where the model did not rank, `trained_run_id` is
    null, its list may be empty, and `notice` says why. `answerable` is as in a search."""

    without: list[Hit]
    with_deep_memory: list[Hit]
    moved: dict[str, int | None]
    trained_run_id: UUID | None
    answerable: bool | None
    notice: str | None


def _notice(comparison: Comparison) -> str | None:
    said = [_notice_of_model(comparison)]
    if (reranking := comparison.reranking) and reranking.problem:
        said.append(f"{reranking.problem} {KEPT_ORDER}")
    return " ".join(filter(None, said)) or None


def _notice_of_model(comparison: Comparison) -> str | None:
    if comparison.problem == NO_MODEL:
        return NO_MODEL
    if comparison.problem:
        return f"{comparison.problem} Search works without it."
    if comparison.is_indexing:
        return (
            "The changed knowledge base is being indexed; until then search is by plain cosine. "
            "Search again soon."
        )
    return None


@router.post("", response_model=Hits, responses=error_responses(400, 401, 404, 413, 422, 503))
async def search(body: SearchRequest, space: Space, after: BackgroundTasks) -> Hits:
    """The `k` chunks that answer the query best, with Deep Memory or without. With the person's
    consent (`PUT /account/kept-searches`) the query and the ids of its hits are kept."""
    found = await anyio.to_thread.run_sync(_search, body, space, limiter=_searches)
    after.add_task(_keep, body.query, found, space)
    return found


def _keep(query: str, found: Hits, space: Workspace) -> None:
    run_id = str(found.trained_run_id) if found.trained_run_id else None
    shown = [hit.id for hit in found.hits]
    space.kept_searches.keep(query, Source.APPLICATION, shown, run_id)


def _search(body: SearchRequest, space: Workspace) -> Hits:
    comparison = space.search.as_chosen(
        body.query, body.k, deep_memory=body.deep_memory, untrained=body.untrained
    )
    used = comparison.run_id is not None
    return Hits(
        hits=_hits(comparison.with_ if used else comparison.without),
        deep_memory=used,
        trained_run_id=_ranked_by(comparison),
        reranked_ms=_reranked_ms(comparison),
        answerable=comparison.is_answerable,
        notice=_notice(comparison),
    )


@router.post(
    "/compare", response_model=TwoLists, responses=error_responses(400, 401, 404, 413, 422, 503)
)
async def compare(body: CompareRequest, space: Space) -> TwoLists:
    """Both lists of a query: without training, and with a model."""
    return await anyio.to_thread.run_sync(_compare, body, space, limiter=_searches)


def _compare(body: CompareRequest, space: Workspace) -> TwoLists:
    if body.training_run_id is None:
        found = space.search.as_chosen(
            body.query, body.k, deep_memory=True, untrained=body.untrained, is_to_rerank=False
        )
    else:
        run = space.runs.get(str(body.training_run_id))
        found = space.search.compare(body.query, body.k, run, untrained=body.untrained)
    return TwoLists(
        without=_hits(found.without),
        with_deep_memory=_hits(found.with_),
        moved=found.moved,
        trained_run_id=_ranked_by(found),
        answerable=found.is_answerable,
        notice=_notice(found),
    )


def _hits(hits: list[SearchHit]) -> list[Hit]:
    return [
        Hit(
            id=hit.chunk_id,
            text=hit.text,
            document=hit.document,
            score=hit.score,
            rank=hit.rank,
            heading_path=list(hit.heading_path),
            page=hit.page,
        )
        for hit in hits
    ]


def _reranked_ms(comparison: Comparison) -> int | None:
    reranking = comparison.reranking
    if reranking is None or reranking.problem:
        return None
    return round(reranking.seconds * 1_000)


def _ranked_by(comparison: Comparison) -> UUID | None:
    return UUID(comparison.run_id) if comparison.run_id else None
