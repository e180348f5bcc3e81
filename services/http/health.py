"""Routes for whoever watches the process. They need no token and tell nothing about anyone."""

from __future__ import annotations

from threading import Condition

from cachetools import TTLCache, cached
from fastapi import APIRouter
from pydantic import BaseModel

from services.http.error_responses import error_responses
from services.studio import current_studio

router = APIRouter(tags=["Health"])


class Health(BaseModel):
    status: str


@router.get("/healthz", response_model=Health)
async def healthz() -> Health:
    """The process is up."""
    return Health(status="ok")


@router.get("/readyz", response_model=Health, responses=error_responses(503))
@cached(TTLCache(1, ttl=2), condition=Condition())
def readyz() -> Health:
    """There is room on the disk, and the database and the vector store answer."""
    current_studio().check()
    return Health(status="ready")
