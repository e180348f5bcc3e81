"""Routes of the knowledge base as a whole: its size, chunks and sample."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel

from services.http.bearer import Space
from services.http.error_responses import error_responses
from services.http.pairs import Pair
from services.http.shapes import Done
from services.models import Chunk, TrainingPair

router = APIRouter(prefix="/knowledge-base", tags=["Documents"])


class Size(BaseModel):
    """`version` is another one after each change of the knowledge base."""

    chunks: int
    belong_on_cloud: bool
    version: str


class PairsOfChunk(BaseModel):
    """The questions about a chunk, in all runs, the newest run first."""

    pairs: list[Pair]


class StoredChunk(BaseModel):
    """One passage of a document; `position` starts at 0."""

    id: str
    document_id: str
    document: str
    position: int
    text: str
    heading_path: list[str]
    page: int | None


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
    """Begin to add the sample documents that are not stored yet: follow `/imports/current`.

    Refused while another import of this person is not finished.
    """
    started = space.documents.load_sample()
    return Done(message="The sample documents are being added" if started else "All are there")


@router.get(
    "/chunks/{chunk_id}", response_model=StoredChunk, responses=error_responses(401, 404, 422, 503)
)
def chunk(chunk_id: str, space: Space) -> Chunk:
    """The whole text of a chunk that a pair, a hit or a problem names."""
    return space.documents.chunk(chunk_id)


@router.get(
    "/chunks/{chunk_id}/pairs",
    response_model=PairsOfChunk,
    responses=error_responses(401, 404, 422, 503),
)
def pairs_of_chunk(chunk_id: str, space: Space) -> dict[str, list[TrainingPair]]:
    """What was asked about a chunk."""
    chunk = space.documents.chunk(chunk_id)
    return {"pairs": space.pairs.about([chunk.id]).get(chunk.id, [])}
