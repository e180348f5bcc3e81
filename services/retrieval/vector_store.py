"""What every store of chunks and vectors does, wherever it keeps them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from services.errors import EmbedderMismatch
from services.models import Document
from services.retrieval.content import Content, EmbeddedDocument, Snapshot


class VectorStore(ABC):
    """One user's documents, chunks and vectors. `embedder` says which vectors go in."""

    def __init__(self, embedder: tuple[str, int]) -> None:
        self._embedder = embedder
        self._cached: Content | None = None

    def add(self, documents: Sequence[EmbeddedDocument]) -> list[Document]:
        """Store all of `documents` or, on an error, none; return those that were new.

        Raises:
            EmbedderMismatch: the store holds vectors of another embedder.
            StoreUnavailable: it can not be written; it is as it was before.
        """
        with self._changing() as before:
            self._require_same_embedder(before)
            known = {document.id for document in before.documents}
            by_id = {entry.document.id: entry for entry in documents}
            new = [entry for id_, entry in by_id.items() if id_ not in known]
            if new:
                self._add(before, new)
        return [entry.document for entry in new]

    def remove(self, document_id: str) -> int:
        """Remove a document; return how many chunks went, 0 when there is no such document."""
        with self._changing() as before:
            after = before.without(document_id)
            removed = len(before.chunks) - len(after.chunks)
            if removed:
                self._replace(after)
        return removed

    def documents(self) -> list[Document]:
        """Return the documents in the order in which they were added."""
        return sorted(self._content().documents, key=lambda document: document.added_at)

    def count(self) -> int:
        """Return the number of chunks."""
        return len(self._content().chunks)

    def snapshot(self) -> Snapshot:
        """Return the current content from memory, read again only after a change.

        Raises:
            EmbedderMismatch: the store holds vectors of another embedder.
        """
        content = self._content()
        self._require_same_embedder(content)
        return Snapshot(content.chunks, content.embeddings, content.version)

    @abstractmethod
    def _content(self) -> Content:
        """The content as it is now."""

    @abstractmethod
    @contextmanager
    def _changing(self) -> Iterator[Content]:
        """Be the only one who changes the store, and get its content."""

    @abstractmethod
    def _add(self, before: Content, new: Sequence[EmbeddedDocument]) -> None:
        """Store `new` beside `before`, whole or not at all."""

    @abstractmethod
    def _replace(self, after: Content) -> None:
        """Store `after` in place of what there is, whole or not at all."""

    def _require_same_embedder(self, content: Content) -> None:
        if content.chunks and content.embedder != self._embedder:
            stored, width = content.embedder
            raise EmbedderMismatch(
                f"This knowledge base was embedded with {stored} ({width} numbers a chunk), "
                f"and {self._embedder[0]} ({self._embedder[1]}) is set now."
            )
