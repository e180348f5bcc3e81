"""Routes of the knowledge base."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import anyio.to_thread
from anyio import CapacityLimiter
from fastapi import APIRouter, Query, UploadFile
from pydantic import BaseModel

from services.errors import NotFound
from services.http.bearer import Space
from services.http.error_responses import error_responses
from services.http.shapes import LARGEST_UPLOAD, Done, Offset, named
from services.knowledge.knowledge_base import IngestReport
from services.models import Document

MOST_FILES = 100
# Embedding takes a whole core: more at once would only starve the screens.
_imports = CapacityLimiter(2)
# A removal waits for the import of its own knowledge base: in threads that nothing else needs.
_removals = CapacityLimiter(10)

router = APIRouter(prefix="/documents", tags=["Documents"])


class StoredDocument(BaseModel):
    id: str
    name: str
    chunk_count: int
    characters: int
    added_at: datetime


class RejectedFile(BaseModel):
    """A file that was not added: `code` is for programs, `detail` for people."""

    name: str
    code: str
    detail: str
    next_step: str


class Import(BaseModel):
    """What became of each file."""

    documents: list[StoredDocument]
    errors: list[RejectedFile]


class Documents(BaseModel):
    documents: list[StoredDocument]
    total: int


@router.post(
    "",
    status_code=201,
    response_model=Import,
    responses=error_responses(400, 401, 404, 413, 422, 503),
    max_body_size=LARGEST_UPLOAD,
    form_limits={"max_files": MOST_FILES, "max_fields": 0},
)
async def add(files: list[UploadFile], space: Space) -> dict[str, Any]:
    """Add files (txt, md, html, csv, pdf, docx; 25 MB each), and say of each other one why not.

    The answer comes when they are stored. A file that can not be added does not stop the others;
    all are refused while another import of this person runs.
    """

    def work() -> IngestReport:
        return space.documents.add([named(file) for file in files])

    return told(await anyio.to_thread.run_sync(work, limiter=_imports))


@router.post(
    "/begin-anew", response_model=Done, responses=error_responses(400, 401, 404, 413, 422, 503)
)
def begin_anew(space: Space) -> Done:
    """Make a knowledge base that is damaged or lost an empty one; refused while it can be read."""
    space.documents.begin_anew()
    return Done(message="The knowledge base is empty: add its documents again")


@router.get("", response_model=Documents, responses=error_responses(401, 404, 422, 503))
def documents(
    space: Space,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
    offset: Offset = 0,
) -> dict[str, Any]:
    """Documents, oldest first."""
    found = space.documents.all()
    return {"documents": found[offset : offset + limit], "total": len(found)}


@router.get(
    "/{document_id}", response_model=StoredDocument, responses=error_responses(401, 404, 422, 503)
)
def document(document_id: str, space: Space) -> Document:
    for found in space.documents.all():
        if found.id == document_id:
            return found
    raise NotFound("This document is not in the knowledge base.")


@router.delete(
    "/{document_id}",
    response_model=Done,
    responses=error_responses(400, 401, 404, 413, 422, 503),
)
async def remove(document_id: str, space: Space) -> Done:
    """Remove a document with its chunks."""
    gone = await anyio.to_thread.run_sync(space.documents.remove, document_id, limiter=_removals)
    return Done(message=f"{gone.name} and its {gone.chunk_count} chunks removed")


def told(report: IngestReport) -> dict[str, Any]:
    """What `Import` is made of."""
    errors = [
        {"name": name, "code": error.code, "detail": str(error), "next_step": error.next_step}
        for name, error in report.rejected
    ]
    return {"documents": report.added, "errors": errors}
