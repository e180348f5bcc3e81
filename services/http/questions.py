"""Routes of people's questions: what each is for, which search missed, votes to review, logs."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

import anyio.to_thread
from anyio import CapacityLimiter
from fastapi import APIRouter, Query, UploadFile
from pydantic import BaseModel, Field, StrictBool

from services.http.bearer import Space
from services.http.error_responses import error_responses
from services.http.feedback import ChunkId
from services.http.shapes import LARGEST_UPLOAD, Body, Done, named
from services.pairs.rules import LONGEST_QUESTION
from services.questions.missed import AddedLog, LogState, MissedQuestion, Why
from services.questions.store import Origin, Purpose

_logs = CapacityLimiter(2)  # each searches for up to a minute

router = APIRouter(prefix="/questions", tags=["Questions"])

_Question = Annotated[str, Field(min_length=1, max_length=LONGEST_QUESTION)]


class Question(BaseModel):
    """A question that somebody asked; `is_unanswerable`: the documents have no answer to it."""

    question: str
    purpose: Purpose
    origin: Origin
    is_unanswerable: bool


class Questions(BaseModel):
    questions: list[Question]


class AddRequest(Body):
    """A question with the chunks that answer it, to measure search or to teach it."""

    question: _Question
    chunk_ids: list[ChunkId] = Field(min_length=1, max_length=50)
    purpose: Literal["test", "training"]


class Decision(StrEnum):
    TEST = "test"
    TRAINING = "training"
    OPEN = "open"  # neither measures search nor teaches it
    UNANSWERABLE = "unanswerable"  # the documents have no answer
    ANSWERABLE = "answerable"  # takes that back
    DISMISSED = "dismissed"  # it is not among the missed ones until it is marked again


class DecideRequest(Body):
    """`test` and `training` need a chunk that the person marked as answering, and exclude each
    other: a question has one purpose."""

    question: _Question
    decision: Decision


class Missed(BaseModel):
    """A question that search missed, and why. `disagreement`: how far two rankings are apart, from
    0 to 1, where a log names no answer."""

    question: str
    why: Why
    times: int
    last_asked: datetime
    has_answer: bool
    disagreement: float | None


class MissedTogether(BaseModel):
    """Questions that ask nearly the same, the most repeated first; `times` counts all of them."""

    questions: list[Missed]
    times: int
    last_asked: datetime


class MissedGroups(BaseModel):
    groups: list[MissedTogether]


class Disagreements(BaseModel):
    questions: list[Missed]


class Vote(BaseModel):
    """What a user of another application said; a null `chunk_id`: that nothing answers."""

    question: str
    chunk_id: str | None
    answers: bool
    said_at: datetime


class Votes(BaseModel):
    votes: list[Vote]


class ReviewRequest(Body):
    """A vote as `GET /questions/votes` has it: confirmed, it is the person's own word; else it is
    thrown away."""

    question: _Question
    chunk_id: ChunkId | None
    answers: StrictBool
    confirmed: StrictBool


class Log(BaseModel):
    """`is_current`: all of them were searched for with what search uses now."""

    questions: int
    is_current: bool


class LogAdded(BaseModel):
    """`ranked`: as many were searched for within a minute, the most repeated first. Of those
    `with_answer`, `missed` did not find it among the first ten, `not_in_documents` because it is
    not there."""

    questions: int
    with_answer: int
    not_in_documents: int
    missed: int
    ranked: int


@router.get("", response_model=Questions, responses=error_responses(401, 404, 422, 503))
def questions(space: Space, purpose: Annotated[Purpose | None, Query()] = None) -> Any:
    """The questions about which something was said, or those with one purpose."""
    return {"questions": space.feedback.questions(purpose)}


@router.post(
    "",
    status_code=201,
    response_model=Done,
    responses=error_responses(400, 401, 404, 413, 422, 503),
)
def add(body: AddRequest, space: Space) -> Done:
    """Keep a question with the chunks that answer it."""
    space.feedback.add(body.question, body.chunk_ids, Purpose(body.purpose))
    return Done(message="The question was added")


@router.post(
    "/decide", response_model=Done, responses=error_responses(400, 401, 404, 413, 422, 503)
)
def decide(body: DecideRequest, space: Space) -> Done:
    """Say what a question is for, that the documents have no answer, or dismiss it."""
    match body.decision:
        case Decision.UNANSWERABLE | Decision.ANSWERABLE:
            is_so = body.decision is Decision.UNANSWERABLE
            space.feedback.say_unanswerable(body.question, is_so)
        case Decision.DISMISSED:
            space.feedback.dismiss(body.question)
        case purpose:
            space.feedback.decide(body.question, Purpose(purpose.value))
    return Done(message=f"The question is {body.decision.value}")


@router.get("/missed", response_model=MissedGroups, responses=error_responses(401, 404, 422, 503))
async def missed(space: Space) -> Any:
    """The questions that search missed, near ones together, the most repeated first."""
    groups = await anyio.to_thread.run_sync(space.missed.groups, limiter=_logs)
    return {"groups": groups}


@router.get(
    "/disagreements", response_model=Disagreements, responses=error_responses(401, 404, 422, 503)
)
def disagreements(space: Space) -> dict[str, list[MissedQuestion]]:
    """Questions of a log that nobody has judged, those first whose two rankings differ most."""
    return {"questions": space.missed.disagreements()}


@router.get("/votes", response_model=Votes, responses=error_responses(401, 404, 422, 503))
def votes(space: Space, limit: Annotated[int, Query(ge=1, le=1_000)] = 100) -> Any:
    """What users of another application said and nobody reviewed, the oldest first."""
    return {"votes": space.feedback.votes(limit)}


@router.post(
    "/votes/review", response_model=Done, responses=error_responses(400, 401, 404, 413, 422, 503)
)
def review(body: ReviewRequest, space: Space) -> Done:
    """Confirm a vote or throw it away."""
    space.feedback.review(body.question, body.chunk_id, body.answers, body.confirmed)
    return Done(message=f"The vote was {'confirmed' if body.confirmed else 'rejected'}")


@router.get("/log", response_model=Log, responses=error_responses(401, 404, 422, 503))
def log(space: Space) -> LogState:
    """How many questions of logs there are."""
    return space.missed.log()


@router.post(
    "/log",
    status_code=201,
    response_model=LogAdded,
    responses=error_responses(400, 401, 404, 413, 422, 503),
    max_body_size=LARGEST_UPLOAD,
    form_limits={"max_files": 1, "max_fields": 0},
)
async def add_log(file: UploadFile, space: Space) -> AddedLog:
    """Keep a log of up to 5,000 questions, csv, xlsx or jsonl, and search for them."""

    def work() -> AddedLog:
        return space.missed.add_log(*named(file))

    return await anyio.to_thread.run_sync(work, limiter=_logs)


@router.post(
    "/log/search-again",
    response_model=LogAdded,
    responses=error_responses(400, 401, 404, 413, 422, 503),
)
async def search_again(space: Space) -> AddedLog:
    """Search for the questions of all logs with what search uses now, for a minute at most; those
    that it has not searched for yet come first."""
    return await anyio.to_thread.run_sync(space.missed.rank_log_again, limiter=_logs)


@router.delete("/log", response_model=Done, responses=error_responses(400, 401, 404, 413, 422, 503))
def remove_log(space: Space) -> Done:
    """Delete the questions of all logs; what was said about them stays."""
    return Done(message=f"{space.missed.remove_log()} questions were removed")
