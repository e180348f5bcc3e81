"""Files to chunks as the app makes them, without a store: for benchmarks and tests."""

from __future__ import annotations

from services.knowledge.sample import sample_documents
from services.models import Chunk
from services.reading.blocks import Reading
from services.reading.files import read_file
from services.retrieval.chunking import split_into_chunks


def chunks_of(name: str, content: bytes) -> list[Chunk]:
    """The chunks of all documents in a file, each document under its name; none of refused ones."""
    return [
        chunk
        for outcome in read_file(name, content, lambda share: None)
        if isinstance(outcome, Reading)
        for chunk in split_into_chunks(outcome.blocks, outcome.name, outcome.name)
    ]


def sample_chunks() -> list[Chunk]:
    """The chunks of the sample knowledge base."""
    return [chunk for file in sample_documents() for chunk in chunks_of(*file)]
