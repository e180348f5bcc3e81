"""Routes of the pairs of a run: read, check, correct, drop; in and out as files."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any, Literal, Self
from uuid import UUID

import anyio.to_thread
from anyio import CapacityLimiter
from fastapi import APIRouter, Query, Response, UploadFile
from pydantic import BaseModel, Field, StrictBool, model_validator

from services.errors import NotFound
from services.http.bearer import OwnRun, Space, UserSpace
from services.http.error_responses import error_responses
from services.http.shapes import LARGEST_UPLOAD, NO_NUL, Body, Done, Offset, named
from services.models import Review, TrainingPair
from services.pairs.quality import Flag
from services.pairs.rules import LONGEST_QUESTION
from services.pairs.selection import Order, Selection
from services.pairs.store import AddedPairs

# Embedding takes a whole core, and files all of a run's pairs: nothing cheap queues behind them.
CHECKS_AT_ONCE = 2
_checks = CapacityLimiter(CHECKS_AT_ONCE)
_files = CapacityLimiter(4)

_MEDIA_TYPES = {"jsonl": "application/jsonl", "csv": "text/csv", "zip": "application/zip"}

router = APIRouter(prefix="/deep-memory/runs/{run_id}", tags=["Deep Memory"])


class PairRequest(Body):
    """A new question, a decision, or both. A pair with a new question is kept unless `review` says
    otherwise."""

    question_text: str | None = Field(
        None, min_length=1, max_length=LONGEST_QUESTION, pattern=NO_NUL
    )
    review: Review | None = None

    @model_validator(mode="after")
    def _asks_for_something(self) -> Self:
        if self.question_text is None and self.review is None:
            raise ValueError("question_text or review is needed")
        return self


class DropRequest(Body):
    pair_ids: list[UUID] = Field(min_length=1, max_length=1_000)


class CheckRequest(Body):
    """`cost_agreed`: needed where `GET .../pair-check` names a cost, or knows no price."""

    cost_agreed: StrictBool = False


class Pair(BaseModel):
    """A question and the chunk that answers it. `original_question` is null unless it was edited,
    `reviewed_at` until somebody decides; `flags` are what the last check found."""

    id: UUID
    training_run_id: UUID
    question_text: str
    chunk_id: str
    chunk_preview: str | None
    relevance_score: float
    review: Review
    original_question: str | None
    reviewed_at: str | None
    flags: list[str]


class Pairs(BaseModel):
    pairs: list[Pair]
    total: int


class CheckCost(BaseModel):
    """US dollars for one check; null when no price is known."""

    cost_usd: float | None


class FlaggedPair(BaseModel):
    pair: Pair
    flags: list[Flag]


class Check(BaseModel):
    """The pairs that a person should see before training, and why."""

    checked: int
    flagged: list[FlaggedPair]
    counts: dict[Flag, int]


class Dropped(BaseModel):
    """How many of the pairs were there."""

    dropped: int


class Imported(BaseModel):
    """`duplicates` are in the run already, or twice in the file; `unknown` are about chunks that
    are not in the knowledge base."""

    added: int
    duplicates: int
    unknown: int


@router.get("/pairs", response_model=Pairs, responses=error_responses(401, 404, 422, 503))
def pairs(
    run_id: UUID,
    space: UserSpace,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
    offset: Offset = 0,
    search: Annotated[str, Query(max_length=LONGEST_QUESTION, pattern=NO_NUL)] = "",
    review: Review | None = None,
    order: Order = Order.CHUNK,
) -> Any:
    """The pairs of a run but dropped ones, those of a chunk together; `search` is looked for in the
    questions. `review` selects those in a state, also dropped ones; `order=doubt` gives those first
    that matter most, as far as they were checked."""
    total = space.runs.get(str(run_id)).pair_count
    selection = Selection(review, search=search, order=order)
    if search or review:
        total = space.pairs.count(str(run_id), selection)
    page = space.pairs.page(str(run_id), limit=limit, offset=offset, selection=selection)
    return {"pairs": page, "total": total}


@router.post(
    "/pair-file",
    status_code=201,
    response_model=Imported,
    responses=error_responses(400, 401, 404, 413, 422, 503),
    max_body_size=LARGEST_UPLOAD,
    form_limits={"max_files": 1, "max_fields": 0},
)
async def import_pairs(run: OwnRun, file: UploadFile, space: Space) -> AddedPairs:
    """Add the pairs of a file to a run in review: jsonl, csv, or BEIR as zip."""

    def work() -> AddedPairs:
        return space.pairs.add_file(run.id, *named(file))

    return await anyio.to_thread.run_sync(work, limiter=_files)


@router.get(
    "/pair-file",
    response_class=Response,
    responses={
        200: {
            "description": "All pairs of the run but dropped ones.",
            "content": {
                media_type: {"schema": {"type": "string", "format": "binary"}}
                for media_type in _MEDIA_TYPES.values()
            },
        },
        **error_responses(401, 404, 422, 503),
    },
)
async def export(
    run: OwnRun, space: Space, form: Annotated[Literal["jsonl", "csv", "zip"], Query()]
) -> Response:
    """All pairs of a run but dropped ones, as a file that can be imported again; "zip" is BEIR."""
    content = await anyio.to_thread.run_sync(space.pairs.export, run.id, form, limiter=_files)
    name = f"pairs-{run.started_at:%Y-%m-%d}.{form}"
    disposition = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type=_MEDIA_TYPES[form], headers=disposition)


@router.get("/pair-check", response_model=CheckCost, responses=error_responses(401, 404, 422, 503))
def check_cost(run: OwnRun, space: Space) -> CheckCost:
    """What one check of the run's pairs costs."""
    return CheckCost(cost_usd=space.pairs.check_cost(run))


@router.post(
    "/pair-check", response_model=Check, responses=error_responses(400, 401, 404, 413, 422, 503)
)
async def check(run: OwnRun, body: CheckRequest, space: Space) -> Any:
    """Find the pairs that are repeated, give themselves away, or do not find their own chunk."""

    def work() -> dict[str, Any]:
        found = space.pairs.check(run, cost_agreed=body.cost_agreed)
        flagged = [
            {"pair": pair, "flags": sorted(found.flags[pair.id])} for pair in found.flagged()
        ]
        counts = Counter(flag for flags in found.flags.values() for flag in flags)
        return {"checked": len(found.pairs), "flagged": flagged, "counts": counts}

    return await anyio.to_thread.run_sync(work, limiter=_checks)


@router.post(
    "/drop-pairs", response_model=Dropped, responses=error_responses(400, 401, 404, 413, 422, 503)
)
def drop_pairs(run: OwnRun, body: DropRequest, space: Space) -> Dropped:
    """Drop several pairs at once while their run is `generated`."""
    ids = [str(pair_id) for pair_id in body.pair_ids]
    return Dropped(dropped=space.pairs.drop(run.id, ids))


@router.patch(
    "/pairs/{pair_id}", response_model=Pair, responses=error_responses(400, 401, 404, 413, 422, 503)
)
def edit_pair(run_id: UUID, pair_id: UUID, body: PairRequest, space: Space) -> TrainingPair:
    """Change a question, or keep, drop or take back a pair, while its run is `generated`."""
    review = body.review or Review.KEPT
    return space.pairs.put(str(run_id), str(pair_id), review, body.question_text)


@router.delete(
    "/pairs/{pair_id}", response_model=Done, responses=error_responses(400, 401, 404, 413, 422, 503)
)
def drop_pair(run_id: UUID, pair_id: UUID, space: Space) -> Done:
    """Drop a pair while its run is `generated`."""
    if not space.pairs.drop(str(run_id), [str(pair_id)]):
        raise NotFound("There is no such pair in this run.")
    return Done(message="The pair was dropped")
