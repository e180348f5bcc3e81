"""Routes of imports: how far they are, what became of each file, stop and go on."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel

from services.errors import NotFound
from services.http.bearer import Space
from services.http.error_responses import error_responses
from services.http.shapes import Done, Offset
from services.knowledge.import_rows import FileState, Import, ImportStatus

router = APIRouter(prefix="/imports", tags=["Documents"])


def _own_import(import_id: UUID, space: Space) -> Import:
    return space.documents.get_import(str(import_id))


# The import that the path names, as `OwnRun` for runs: a move of somebody else's, or of none, would
# say only that its status forbids it.
OwnImport = Annotated[Import, Depends(_own_import)]


class CountedFiles(BaseModel):
    """Files by what became of them; `waiting` ones are not settled yet."""

    waiting: int = 0
    added: int = 0
    replaced: int = 0
    same: int = 0
    refused: int = 0
    dropped: int = 0


class ImportOfFiles(BaseModel):
    """`share` of the work is done, from 0 to 1; `file` is being read; of the chunks in hand,
    `chunks_done` of `chunks_total` are embedded. `seconds_left` is an estimate, null while
    nothing is being added. `message` says why it was stopped or interrupted: `/go-on` then adds
    the rest. `replace` is what was asked for when it began."""

    id: UUID
    status: ImportStatus
    replace: bool
    files: CountedFiles
    files_total: int
    chunk_count: int
    share: float
    file: str
    chunks_done: int
    chunks_total: int
    seconds_left: float | None
    message: str | None
    created_at: datetime
    finished_at: datetime | None


class FileOutcome(BaseModel):
    """What became of one document. `notes` say what was left out; `message` and `next_step` why it
    was not added, that it has another name now, or what went with the text that it replaced."""

    name: str
    state: FileState
    document_id: UUID | None
    chunk_count: int
    notes: list[str]
    message: str | None
    next_step: str | None


class FileOutcomes(BaseModel):
    files: list[FileOutcome]
    total: int


@router.get("/current", response_model=ImportOfFiles, responses=error_responses(401, 404, 422, 503))
def current(space: Space) -> dict[str, Any]:
    """The import that is not finished, or whose report was not acknowledged yet."""
    found = space.documents.current_import
    if found is None:
        raise NotFound("No import runs, and the report of none waits to be read.")
    return told(found)


@router.get(
    "/{import_id}", response_model=ImportOfFiles, responses=error_responses(401, 404, 422, 503)
)
def get(found: OwnImport) -> dict[str, Any]:
    return told(found)


@router.get(
    "/{import_id}/files", response_model=FileOutcomes, responses=error_responses(401, 404, 422, 503)
)
def files(
    found: OwnImport,
    space: Space,
    state: FileState | None = None,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
    offset: Offset = 0,
) -> dict[str, Any]:
    """What became of each file, in the order in which they were given; those in a zip by name."""
    total = found.counts.get(state, 0) if state else found.files_total
    states = [state] if state else []
    return {
        "files": space.documents.imported_files(
            found.id, states=states, limit=limit, offset=offset
        ),
        "total": total,
    }


@router.post(
    "/{import_id}/stop",
    response_model=Done,
    responses=error_responses(400, 401, 404, 413, 422, 503),
)
def stop(found: OwnImport, space: Space) -> Done:
    """Stop it: what is stored stays."""
    space.documents.stop_import(found.id)
    return Done(message="Stopped. What was stored stays; go on adds the rest.")


@router.post(
    "/{import_id}/go-on",
    status_code=202,
    response_model=ImportOfFiles,
    responses=error_responses(400, 401, 404, 413, 422, 503),
)
def go_on(found: OwnImport, space: Space) -> dict[str, Any]:
    """Add the rest of an import that was stopped or interrupted."""
    return told(space.documents.go_on_with_import(found.id))


@router.post(
    "/{import_id}/give-up",
    response_model=Done,
    responses=error_responses(400, 401, 404, 413, 422, 503),
)
def give_up(found: OwnImport, space: Space) -> Done:
    """Leave the rest of an import that was stopped or interrupted; what is stored stays."""
    space.documents.give_up_import(found.id)
    return Done(message="The files that were not added yet are dropped")


@router.post(
    "/{import_id}/acknowledge",
    response_model=Done,
    responses=error_responses(400, 401, 404, 413, 422, 503),
)
def acknowledge(found: OwnImport, space: Space) -> Done:
    """Say that the report was read, so that no screen shows it any more."""
    space.documents.acknowledge_import(found.id)
    return Done(message="The report was read")


def told(found: Import) -> dict[str, Any]:
    """What `ImportOfFiles` is made of."""
    return {
        "id": found.id,
        "status": found.status,
        "replace": found.replace,
        "files": found.counts,
        "files_total": found.files_total,
        "chunk_count": found.chunk_count,
        "share": found.progress.share if found.is_unfinished else 1.0,
        "file": found.progress.file if found.is_running else "",
        "chunks_done": found.progress.chunks_done if found.is_running else 0,
        "chunks_total": found.progress.chunks_total if found.is_running else 0,
        "seconds_left": found.progress.seconds_left if found.is_running else None,
        "message": found.message,
        "created_at": found.created_at,
        "finished_at": found.finished_at,
    }
