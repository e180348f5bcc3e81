"""Routes of judging: what to judge in a test set, a person's judgements, and a model's."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import anyio.to_thread
from anyio import CapacityLimiter
from fastapi import APIRouter, Query
from pydantic import BaseModel, Field, StrictBool

from services.http.bearer import Space
from services.http.error_responses import error_responses
from services.http.shapes import NO_NUL, Body, Done
from services.pairs.rules import LONGEST_QUESTION
from services.questions.judging import SaidByModel
from services.workspace import Workspace

# Ranking a whole set takes a core, or minutes in the cloud; a model takes seconds for each chunk.
_rankings = CapacityLimiter(2)

_QUESTION: dict[str, Any] = {"min_length": 1, "max_length": LONGEST_QUESTION, "pattern": NO_NUL}
_CHUNK: dict[str, Any] = {"min_length": 1, "max_length": 200, "pattern": NO_NUL}
_SET: dict[str, Any] = {"min_length": 1, "max_length": 500, "pattern": NO_NUL}

router = APIRouter(prefix="/deep-memory", tags=["Deep Memory"])


class ChunkToJudge(BaseModel):
    """`rank_without` and `rank_with` are null beyond the first ten."""

    question: str
    chunk_id: str
    text: str
    document: str
    rank_without: int | None
    rank_with: int | None


class ToJudge(BaseModel):
    """`unjudged` chunks are in the first ten of either ranking, `chunks` are the first of them;
    `judged` have been, and `answering` of those answer. `left_out` questions were not ranked."""

    chunks: list[ChunkToJudge]
    unjudged: int
    judged: int
    answering: int
    left_out: int


class OneJudgement(Body):
    question: str = Field(**_QUESTION)
    chunk_id: str = Field(**_CHUNK)
    answers: StrictBool


class Judgements(Body):
    judgements: list[OneJudgement] = Field(min_length=1, max_length=500)


class BothJudged(BaseModel):
    """`answers` is what the person says."""

    question: str
    chunk_id: str
    answers: bool
    model_answers: bool
    reason: str


class ModelSaid(BaseModel):
    """How many chunks of the set a model judged; on those that the person judged too, how often it
    agrees, and Cohen's kappa, null where it is not defined. With fewer than 20, `is_enough` is
    false. `counts`: its judgements count where the person has none."""

    judged: int
    judged_by_both: int
    agreed: int
    kappa: float | None
    is_enough: bool
    counts: bool
    both: list[BothJudged]


class CountRequest(Body):
    test_set: str = Field(**_SET)
    counts: StrictBool


class AskRequest(Body):
    """`most`: at most so many chunks; each is one call of the model, which may cost money."""

    test_set: str = Field(**_SET)
    most: int = Field(8, ge=1, le=20)


class Asked(BaseModel):
    """`judged` chunks in this call, by the model; `left` it was not asked about yet."""

    judged: int
    left: int


@router.get(
    "/models/{run_id}/unjudged",
    response_model=ToJudge,
    responses=error_responses(400, 401, 404, 422, 503),
)
async def to_judge(
    run_id: UUID,
    test_set: Annotated[str, Query(**_SET)],
    space: Space,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> ToJudge:
    """The chunks of a test set that nobody judged, those that change the figures most first."""

    def work() -> ToJudge:
        ranked = space.judging.rank(test_set, str(run_id))
        left = space.judging.to_judge(ranked)
        known = space.documents.chunks()
        chunks = [
            (one, known[one.chunk_id]) for one in left.chunks[:limit] if one.chunk_id in known
        ]
        return ToJudge(
            chunks=[
                ChunkToJudge(
                    question=one.question,
                    chunk_id=chunk.id,
                    text=chunk.text,
                    document=chunk.document,
                    rank_without=one.rank_without,
                    rank_with=one.rank_with,
                )
                for one, chunk in chunks
            ],
            unjudged=len(left.chunks),
            judged=left.judged,
            answering=left.answering,
            left_out=ranked.left_out,
        )

    return await anyio.to_thread.run_sync(work, limiter=_rankings)


@router.post(
    "/judgements",
    response_model=Done,
    responses=error_responses(400, 401, 404, 413, 422, 503),
)
def judge(body: Judgements, space: Space) -> Done:
    """Keep what the person says: it counts in every test set with that question."""
    space.judging.judge([(one.question, one.chunk_id, one.answers) for one in body.judgements])
    return Done(message="The judgements were kept")


@router.delete(
    "/judgements", response_model=Done, responses=error_responses(400, 401, 404, 422, 503)
)
def take_back(
    question: Annotated[str, Query(**_QUESTION)],
    chunk_id: Annotated[str, Query(**_CHUNK)],
    space: Space,
) -> Done:
    """Forget one of the person's judgements, if there is one."""
    space.judging.take_back(question, chunk_id)
    return Done(message="There is no such judgement any more")


@router.get(
    "/test-sets/model-judgements",
    response_model=ModelSaid,
    responses=error_responses(400, 401, 404, 422, 503),
)
def said_by_model(test_set: Annotated[str, Query(**_SET)], space: Space) -> ModelSaid:
    """What a model said about a test set, and how far it agrees with the person."""
    return _model_said(space, test_set)


@router.put(
    "/test-sets/model-judgements",
    response_model=ModelSaid,
    responses=error_responses(400, 401, 404, 413, 422, 503),
)
def let_model_count(body: CountRequest, space: Space) -> ModelSaid:
    """Let a model's judgements count in a test set where the person has none, or no longer."""
    space.judging.let_model_count(body.test_set, body.counts)
    return _model_said(space, body.test_set)


@router.post(
    "/models/{run_id}/model-judgements",
    response_model=Asked,
    responses=error_responses(400, 401, 404, 413, 422, 503),
)
async def ask(run_id: UUID, body: AskRequest, space: Space) -> Asked:
    """Have the question model judge some chunks: those that the person judged, then the rest."""

    def work() -> Asked:
        ranked = space.judging.rank(body.test_set, str(run_id))
        asked = space.judging.to_ask(ranked)
        judged = space.judging.ask(asked[: body.most])
        return Asked(judged=judged, left=len(asked) - judged)

    return await anyio.to_thread.run_sync(work, limiter=_rankings)


def _model_said(space: Workspace, test_set: str) -> ModelSaid:
    said: SaidByModel = space.judging.said_by_model(test_set)
    return ModelSaid(
        judged=said.judged,
        judged_by_both=said.agreement.judged_by_both,
        agreed=said.agreement.agreed,
        kappa=said.agreement.kappa,
        is_enough=said.agreement.is_enough,
        counts=said.counts,
        both=[
            BothJudged(
                question=one.question,
                chunk_id=one.chunk_id,
                answers=mine,
                model_answers=one.answers,
                reason=one.reason,
            )
            for mine, one in said.both
        ],
    )
