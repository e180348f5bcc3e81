"""What a store holds, as plain values: documents, chunks and their vectors. No I/O."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any
from uuid import uuid4

import numpy as np

from services.models import Chunk, Document, Replaced

EMPTY = "empty"  # the version of a store without documents
ABSENT = "absent"  # the version of a store that is not there: never written, or lost


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A store at one moment. Row i of `embeddings` (float32, normalised) is `chunks[i]`."""

    chunks: tuple[Chunk, ...]
    embeddings: np.ndarray
    version: str  # differs whenever the store differs


@dataclass(frozen=True, eq=False)
class EmbeddedDocument:
    """A document ready to be stored. Row i of `embeddings` is `chunks[i]`.

    It takes the place of the stored document with its id if that has the content hash `replaces`.
    """

    document: Document
    chunks: Sequence[Chunk]
    embeddings: np.ndarray
    replaces: str | None = None


@dataclass(frozen=True, eq=False)
class Content:
    """Everything in a store. The rows of one document are together, in order of position."""

    documents: tuple[Document, ...]
    chunks: tuple[Chunk, ...]
    embeddings: np.ndarray
    embedder: tuple[str, int]
    version: str

    @classmethod
    def empty(cls, embedder: tuple[str, int], version: str = EMPTY) -> Content:
        return cls((), (), np.zeros((0, embedder[1]), dtype=np.float32), embedder, version)

    def with_added(self, new: Sequence[EmbeddedDocument], embedder: tuple[str, int]) -> Content:
        rows = [np.asarray(entry.embeddings, dtype=np.float32) for entry in new]
        for entry, vectors in zip(new, rows, strict=True):
            if vectors.shape != (len(entry.chunks), embedder[1]):
                raise ValueError("each chunk needs one vector of the embedder's width")
        return Content(
            documents=self.documents + tuple(entry.document for entry in new),
            chunks=self.chunks + tuple(chunk for entry in new for chunk in entry.chunks),
            embeddings=np.concatenate([self.embeddings, *rows] if self.chunks else rows),
            embedder=embedder,
            version=_new_version(),
        )

    def without(self, document_ids: Collection[str]) -> Content:
        gone = set(document_ids)
        keep = np.array([chunk.document_id not in gone for chunk in self.chunks], dtype=bool)
        chunks = tuple(chunk for chunk in self.chunks if chunk.document_id not in gone)
        return Content(
            documents=tuple(item for item in self.documents if item.id not in gone),
            chunks=chunks,
            embeddings=self.embeddings[keep],
            embedder=self.embedder,
            version=_new_version() if chunks else EMPTY,
        )


def metadata_of(chunk: Chunk, document: Document) -> dict[str, Any]:
    return {
        "document_id": document.id,
        "document": document.name,
        "position": chunk.position,
        "heading_path": list(chunk.heading_path),
        "page": chunk.page,
        "content_hash": document.content_hash,
        "characters": document.characters,
        "added_at": document.added_at.isoformat(),
        # With the first chunk alone, because a document may have thousands.
        **(_once_a_document(document) if not chunk.position else {}),
    }


def chunk_of(chunk_id: str, text: str, metadata: dict[str, Any]) -> Chunk:
    """The chunk that a row describes. Rows of earlier versions of the app name no headings."""
    return Chunk(
        id=chunk_id,
        document_id=metadata["document_id"],
        document=metadata["document"],
        position=metadata["position"],
        text=text,
        heading_path=tuple(metadata.get("heading_path", ())),
        page=metadata.get("page"),
    )


def documents_of(metadata: Sequence[dict[str, Any]]) -> tuple[Document, ...]:
    """Return the documents that rows of metadata describe; those of a document are together."""
    return tuple(
        Document(
            id=document_id,
            name=rows[0]["document"],
            chunk_count=len(rows),
            characters=rows[0]["characters"],
            content_hash=rows[0]["content_hash"],
            added_at=datetime.fromisoformat(rows[0]["added_at"]),
            notes=tuple(rows[0].get("notes", ())),
            replaced=_replaced_of(rows[0]),
        )
        for document_id, group in groupby(metadata, key=lambda about: about["document_id"])
        if (rows := list(group))
    )


def _once_a_document(document: Document) -> dict[str, Any]:
    about: dict[str, Any] = {}
    if document.notes:
        about["notes"] = list(document.notes)
    if gone := document.replaced:
        about["replaced"] = [gone.at.isoformat(), gone.chunk_count, gone.pair_count]
    return about


def _replaced_of(about: dict[str, Any]) -> Replaced | None:
    if "replaced" not in about:
        return None
    at, chunk_count, pair_count = about["replaced"]
    return Replaced(datetime.fromisoformat(at), chunk_count, pair_count)


def _new_version() -> str:
    return f"v-{time.time_ns()}-{uuid4().hex[:8]}"
