"""Routes of training runs: start them, see them, move them on."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field, StrictBool, StrictInt

from services.config import MOST_QUESTIONS_PER_CHUNK
from services.errors import RunBlocked
from services.http.bearer import OwnRun, Space, UserSpace, require_own
from services.http.error_responses import error_responses
from services.http.shapes import Body, Done, Offset
from services.models import RunEvent, TrainingRun
from services.runs.states import RunStatus

router = APIRouter(prefix="/deep-memory", tags=["Deep Memory"])

_QUESTIONS = Field(ge=1, le=MOST_QUESTIONS_PER_CHUNK)


class GenerateRequest(Body):
    user_id: UUID
    questions_per_chunk: Annotated[StrictInt, _QUESTIONS] | None = None
    # Half the price, within 24 hours; for OpenAI's own models and more than 10,000 chunks.
    batch_mode: StrictBool = False


class RunRequest(Body):
    training_run_id: UUID
    user_id: UUID


class Accepted(BaseModel):
    """Work that goes on. `job_id` is for `/events/stream/{job_id}`."""

    job_id: UUID
    training_run_id: UUID
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


class Estimated(BaseModel):
    """What generating would ask and cost; `cost_usd` is null when no price is known. Where
    `offers_batch_mode`, it may be written `batch_mode`."""

    questions: int
    input_tokens: int
    output_tokens: int
    cost_usd: float | None
    offers_batch_mode: bool


class Spent(BaseModel):
    """What a run has taken so far; `cost_usd` is null when no price is known."""

    input_tokens: int
    output_tokens: int
    cost_usd: float | None


class AtOpenAI(BaseModel):
    """Of a run in the batch mode: chunks that wait for an answer, and answers that are ready."""

    chunks: int
    answered: int


class Event(BaseModel):
    """One line of a run's timeline."""

    at: datetime
    phase: str
    kind: str
    message: str
    counts: dict[str, Any]


class Events(BaseModel):
    events: list[Event]


class ProblemChunk(BaseModel):
    chunk_id: str
    problem: str


class Problems(BaseModel):
    """Chunks that yielded nothing or less than asked: how many by problem, and the first."""

    counts: dict[str, int]
    chunks: list[ProblemChunk]


@router.get("/estimate", response_model=Estimated, responses=error_responses(401, 404, 422, 503))
def estimate(
    space: Space,
    questions_per_chunk: Annotated[int | None, Query(ge=1, le=MOST_QUESTIONS_PER_CHUNK)] = None,
    batch_mode: bool = False,
) -> Estimated:
    """What generating for the whole knowledge base would ask and cost."""
    found = space.runs.estimate(questions_per_chunk, batch_mode=batch_mode)
    return Estimated(**asdict(found), offers_batch_mode=space.runs.offer_batch_mode)


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


@router.post(
    "/runs/{run_id}/retry-problems",
    status_code=202,
    response_model=Accepted,
    responses=error_responses(400, 401, 404, 413, 422, 503),
)
def retry_problems(run_id: UUID, space: Space) -> Accepted:
    """Ask the chunks of a run in review again that yielded nothing or less than asked."""
    run = space.runs.retry_problems(str(run_id))
    return _accepted(run, f"Asking {run.total_chunks - run.processed_chunks} chunks again")


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


@router.get(
    "/runs/{run_id}/events", response_model=Events, responses=error_responses(401, 404, 422, 503)
)
def events(run: OwnRun, space: Space) -> dict[str, list[RunEvent]]:
    """The newest lines of a run's timeline, oldest first."""
    return {"events": space.runs.events(run.id)}


@router.get(
    "/runs/{run_id}/usage", response_model=Spent, responses=error_responses(401, 404, 422, 503)
)
def usage(run: OwnRun, space: Space) -> Spent:
    """The tokens and the money that a run has taken so far."""
    tokens, cost = space.runs.spent(run)
    return Spent(**asdict(tokens), cost_usd=cost)


@router.get(
    "/runs/{run_id}/batches", response_model=AtOpenAI, responses=error_responses(401, 404, 422, 503)
)
def batches(run: OwnRun, space: Space) -> AtOpenAI:
    """What waits at OpenAI for a run in the batch mode."""
    chunks, answered = space.runs.waiting_at_openai(run)
    return AtOpenAI(chunks=chunks, answered=answered)


@router.get(
    "/runs/{run_id}/problems",
    response_model=Problems,
    responses=error_responses(401, 404, 422, 503),
)
def problems(
    run: OwnRun, space: Space, limit: Annotated[int, Query(ge=1, le=1_000)] = 100
) -> Problems:
    """The chunks that yielded nothing or less than asked."""
    found = space.runs.chunks_with_problem(run.id, limit=limit)
    chunks = [ProblemChunk(chunk_id=chunk_id, problem=problem) for chunk_id, problem in found]
    return Problems(counts=space.runs.problems(run.id), chunks=chunks)


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


def _accepted(run: TrainingRun, message: str) -> Accepted:
    # A run has one job at a time, so the run's id names the job.
    return Accepted(job_id=UUID(run.id), training_run_id=UUID(run.id), message=message)
