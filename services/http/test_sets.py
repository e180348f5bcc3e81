"""Routes of test sets: a person's own test questions, and any trained model measured on them."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import anyio.to_thread
from anyio import CapacityLimiter
from fastapi import APIRouter, Form, Query, UploadFile
from pydantic import BaseModel, Field

from services.deep_memory.verdicts import FEWEST_TO_PROVE
from services.errors import NotFound
from services.http.bearer import Space
from services.http.error_responses import error_responses
from services.http.models import RankChange
from services.http.shapes import LARGEST_UPLOAD, NO_NUL, Body, Done, named

# Embedding takes a whole core, and a model in the cloud takes minutes.
_measurements = CapacityLimiter(2)
_files = CapacityLimiter(4)

# In queries and forms, because a name may hold what no path can.
_NAME: dict[str, Any] = {"min_length": 1, "max_length": 500, "pattern": NO_NUL}

router = APIRouter(prefix="/deep-memory", tags=["Deep Memory"])


class TestSet(BaseModel):
    """`is_own`: the person brought it; the other is the sample's."""

    name: str
    questions: int
    is_own: bool


class TestSets(BaseModel):
    test_sets: list[TestSet]


class Added(BaseModel):
    """How many test questions were read."""

    questions: int


class MeasureRequest(Body):
    test_set: str = Field(**_NAME)


class WithoutAnswer(BaseModel):
    """Questions that the documents do not answer. `said_so`: the share of them of which search with
    the model says that; `refused_answerable`: the share of the set's other questions of which it
    does. Each with its 95% interval (Wilson); null, if this model never says so."""

    questions: int
    answerable_questions: int
    said_so: float | None
    said_so_interval: tuple[float, float] | None
    refused_answerable: float | None
    refused_answerable_interval: tuple[float, float] | None


class Figures(BaseModel):
    """Search without training (in DeepLake Cloud by plain cosine) and the model of a run, on the
    same questions. `steps` has the figures of each part that search without training is made of,
    the last of them those of `before`. `not_found` questions are left out, because the knowledge
    base has not what answers them; so are those that this model was `trained_on`. Where chunks were
    judged not to answer, `before`, `after` and `intervals` have bpref, condensed_ndcg@10 and
    judged@10 too: see docs/judging.md. `ranks` counts the questions by rank before and rank
    after; null is beyond ten. `verdict` is that on recall@10, `verdicts` has one for each
    measure; where one is not proven, `more_questions` says about how many more would settle it.
    `hash` is that of the questions and their answers, `knowledge_base` the version that was
    searched. `unanswerable` is null for a set without such questions, and in DeepLake Cloud;
    they count in nothing else. Unless there are 20 questions (`is_enough`), the verdicts say
    nothing."""

    name: str
    questions: int
    not_found: int
    trained_on: int
    by_document: bool
    steps: list[dict[str, str | float]]
    before: dict[str, float]
    after: dict[str, float]
    is_enough: bool
    verdict: str
    verdicts: dict[str, str]
    more_questions: dict[str, int]
    hash: str
    knowledge_base: str
    intervals: dict[str, tuple[float, float]]
    win_count: int
    loss_count: int
    wins: list[RankChange]
    losses: list[RankChange]
    ranks: list[tuple[int | None, int | None, int]]
    unanswerable: WithoutAnswer | None = None


@router.get("/test-sets", response_model=TestSets, responses=error_responses(401, 404, 422, 503))
def test_sets(space: Space) -> TestSets:
    """The test sets: the sample's, where it is loaded, then the person's own by name."""
    return TestSets(
        test_sets=[
            TestSet(name=name, questions=count, is_own=space.test_sets.is_own(name))
            for name, count in space.test_sets.all().items()
        ]
    )


@router.post(
    "/test-sets",
    status_code=201,
    response_model=Added,
    responses=error_responses(400, 401, 404, 413, 422, 503),
    max_body_size=LARGEST_UPLOAD,
    form_limits={"max_files": 1, "max_fields": 1},
)
async def add(name: Annotated[str, Form(**_NAME)], file: UploadFile, space: Space) -> Added:
    """Keep the test questions of a file, csv or BEIR as zip; a set of this name is replaced."""

    def work() -> int:
        return space.test_sets.add_file(name, *named(file))

    return Added(questions=await anyio.to_thread.run_sync(work, limiter=_files))


@router.delete(
    "/test-sets", response_model=Done, responses=error_responses(400, 401, 404, 413, 422, 503)
)
def remove(name: Annotated[str, Query(**_NAME)], space: Space) -> Done:
    """Forget a test set that the person brought."""
    if not space.test_sets.remove(name):
        raise NotFound("There is no such test set.")
    return Done(message="The test set was removed")


@router.post(
    "/models/{run_id}/measure",
    response_model=Figures,
    responses=error_responses(400, 401, 404, 413, 422, 503),
)
async def measure(run_id: UUID, body: MeasureRequest, space: Space) -> Any:
    """Measure the model of a completed run on a test set."""
    figures = await anyio.to_thread.run_sync(
        space.test_sets.measure, body.test_set, str(run_id), limiter=_measurements
    )
    return {**figures, "is_enough": figures["questions"] >= FEWEST_TO_PROVE}
