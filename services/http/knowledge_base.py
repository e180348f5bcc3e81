"""Routes of the knowledge base as a whole: its size, chunks, sample, and running import."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from services.errors import NotFound
from services.http.bearer import Space
from services.http.documents import Import, told
from services.http.error_responses import error_responses
from services.http.shapes import Done
from services.models import Chunk

router = APIRouter(prefix="/knowledge-base", tags=["Documents"])


class Size(BaseModel):
    """`version` is another one after each change of the knowledge base."""

    chunks: int
    belong_on_cloud: bool
    version: str


class CurrentImport(BaseModel):
    """How far an import is: all files are read first, then their chunks are embedded. When it is
    done, `result` says what became of each file, or `failure` why it ended before."""

    is_running: bool
    files_read: int
    files_total: int
    chunks_done: int
    chunks_total: int
    result: Import | None
    failure: str | None


class StoredChunk(BaseModel):
    """One passage of a document; `position` starts at 0."""

    id: str
    document_id: str
    document: str
    position: int
    text: str


@router.get("", response_model=Size, responses=error_responses(401, 404, 422, 503))
def size(space: Space) -> Size:
    """How many chunks there are, and whether that is more than this machine is meant for."""
    count = space.documents.chunk_count()
    return Size(
        chunks=count,
        belong_on_cloud=space.documents.belong_on_cloud(count),
        version=space.documents.version(),
    )


@router.post(
    "/sample",
    status_code=202,
    response_model=Done,
    responses=error_responses(400, 401, 404, 413, 422, 503),
)
def load_sample(space: Space) -> Done:
    """Begin to add the sample documents that are not stored yet: follow `/knowledge-base/import`.

    Refused while another import of this person runs.
    """
    space.documents.load_sample()
    return Done(message="The sample documents are being added")


@router.get("/import", response_model=CurrentImport, responses=error_responses(401, 404, 422, 503))
def current_import(space: Space) -> dict[str, Any]:
    """The import that the screens or `/knowledge-base/sample` began: until it is acknowledged."""
    found = space.documents.current_import
    if found is None:
        raise NotFound("No import runs, and the report of none waits to be read.")
    is_running = found.is_running  # first: what is read after it is done is whole
    return {
        "is_running": is_running,
        **asdict(found.progress),
        "result": told(found.report) if found.report else None,
        "failure": str(found.failure) if found.failure else None,
    }


@router.delete(
    "/import", response_model=Done, responses=error_responses(400, 401, 404, 413, 422, 503)
)
def acknowledge_import(space: Space) -> Done:
    """Forget the import that is done; refused while it runs."""
    space.documents.acknowledge_import()
    return Done(message="The report was read")


@router.get(
    "/chunks/{chunk_id}", response_model=StoredChunk, responses=error_responses(401, 404, 422, 503)
)
def chunk(chunk_id: str, space: Space) -> Chunk:
    """The whole text of a chunk that a pair, a hit or a problem names."""
    return space.documents.chunk(chunk_id)
