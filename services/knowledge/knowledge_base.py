"""One person's documents: what makes a stored document of what was read, and removes it again."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import PurePath
from uuid import NAMESPACE_URL, uuid5

import numpy as np

from services.errors import NotFound
from services.knowledge.kept_files import File
from services.knowledge.sample import sample_documents
from services.models import Chunk, Document, Replaced
from services.reading.blocks import Reading
from services.retrieval.chunking import split_into_chunks
from services.retrieval.content import EmbeddedDocument
from services.retrieval.embeddings import Embedder
from services.retrieval.vector_store import VectorStore

log = logging.getLogger(__name__)

CHUNKS_PER_EMBEDDING = 256
# Said before documents are removed or replaced, and after.
WHAT_BECOMES_OF_PAIRS = (
    "Training will not use their pairs any more. A run whose generation you proceed with drops "
    "them; others keep them, with the first lines of each chunk, until you remove the run."
)
_NAMESPACE = uuid5(NAMESPACE_URL, "deep-memory-studio/document")


@dataclass(frozen=True, slots=True)
class ChunkedDocument:
    """A document that is ready to be embedded and stored: see `EmbeddedDocument`."""

    document: Document
    chunks: list[Chunk]
    replaces: str | None = None


class KnowledgeBase:
    """One user's documents."""

    def __init__(self, store: VectorStore, embedder: Embedder) -> None:
        self._store = store
        self._embedder = embedder

    def documents(self) -> list[Document]:
        """Return the documents, oldest first."""
        return self._store.documents()

    def chunk_count(self) -> int:
        return self._store.count()

    def chunks(self) -> Sequence[Chunk]:
        return self._store.snapshot().chunks

    def remove(self, document_ids: Sequence[str]) -> list[Document]:
        """Remove documents with their chunks, in one change of the store, and return them.

        Raises:
            NotFound: all of them were already removed.
        """
        wanted = set(document_ids)
        found = [document for document in self.documents() if document.id in wanted]
        if not found or not self._store.remove({document.id for document in found}):
            raise NotFound("This document is no longer in the knowledge base.")
        return found

    def begin_anew(self) -> None:
        """Replace a damaged or lost knowledge base by an empty one.

        Raises:
            NotAllowed: it can be read.
        """
        self._store.begin_anew()

    def store(
        self, documents: Sequence[ChunkedDocument], on_embedded: Callable[[int], None]
    ) -> set[str]:
        """Embed and store documents in one change; return the ids of those that were new.

        `on_embedded` is told how many more chunks are embedded, and may raise to end this before
        anything is stored.

        Raises:
            AppError: the embedder or the store failed, and nothing was stored.
        """
        texts = [chunk.in_context for item in documents for chunk in item.chunks]
        vectors = []
        for start in range(0, len(texts), CHUNKS_PER_EMBEDDING):
            vectors.append(self._embedder.embed(texts[start : start + CHUNKS_PER_EMBEDDING]))
            on_embedded(len(vectors[-1]))
        ends = np.cumsum([len(item.chunks) for item in documents])
        rows = np.split(np.concatenate(vectors), ends[:-1])
        added = self._store.add(
            [
                EmbeddedDocument(item.document, item.chunks, own, item.replaces)
                for item, own in zip(documents, rows, strict=True)
            ]
        )
        log.info("documents_stored added=%d of=%d", len(added), len(documents))
        return {document.id for document in added}


class KnownDocuments:
    """The documents that are stored, or will be in a moment: by their text and by their names."""

    def __init__(self, documents: Sequence[Document]) -> None:
        self._by_hash = {document.content_hash: document for document in documents}
        self._by_name = {document.name: document for document in documents}
        self._ids = {document.id for document in documents}
        self._numbers: dict[str, int] = {}  # the last number that was given to a name

    def same_as(self, reading: Reading) -> Document | None:
        """The document that has the text of `reading`."""
        return self._by_hash.get(_content_hash(reading))

    def named(self, name: str) -> Document | None:
        """The document of exactly this name."""
        return self._by_name.get(name)

    def forget(self, document: Document) -> None:
        """It was removed meanwhile."""
        self._by_hash.pop(document.content_hash, None)
        self._by_name.pop(document.name, None)
        self._ids.discard(document.id)
        self._numbers.clear()

    def admit(self, reading: Reading) -> ChunkedDocument:
        """Make a document of `reading`, under a name that is free: "name (2).txt" if need be."""
        content_hash = _content_hash(reading)
        document_id, name = self._free_id(content_hash), self._free_name(reading.name)
        return self._admitted(reading, content_hash, document_id, name)

    def admit_in_place_of(
        self, earlier: Document, reading: Reading, pair_count: int
    ) -> ChunkedDocument:
        """Make a document of `reading` that replaces `earlier`; so many pairs are about that.

        It keeps the id, so links to it go on working, and its place in the list.
        """
        self.forget(earlier)
        replaced = Replaced(datetime.now(UTC), earlier.chunk_count, pair_count)
        admitted = self._admitted(
            reading, _content_hash(reading), earlier.id, earlier.name, earlier.added_at, replaced
        )
        return replace(admitted, replaces=earlier.content_hash)

    def _admitted(
        self,
        reading: Reading,
        content_hash: str,
        document_id: str,
        name: str,
        added_at: datetime | None = None,
        replaced: Replaced | None = None,
    ) -> ChunkedDocument:
        # The ids of chunks are from the text alone: the questions about an earlier text are not
        # taken for questions about its successor, and fit again when the text comes back.
        chunks = split_into_chunks(reading.blocks, _id_of(content_hash), name)
        document = Document(
            id=document_id,
            name=name,
            chunk_count=len(chunks),
            characters=sum(len(block.text) for block in reading.blocks),
            content_hash=content_hash,
            added_at=added_at or datetime.now(UTC),
            notes=reading.notes,
            replaced=replaced,
        )
        self._by_hash[content_hash] = document
        self._by_name[name] = document
        self._ids.add(document_id)
        own = [replace(chunk, document_id=document_id) for chunk in chunks]
        return ChunkedDocument(document, own)

    def _free_id(self, content_hash: str) -> str:
        """An id from the text; another if that is taken by a document that had this text once."""
        document_id = _id_of(content_hash)
        while document_id in self._ids:
            document_id = _id_of(document_id)
        return document_id

    def _free_name(self, name: str) -> str:
        """Return `name`, or "name (2).txt" and so on when it is taken."""
        # By hand: `with_name` tidies slashes away, and refuses "/".
        suffix = PurePath(name).suffix
        stem = name.removesuffix(suffix)
        free, number = name, self._numbers.get(name, 1)
        while free in self._by_name:
            number += 1
            free = f"{stem} ({number}){suffix}"
        self._numbers[name] = number  # so that 3,000 of one name are not counted anew for each
        return free


def stored_under(files: Iterable[str], documents: Sequence[Document]) -> list[str]:
    """Those of `files` of which there is a document by this name; of a zip or mail, or part of it.

    The documents in a zip are named for its folders, so another zip may be meant.
    """
    names = {document.name for document in documents}
    folders = {name.partition("/")[0] for name in names if "/" in name}

    def is_stored(file: str) -> bool:
        kind = PurePath(file).suffix
        if kind.lower() == ".zip":
            return file.removesuffix(kind) in folders
        if kind.lower() == ".eml":  # the mail itself, and what was attached to it
            return not names.isdisjoint((f"{file}.txt", f"{file}.html")) or file in folders
        return file in names

    return [file for file in files if is_stored(file)]


def missing_of_sample(documents: Sequence[Document]) -> list[File]:
    """The sample files that are not among `documents`."""
    stored = {document.name for document in documents}
    return [file for file in _sample() if file[0] not in stored]


@cache
def _sample() -> list[File]:
    return sample_documents()


def _id_of(content: str) -> str:
    return str(uuid5(_NAMESPACE, content))


def _content_hash(reading: Reading) -> str:
    text = "\n\n".join(f"{'#' * block.level} {block.text}" for block in reading.blocks)
    return hashlib.sha256(text.encode()).hexdigest()
