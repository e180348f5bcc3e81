"""Routes of what answers a search: said by users of another application, or by the person."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field, StrictBool, model_validator

from services.http.bearer import Space
from services.http.error_responses import error_responses
from services.http.shapes import NO_NUL, Body, Done
from services.pairs.rules import LONGEST_QUESTION
from services.questions.feedback import Marks
from services.questions.judgements import Judge
from services.questions.store import Origin, Purpose

router = APIRouter(prefix="/search/feedback", tags=["Search"])

ChunkId = Annotated[str, Field(min_length=1, max_length=200, pattern=NO_NUL)]


class FeedbackRequest(Body):
    """What somebody says about a search: either whether the chunk `chunk_id` `answers` it (null
    takes that back), or whether `nothing_answers` it. `first_hit` is the chunk that was shown
    first. Feedback by `application` waits until the person confirms it, and counts for nothing
    before; that by `person` counts at once. Sent twice, it counts once."""

    query: str = Field(min_length=1, max_length=LONGEST_QUESTION)
    chunk_id: ChunkId | None = None
    answers: StrictBool | None = None
    nothing_answers: StrictBool | None = None
    first_hit: ChunkId | None = None
    by: Literal["application", "person"] = "application"

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        says_nothing_answers = self.nothing_answers is not None
        if says_nothing_answers == (self.chunk_id is not None):
            raise ValueError("send either chunk_id with answers, or nothing_answers")
        if says_nothing_answers and (self.answers is not None or self.first_hit is not None):
            raise ValueError("answers and first_hit go with chunk_id")
        if self.chunk_id is not None and "answers" not in self.model_fields_set:
            raise ValueError("chunk_id needs answers: true, false, or null to take it back")
        return self


class SaidSoFar(BaseModel):
    """What the person said about a question: by chunk, whether it answers; what the question is
    for: `test` measures search, `training` teaches it, `open` does neither."""

    answers: dict[str, bool]
    nothing_answers: bool
    purpose: Purpose
    is_unanswerable: bool


@router.post("", response_model=Done, responses=error_responses(400, 401, 404, 413, 422, 503))
def give(body: FeedbackRequest, space: Space) -> Done:
    """Say what answers a search, or that nothing does."""
    judge = Judge(body.by)
    origin = Origin.APPLICATION if judge is Judge.APPLICATION else Origin.SEARCH
    if body.chunk_id is None:
        is_so = bool(body.nothing_answers)
        space.feedback.say_nothing_answers(body.query, is_so, judge=judge, origin=origin)
    else:
        space.feedback.judge(
            body.query,
            body.chunk_id,
            body.answers,
            first_hit=body.first_hit,
            judge=judge,
            origin=origin,
        )
    return Done(message="The feedback was kept")


@router.get("", response_model=SaidSoFar, responses=error_responses(400, 401, 404, 422, 503))
def said(
    query: Annotated[str, Query(min_length=1, max_length=LONGEST_QUESTION)], space: Space
) -> Marks:
    """What the person said about this query before; case and white space make no difference."""
    return space.feedback.of(query)
