"""Routes of Deep Memory: runs, their pairs, and the settings."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt

from services.config import MOST_QUESTIONS_PER_CHUNK
from services.errors import NotFound, RunBlocked
from services.http.bearer import Space, UserSpace, require_own
from services.http.error_responses import error_responses
from services.models import DeepMemorySettings, TrainingPair, TrainingRun
from services.runs.states import RunStatus

router = APIRouter(prefix="/deep-memory", tags=["Deep Memory"])

Offset = Annotated[int, Query(ge=0, le=10_000_000)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class GenerateRequest(_Body):
    user_id: UUID
    questions_per_chunk: Annotated[StrictInt, Field(ge=1, le=MOST_QUESTIONS_PER_CHUNK)] | None = (
        None
    )
    # Half the price, within 24 hours; for OpenAI's own models and more than 10,000 chunks.
    batch_mode: StrictBool = False


class RunRequest(_Body):
    training_run_id: UUID
    user_id: UUID


class SettingsRequest(_Body):
    user_id: UUID
    enabled: StrictBool


class PairRequest(_Body):
    # Postgres stores no NUL.
    question_text: str = Field(min_length=1, max_length=2_000, pattern=r"^[^\x00]*$")


class Accepted(BaseModel):
    """Work that goes on. `job_id` is for `/events/stream/{job_id}`."""

    job_id: UUID
    training_run_id: UUID
    message: str


class Done(BaseModel):
    message: str


class RunWaits(BaseModel):
    """What a run waits for, as in "Waiting for ...", and until when, if that is known."""

    what: str
    until: datetime | None


class Run(BaseModel):
    """A training run. `waiting` says why an active one stands still; null while it moves."""

    id: UUID
    user_id: UUID
    status: RunStatus
    total_chunks: int
    processed_chunks: int
    pair_count: int
    metrics: dict[str, Any]
    error_message: str | None
    deeplake_job_id: str | None
    attempt: int
    settings: dict[str, Any]
    usage: dict[str, Any]
    waiting: RunWaits | None
    started_at: datetime
    completed_at: datetime | None
    created_at: datetime


class Runs(BaseModel):
    runs: list[Run]
    total: int


class Pair(BaseModel):
    """A question and the chunk that answers it."""

    id: UUID
    training_run_id: UUID
    question_text: str
    chunk_id: str
    chunk_preview: str | None
    relevance_score: float


class Pairs(BaseModel):
    pairs: list[Pair]
    total: int


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


@router.post(
    "/generate",
    status_code=202,
    response_model=Accepted,
    responses=error_responses(400, 401, 404, 409, 413, 422, 503),
)
def generate(body: GenerateRequest, space: Space) -> Accepted:
    """Start a run: questions for every chunk of the knowledge base."""
    require_own(space, body.user_id)
    try:
        run = space.runs.generate(body.questions_per_chunk, batch_mode=body.batch_mode)
    except RunBlocked as error:
        raise RunBlocked(
            "Cannot start new generation: an unfinished training run exists",
            run_id=error.run_id,
            status=error.status,
        ) from error
    return _accepted(run, f"Generating questions for {run.total_chunks} chunks")


@router.post(
    "/train",
    status_code=202,
    response_model=Accepted,
    responses=error_responses(400, 401, 404, 409, 413, 422, 503),
)
def train(body: RunRequest, space: Space) -> Accepted:
    """Train on the pairs of a run that is `generated`."""
    require_own(space, body.user_id)
    run = space.runs.train(str(body.training_run_id))
    return _accepted(run, f"Training on {run.pair_count} pairs")


@router.post(
    "/proceed",
    status_code=202,
    response_model=Accepted,
    responses=error_responses(400, 401, 404, 409, 413, 422, 503),
)
def proceed(body: RunRequest, space: Space) -> Accepted:
    """Go on with a failed run where it stopped."""
    require_own(space, body.user_id)
    run, message = space.runs.proceed(str(body.training_run_id))
    return _accepted(run, message)


@router.post(
    "/runs/{run_id}/stop",
    status_code=202,
    response_model=Accepted,
    responses=error_responses(400, 401, 404, 413, 422, 503),
)
def stop(run_id: UUID, space: Space) -> Accepted:
    """Stop an active run, or discard one in review. What it made is kept."""
    run = space.runs.stop(str(run_id))
    return _accepted(run, f"Stopped with {run.pair_count} pairs, which are kept")


@router.get("/runs", response_model=Runs, responses=error_responses(401, 404, 422, 503))
def runs(
    space: UserSpace,
    status: RunStatus | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    offset: Offset = 0,
) -> Any:
    """Runs, newest first. `total` counts all that have this status."""
    page, total = space.runs.page(limit=limit, offset=offset, status=status)
    return {"runs": page, "total": total}


@router.get("/runs/{run_id}", response_model=Run, responses=error_responses(401, 404, 422, 503))
def run(run_id: UUID, space: UserSpace) -> TrainingRun:
    """One run, with its progress and its figures."""
    return space.runs.get(str(run_id))


@router.delete(
    "/runs/{run_id}", response_model=Done, responses=error_responses(400, 401, 404, 413, 422, 503)
)
def remove(run_id: UUID, space: UserSpace) -> Done:
    """Delete a failed run with its pairs."""
    return Done(message=space.runs.remove(str(run_id)))


@router.post(
    "/runs/{run_id}/remove",
    response_model=Done,
    responses=error_responses(400, 401, 404, 413, 422, 503),
)
def remove_completed(run_id: UUID, space: Space) -> Done:
    """Delete a completed run with its pairs and its model, unless search uses that model."""
    return Done(message=space.runs.remove_completed(str(run_id)))


@router.get(
    "/runs/{run_id}/pairs", response_model=Pairs, responses=error_responses(401, 404, 422, 503)
)
def pairs(
    run_id: UUID,
    space: UserSpace,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
    offset: Offset = 0,
) -> Any:
    """The pairs of a run, those of a chunk together."""
    total = space.runs.get(str(run_id)).pair_count
    page = space.pairs.page(str(run_id), limit=limit, offset=offset)
    return {"pairs": page, "total": total}


@router.patch(
    "/runs/{run_id}/pairs/{pair_id}",
    response_model=Pair,
    responses=error_responses(400, 401, 404, 413, 422, 503),
)
def edit_pair(run_id: UUID, pair_id: UUID, body: PairRequest, space: Space) -> TrainingPair:
    """Change a question while its run is `generated`."""
    return space.pairs.edit(str(run_id), str(pair_id), body.question_text)


@router.delete(
    "/runs/{run_id}/pairs/{pair_id}",
    response_model=Done,
    responses=error_responses(400, 401, 404, 413, 422, 503),
)
def drop_pair(run_id: UUID, pair_id: UUID, space: Space) -> Done:
    """Drop a pair while its run is `generated`."""
    if not space.pairs.drop(str(run_id), [str(pair_id)]):
        raise NotFound("There is no such pair in this run.")
    return Done(message="The pair was dropped")


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


def _accepted(run: TrainingRun, message: str) -> Accepted:
    # A run has one job at a time, so the run's id names the job.
    return Accepted(job_id=UUID(run.id), training_run_id=UUID(run.id), message=message)
