"""The route that follows a job: server-sent events until its phase ends.

A run has one job at a time, so the job's id is the run's. Each event is the whole state, and its
id is a digest of that state: who comes back with `Last-Event-ID` gets the state if it has changed,
and 204, which tells a browser to stop, if the job had ended with it.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any
from uuid import UUID

import anyio
from fastapi import APIRouter, Header, Response
from pydantic import BaseModel
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool

from services.errors import AppError, DatabaseUnavailable
from services.http.bearer import AccessToken, Space, workspace_of
from services.http.error_responses import error_responses
from services.models import TrainingRun
from services.runs.states import RunStatus

log = logging.getLogger(__name__)

_POLL_S = 1.0
_HEARTBEAT_S = 15

router = APIRouter(prefix="/events", tags=["Events"])


class JobEvent(BaseModel):
    """The `data` of an event. `attempt` grows each time that a run goes to work."""

    job_id: UUID
    attempt: int
    status: RunStatus
    processed_chunks: int
    total_chunks: int
    pair_count: int
    message: str


def _event_schema() -> dict[str, Any]:
    """One event of the stream. The description has `RunStatus` from the runs' routes."""
    data = JobEvent.model_json_schema(ref_template="#/components/schemas/{model}")
    del data["$defs"]
    text = {"type": "string", "contentMediaType": "application/json", "contentSchema": data}
    return {"type": "object", "properties": {"id": {"type": "string"}, "data": text}}


@router.get(
    "/stream/{job_id}",
    response_class=EventSourceResponse,
    responses={
        200: {
            "description": "An event for each change, a comment every 15 seconds. Ends when the "
            "status is `generated`, `completed`, `generating_failed` or `training_failed`.",
            "content": {"text/event-stream": {"schema": _event_schema()}},
        },
        204: {"description": "The job ended with the event that `Last-Event-ID` names."},
        **error_responses(401, 404, 422, 503),
    },
)
async def stream(
    job_id: UUID,
    space: Space,
    token: AccessToken,
    last_event_id: Annotated[str | None, Header()] = None,
) -> Response:
    """Follow the job of a run."""

    def poll() -> TrainingRun:
        # Through the token each time, so that the stream ends soon after a sign-out.
        return workspace_of(token).runs.get(str(job_id))

    run = await run_in_threadpool(poll)
    if not run.status.is_active and last_event_id == _event(run).id:
        return Response(status_code=204)
    return EventSourceResponse(_follow(poll, run, last_event_id), ping=_HEARTBEAT_S)


async def _follow(
    poll: Callable[[], TrainingRun], run: TrainingRun, seen: str | None
) -> AsyncIterator[ServerSentEvent]:
    while True:
        event = _event(run)
        if event.id != seen:
            yield event
            seen = event.id
        if not run.status.is_active:
            return
        await anyio.sleep(_POLL_S)
        try:
            run = await run_in_threadpool(poll)
        except DatabaseUnavailable:
            log.warning("stream_waits_for_database run=%s", run.id)
        except AppError as error:
            # The client comes back with Last-Event-ID and gets the reason as a status.
            log.info("stream_ended run=%s code=%s", run.id, error.code)
            return


def _event(run: TrainingRun) -> ServerSentEvent:
    data = JobEvent(
        job_id=UUID(run.id),
        attempt=run.attempt,
        status=run.status,
        processed_chunks=run.processed_chunks,
        total_chunks=run.total_chunks,
        pair_count=run.pair_count,
        message=_message(run),
    ).model_dump_json()
    return ServerSentEvent(data, id=hashlib.sha256(data.encode()).hexdigest()[:16])


def _message(run: TrainingRun) -> str:
    if run.waiting is not None:
        until = f" until {run.waiting.until:%H:%M} UTC" if run.waiting.until else ""
        return f"Waiting for {run.waiting.what}{until}"
    match run.status:
        case RunStatus.GENERATING:
            return f"{run.processed_chunks} of {run.total_chunks} chunks asked"
        case RunStatus.GENERATED:
            return f"{run.pair_count} pairs await review"
        case RunStatus.TRAINING:
            return run.metrics.get("progress", {}).get("step", "Training")
        case RunStatus.COMPLETED:
            return "Training finished"
        case RunStatus.GENERATING_FAILED | RunStatus.TRAINING_FAILED:
            return run.error_message or "Failed"
