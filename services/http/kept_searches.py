"""Routes of kept searches: whether and how long they are kept, and deleting them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field, StrictBool, StrictInt

from services.http.bearer import Space
from services.http.error_responses import error_responses
from services.http.shapes import Body, Done
from services.questions.kept_searches import MOST_DAYS

router = APIRouter(prefix="/account/kept-searches", tags=["Account"])


class ConsentRequest(Body):
    keeps_searches: StrictBool
    days: Annotated[StrictInt, Field(ge=1, le=MOST_DAYS)] | None = None


class Kept(BaseModel):
    """Whether searches are kept from now on, for how many days, and how many are there."""

    keeps_searches: bool
    days: int
    kept: int


@router.get("", response_model=Kept, responses=error_responses(401, 404, 422, 503))
def consent(space: Space) -> Kept:
    found = space.kept_searches.consent()
    return Kept(keeps_searches=found.is_given, days=found.days, kept=found.kept)


@router.put("", response_model=Kept, responses=error_responses(400, 401, 404, 413, 422, 503))
def set_consent(body: ConsentRequest, space: Space) -> Kept:
    """Consent that searches are kept, here and on the screens, or withdraw it. What was kept stays
    until it is deleted, or older than `days`."""
    space.kept_searches.set_consent(body.keeps_searches, body.days)
    return consent(space)


@router.delete("", response_model=Done, responses=error_responses(400, 401, 404, 413, 422, 503))
def forget(space: Space) -> Done:
    """Delete the searches that were kept. Feedback stays."""
    return Done(message=f"{space.kept_searches.forget()} searches were deleted")
