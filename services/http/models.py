"""Routes of trained models: which there are, which one search uses, and the switch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, BinaryIO, Literal
from uuid import UUID

import anyio.to_thread
from anyio import CapacityLimiter
from fastapi import APIRouter, Query
from pydantic import BaseModel, StrictBool
from starlette.responses import Response, StreamingResponse

from services.deep_memory.verdicts import Measure
from services.http.bearer import OwnRun, Space, UserSpace, require_own
from services.http.error_responses import error_responses
from services.http.shapes import Body, Done, Offset
from services.models import DeepMemorySettings
from services.runs.states import RunStatus

_exports = CapacityLimiter(2)  # each reads and writes all chunks
_BLOCK = 1024 * 1024

router = APIRouter(prefix="/deep-memory", tags=["Deep Memory"])


class SettingsRequest(Body):
    user_id: UUID
    enabled: StrictBool


class DeepMemoryState(BaseModel):
    """Whether search uses Deep Memory, and what blocks a new run."""

    enabled: bool
    last_trained_at: datetime | None
    last_training_run_id: UUID | None
    can_enable: bool
    total_chunks: int
    trained_chunk_count: int
    has_blocking_run: bool
    blocking_run_id: UUID | None
    blocking_run_status: RunStatus | None
    is_cloud: bool


class Model(BaseModel):
    """What a completed run trained. `unusable` says why search cannot use it now; null when it
    can. One that is not `is_kept` was deleted because there are newer ones."""

    training_run_id: UUID
    started_at: datetime
    completed_at: datetime | None
    metrics: dict[str, Any]
    is_chosen: bool
    is_kept: bool
    unusable: str | None


class Models(BaseModel):
    """`enabled`: search uses the chosen model, unless `problem` says why it cannot. Where
    `ranks_words`, a model ranks by exact words too."""

    models: list[Model]
    total: int
    enabled: bool
    problem: str | None
    ranks_words: bool


class RankChange(BaseModel):
    """A question with the rank of its answer without and with the model; null: beyond ten."""

    question: str
    before: int | None
    after: int | None
    relevant: list[str] = []


class RankChanges(BaseModel):
    """On one set of questions: the held-out ones first, then those of people, by name."""

    name: str
    wins: list[RankChange]
    losses: list[RankChange]


@router.get(
    "/settings", response_model=DeepMemoryState, responses=error_responses(401, 404, 422, 503)
)
def settings(space: UserSpace) -> DeepMemorySettings:
    return space.models.state().settings


@router.put(
    "/settings",
    response_model=DeepMemoryState,
    responses=error_responses(400, 401, 404, 413, 422, 503),
)
def switch(body: SettingsRequest, space: Space) -> DeepMemorySettings:
    """Make search use Deep Memory, or not."""
    require_own(space, body.user_id)
    return space.models.set_enabled(body.enabled)


@router.get("/models", response_model=Models, responses=error_responses(401, 404, 422, 503))
def models(
    space: Space, limit: Annotated[int, Query(ge=1, le=100)] = 20, offset: Offset = 0
) -> Any:
    """Trained models with their figures, newest first."""
    runs, total = space.runs.page(limit=limit, offset=offset, status=RunStatus.COMPLETED)
    state = space.models.state()
    unusable, unkept = space.models.unusable(runs), space.models.no_longer_kept(runs)
    return {
        "models": [
            Model(
                training_run_id=UUID(run.id),
                started_at=run.started_at,
                completed_at=run.completed_at,
                metrics=run.metrics,
                is_chosen=state.active is not None and state.active.id == run.id,
                is_kept=run.id not in unkept,
                unusable=unusable.get(run.id),
            )
            for run in runs
        ],
        "total": total,
        "enabled": state.settings.enabled,
        "problem": space.models.problem(state) or None,
        "ranks_words": space.models.rank_words,
    }


@router.post(
    "/models/{run_id}/use",
    response_model=Done,
    responses=error_responses(400, 401, 404, 413, 422, 503),
)
def use(run_id: UUID, space: Space) -> Done:
    """Make search use the model of this completed run, and switch Deep Memory on."""
    space.models.use(str(run_id))
    return Done(message="Search uses this model now")


@router.get(
    "/models/{run_id}/rank-changes",
    response_model=list[RankChanges],
    responses=error_responses(401, 404, 422, 503),
)
def rank_changes(run: OwnRun, space: Space) -> Any:
    """All questions that won and lost, of which the run's `metrics` has the first; empty where no
    more are kept than those."""
    changes = space.models.rank_changes(run)
    return [{"name": name, **sides} for name, sides in changes.items()]


@router.get(
    "/runs/{run_id}/report",
    response_class=Response,
    responses={
        200: {
            "description": "The report, as JSON or as one HTML page.",
            "content": {"application/json": {}, "text/html": {"schema": {"type": "string"}}},
        },
        **error_responses(400, 401, 404, 422, 503),
    },
)
async def report(
    run: OwnRun,
    space: Space,
    form: Annotated[Literal["json", "html"], Query()] = "json",
    measure: Measure = Measure.RECALL_10,
) -> Response:
    """What a run was measured to be, on each set of questions, with the verdict on a measure."""
    write = space.reports.as_json if form == "json" else space.reports.as_page
    content = await anyio.to_thread.run_sync(write, run, measure, limiter=_exports)
    return Response(content, media_type="application/json" if form == "json" else "text/html")


@router.get(
    "/runs/{run_id}/model",
    response_class=Response,
    responses={
        200: {
            "description": "A folder with the trained map, the chunks and a model card.",
            "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
        },
        **error_responses(400, 401, 404, 422, 503),
    },
)
async def export(run: OwnRun, space: Space) -> StreamingResponse:
    """The model of a completed run as the zip of a folder that can be searched without the app.
    DeepLake Cloud keeps its models."""
    file = await anyio.to_thread.run_sync(space.models.export, run, limiter=_exports)
    name = f"deep-memory-model-{run.started_at:%Y-%m-%d}.zip"
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"',
        "Content-Length": str(file.seek(0, os.SEEK_END)),
    }
    file.seek(0)
    return StreamingResponse(_blocks(file), media_type="application/zip", headers=headers)


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while block := file.read(_BLOCK):
            yield block
