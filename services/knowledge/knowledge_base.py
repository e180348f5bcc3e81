"""What a person does with documents: add files, see what is stored, remove."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import PurePath
from uuid import NAMESPACE_URL, uuid5

import numpy as np

from services.errors import AppError, DocumentRejected, NotFound
from services.knowledge.sample import sample_documents
from services.models import Chunk, Document
from services.retrieval.chunking import split_into_chunks
from services.retrieval.content import EmbeddedDocument
from services.retrieval.embeddings import Embedder
from services.retrieval.vector_store import VectorStore

log = logging.getLogger(__name__)

# Each write takes time in proportion to everything in the store, but after a failure a long import
# keeps only what was written.
CHUNKS_PER_WRITE = 5_000
CHUNKS_PER_EMBEDDING = 256
_NAMESPACE = uuid5(NAMESPACE_URL, "deep-memory-studio/document")

File = tuple[str, bytes]  # name, content


@dataclass(frozen=True, slots=True)
class IngestProgress:
    """How far an import is: all files are read first, then their chunks are embedded and stored."""

    files_read: int
    files_total: int
    chunks_done: int = 0
    chunks_total: int = 0  # 0 while files are still being read


@dataclass(slots=True)
class IngestReport:
    """What became of each file."""

    added: list[Document] = field(default_factory=list)
    rejected: list[tuple[str, AppError]] = field(default_factory=list)


OnProgress = Callable[[IngestProgress], None]


@dataclass(frozen=True, slots=True)
class _ReadFile:
    name: str  # as it was given
    document: Document
    chunks: list[Chunk]


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

    def remove(self, document_id: str) -> Document:
        """Remove a document with its chunks, and return it.

        Raises:
            NotFound: it was already removed.
        """
        document = next((item for item in self.documents() if item.id == document_id), None)
        if document is None or not self._store.remove(document_id):
            raise NotFound("This document is no longer in the knowledge base.")
        return document

    def begin_anew(self) -> None:
        """Replace a damaged or lost knowledge base by an empty one.

        Raises:
            NotAllowed: it can be read.
        """
        self._store.begin_anew()

    def add_files(
        self, files: Sequence[File], on_progress: OnProgress | None = None
    ) -> IngestReport:
        """Add the files that can be added, and say for each other one why not.

        A file with the text of a stored document is refused. One with the same name but another
        text is stored next to it as "name (2).txt": nothing is replaced that the person did not
        remove.

        A failing embedder or store stops the rest: those files are in `rejected` with that error,
        and the documents in `added` are stored.
        """
        report = IngestReport()
        progress = _Progress(len(files), on_progress)
        read = self._read_all(files, report, progress)
        progress.reading_is_done(sum(len(item.chunks) for item in read))
        failure: AppError | None = None
        for group in _groups(read):
            try:
                if failure is None:
                    added = self._embed_and_store(group, progress)
                    report.added += added
                    stored = {document.id for document in added}
                    report.rejected += [  # their text was added elsewhere meanwhile
                        (item.name, _known(item.name, item.document))
                        for item in group
                        if item.document.id not in stored
                    ]
            except AppError as error:
                failure = error
            if failure is not None:
                report.rejected += [(item.name, failure) for item in group]
        log.info("files_added added=%d rejected=%d", len(report.added), len(report.rejected))
        return report

    def load_sample(self, on_progress: OnProgress | None = None) -> IngestReport:
        """Add the sample documents that are not stored yet."""
        return self.add_files(missing_of_sample(self.documents()), on_progress)

    def _read_all(
        self, files: Sequence[File], report: IngestReport, progress: _Progress
    ) -> list[_ReadFile]:
        by_hash = {document.content_hash: document for document in self.documents()}
        names = {document.name for document in by_hash.values()}
        read = []
        for name, content in files:
            try:
                item = _read(name, content, by_hash, names)
            except DocumentRejected as error:
                report.rejected.append((name, error))
            else:
                by_hash[item.document.content_hash] = item.document
                names.add(item.document.name)
                read.append(item)
            progress.file_was_read()
        return read

    def _embed_and_store(self, group: Sequence[_ReadFile], progress: _Progress) -> list[Document]:
        texts = [chunk.text for item in group for chunk in item.chunks]
        parts = []
        for start in range(0, len(texts), CHUNKS_PER_EMBEDDING):
            parts.append(self._embedder.embed(texts[start : start + CHUNKS_PER_EMBEDDING]))
            progress.chunks_were_embedded(len(parts[-1]))
        ends = np.cumsum([len(item.chunks) for item in group])
        vectors = np.split(np.concatenate(parts), ends[:-1])
        return self._store.add(
            [
                EmbeddedDocument(item.document, item.chunks, rows)
                for item, rows in zip(group, vectors, strict=True)
            ]
        )


def missing_of_sample(documents: Sequence[Document]) -> list[File]:
    """The sample files whose text is in none of `documents`."""
    stored = {document.content_hash for document in documents}
    return [file for content_hash, file in _hashed_sample() if content_hash not in stored]


@cache
def _hashed_sample() -> list[tuple[str, File]]:
    return [(_content_hash(_text_of(*file)), file) for file in sample_documents()]


class _Progress:
    """Counts, and tells the caller after each step."""

    def __init__(self, files_total: int, on_progress: OnProgress | None) -> None:
        self._files_total = files_total
        self._files_read = self._chunks_done = self._chunks_total = 0
        self._on_progress = on_progress

    def file_was_read(self) -> None:
        self._files_read += 1
        self._tell()

    def reading_is_done(self, chunks_total: int) -> None:
        self._chunks_total = chunks_total

    def chunks_were_embedded(self, count: int) -> None:
        self._chunks_done += count
        self._tell()

    def _tell(self) -> None:
        if self._on_progress is not None:
            self._on_progress(
                IngestProgress(
                    self._files_read, self._files_total, self._chunks_done, self._chunks_total
                )
            )


def _read(name: str, content: bytes, by_hash: dict[str, Document], names: set[str]) -> _ReadFile:
    text = _text_of(name, content)
    content_hash = _content_hash(text)
    if same := by_hash.get(content_hash):
        raise _known(name, same)
    # From the text, so that a document that is removed and added again keeps its chunk ids.
    document_id = str(uuid5(_NAMESPACE, content_hash))
    document_name = _free_name(name, names)
    chunks = split_into_chunks(text, document_id, document_name)
    document = Document(
        id=document_id,
        name=document_name,
        chunk_count=len(chunks),
        characters=len(text),
        content_hash=content_hash,
        added_at=datetime.now(UTC),
    )
    return _ReadFile(name, document, chunks)


def _known(name: str, same: Document) -> DocumentRejected:
    return DocumentRejected(
        f"{name} has the same text as {same.name}, which is already in the knowledge base.",
        next_step="Nothing to do: its text is found already.",
    )


def _content_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _free_name(name: str, taken: set[str]) -> str:
    """Return `name`, or "name (2).txt" and so on when it is taken."""
    path, free, number = PurePath(name), name, 1
    while free in taken:
        number += 1
        free = f"{path.stem} ({number}){path.suffix}"
    return free


def _groups(read: Sequence[_ReadFile]) -> Iterator[list[_ReadFile]]:
    """Cut the files into groups of about `CHUNKS_PER_WRITE` chunks, in order."""
    group: list[_ReadFile] = []
    for item in read:
        group.append(item)
        if sum(len(member.chunks) for member in group) >= CHUNKS_PER_WRITE:
            yield group
            group = []
    if group:
        yield group


def _text_of(name: str, content: bytes) -> str:
    # Imported here, because the parsers take 0.3 s to import, which would slow down the start.
    from services.knowledge.extraction import extract_text

    return extract_text(name, content)
