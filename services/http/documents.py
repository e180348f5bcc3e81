"""Routes of documents: add them, find them, see their chunks, remove them."""

from __future__ import annotations

import time
from datetime import datetime
from functools import partial
from typing import Annotated, Any
from uuid import UUID

import anyio
import anyio.to_thread
from anyio import CapacityLimiter
from fastapi import APIRouter, Query, UploadFile
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from services.errors import DocumentRejected
from services.http.bearer import Space
from services.http.ending import server_is_ending
from services.http.error_responses import error_responses
from services.http.imports import ImportOfFiles
from services.http.imports import told as import_told
from services.http.shapes import LARGEST_UPLOAD, NO_NUL, Body, Done, Offset, named
from services.knowledge.import_rows import Import as ImportRow
from services.models import Chunk, Document
from services.workspace import Workspace

MOST_FILES = 5_000
ANSWER_WITHIN_S = 15.0  # most clients wait for 30
_POLLS_S = (0.05, 1.0)  # the first pause between two looks, and the longest
_OUTCOMES = 1_000
# A removal waits for the import of its own knowledge base: in threads that nothing else needs.
_removals = CapacityLimiter(10)

router = APIRouter(prefix="/documents", tags=["Documents"])


class ReplacedText(BaseModel):
    """When a document's text took the place of an earlier one, how many chunks that had, and how
    many pairs of all runs were about them: training does not use these any more."""

    at: datetime
    chunk_count: int
    pair_count: int


class StoredDocument(BaseModel):
    """`notes` say what was left out when it was read, or is worth knowing. `replaced` is null while
    it has the text that it was added with."""

    id: str
    name: str
    chunk_count: int
    characters: int
    added_at: datetime
    notes: list[str]
    replaced: ReplacedText | None


class RejectedFile(BaseModel):
    """A file that was not added: `code` is for programs, `detail` for people."""

    name: str
    code: str
    detail: str
    next_step: str


class Import(BaseModel):
    """What was added or replaced, and what was not, of up to 1,000 files;
    `/imports/{import_id}/files` has all of them."""

    import_id: UUID
    documents: list[StoredDocument]
    errors: list[RejectedFile]


class Documents(BaseModel):
    documents: list[StoredDocument]
    total: int


class DocumentChunk(BaseModel):
    """One passage. `heading_path` names the headings that it is below, the outermost first; `page`
    is the page, slide or sheet on which it begins, null where there is none."""

    id: str
    text: str
    heading_path: list[str]
    page: int | None
    position: int


class DocumentChunks(BaseModel):
    chunks: list[DocumentChunk]
    total: int


class RemoveRequest(Body):
    document_ids: Annotated[list[UUID], Field(min_length=1, max_length=1_000)]


@router.post(
    "",
    status_code=201,
    response_model=Import,
    responses={
        202: {"model": ImportOfFiles, "description": "It goes on: follow `/imports/{id}`."},
        **error_responses(400, 401, 404, 413, 422, 503),
    },
    max_body_size=LARGEST_UPLOAD,
    form_limits={"max_files": MOST_FILES, "max_fields": 0},
)
async def add(
    files: list[UploadFile],
    space: Space,
    replace: Annotated[
        bool, Query(description="Whether a file replaces the stored document with its name.")
    ] = False,
) -> Any:
    """Add files, and say of each that was not added why not.

    The kinds: txt, md, html, csv, tsv, json, jsonl, pdf, docx, pptx, xlsx, odt, eml, and zip of
    these. At most 5,000 files, 100 MB each and 300 MB together. The answer comes when they are
    stored, or after 15 seconds with 202 and how far the import is: `/imports/{id}` says how it goes
    on. All files are refused while another import of this person is not finished.

    A file with the text of a stored document is not added again. One with the name of a stored
    document but another text is stored beside it, as "name (2).txt"; with `replace=true`, it takes
    its place and keeps its id: the earlier text is removed in the same change, and training does
    not use the pairs about it any more. Of two files with one name in a request, the second is
    stored beside the first all the same.
    """
    content = [named(file) for file in files]
    started = await anyio.to_thread.run_sync(
        partial(space.documents.start_import, content, replace=replace)
    )
    del content  # they are kept on disk now
    current = await _awaited(space, started)
    if current.is_unfinished:
        return JSONResponse(ImportOfFiles(**import_told(current)).model_dump(mode="json"), 202)
    return await anyio.to_thread.run_sync(_report, space, current)


async def _awaited(space: Workspace, started: ImportRow) -> ImportRow:
    """The import when it has ended, or as it is when a client has waited long enough."""
    deadline = time.monotonic() + ANSWER_WITHIN_S
    pause_s, longest_s = _POLLS_S
    current = started
    # The server ends when its requests have: an app that is told to stop must not wait for this.
    while current.is_running and time.monotonic() < deadline and not server_is_ending():
        await anyio.sleep(pause_s)
        pause_s = min(1.5 * pause_s, longest_s)
        current = await anyio.to_thread.run_sync(space.documents.get_import, started.id)
    return current


def _report(space: Workspace, done: ImportRow) -> dict[str, Any]:
    outcomes = space.documents.imported_files(done.id, limit=_OUTCOMES)
    space.documents.acknowledge_import(done.id)
    stored = {file.document_id for file in outcomes if file.state in ("added", "replaced")}
    return {
        "import_id": done.id,
        "documents": [found for found in space.documents.all() if found.id in stored],
        "errors": [
            {
                "name": outcome.name,
                "code": DocumentRejected.code,
                "detail": outcome.message,
                "next_step": outcome.next_step or "Nothing to do: its text is found already.",
            }
            for outcome in outcomes
            if outcome.state in ("refused", "same")
        ],
    }


@router.post(
    "/begin-anew", response_model=Done, responses=error_responses(400, 401, 404, 413, 422, 503)
)
def begin_anew(space: Space) -> Done:
    """Make a knowledge base that is damaged or lost an empty one; refused while it can be read."""
    space.documents.begin_anew()
    return Done(message="The knowledge base is empty: add its documents again")


@router.post(
    "/remove", response_model=Done, responses=error_responses(400, 401, 404, 413, 422, 503)
)
async def remove_several(body: RemoveRequest, space: Space) -> Done:
    """Remove documents with their chunks, all in one change. Those that are gone do no harm."""
    return await _removed(space, *map(str, body.document_ids))


@router.get("", response_model=Documents, responses=error_responses(401, 404, 422, 503))
def documents(
    space: Space,
    text: Annotated[str, Query(max_length=500, pattern=NO_NUL)] = "",
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
    offset: Offset = 0,
) -> dict[str, Any]:
    """Documents, oldest first; or those with `text` in their name or content, the best first."""
    found = [item.document for item in space.documents.find(text)]
    return {"documents": found[offset : offset + limit], "total": len(found)}


@router.get(
    "/{document_id}", response_model=StoredDocument, responses=error_responses(401, 404, 422, 503)
)
def document(document_id: str, space: Space) -> Document:
    return space.documents.get(document_id)


@router.get(
    "/{document_id}/chunks",
    response_model=DocumentChunks,
    responses=error_responses(401, 404, 422, 503),
)
def chunks(
    document_id: str,
    space: Space,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
    offset: Offset = 0,
) -> dict[str, Any]:
    """The chunks of a document in order: its text, as it was extracted."""
    found: list[Chunk] = space.documents.chunks_of(document_id)
    return {"chunks": found[offset : offset + limit], "total": len(found)}


@router.delete(
    "/{document_id}",
    response_model=Done,
    responses=error_responses(400, 401, 404, 413, 422, 503),
)
async def remove(document_id: str, space: Space) -> Done:
    """Remove a document with its chunks."""
    return await _removed(space, document_id)


async def _removed(space: Workspace, *document_ids: str) -> Done:
    gone = await anyio.to_thread.run_sync(space.documents.remove, *document_ids, limiter=_removals)
    chunks = sum(found.chunk_count for found in gone)
    what = "1 chunk" if chunks == 1 else f"{chunks} chunks"
    if len(gone) == 1:
        return Done(message=f"{gone[0].name} and its {what} removed")
    return Done(message=f"{len(gone)} documents and their {what} removed")
