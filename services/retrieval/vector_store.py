"""What every store of chunks and vectors does, wherever it keeps them."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from services.errors import EmbedderMismatch, NotAllowed, StoreDamaged
from services.models import Document
from services.retrieval.content import ABSENT, Content, EmbeddedDocument, Snapshot

log = logging.getLogger(__name__)


class VectorStore(ABC):
    """One user's documents, chunks and vectors. `embedder` says which vectors go in.

    `witness` is a file apart from the store, there since the store first held a document. A store
    that is not there is empty without it, and lost with it.
    """

    def __init__(self, embedder: tuple[str, int], witness: Path | None = None) -> None:
        self._embedder = embedder
        self._witness = witness
        self._witnessed = False
        self._cached: Content | None = None

    def add(self, documents: Sequence[EmbeddedDocument]) -> list[Document]:
        """Store all of `documents` or, on an error, none; return those that were new.

        Raises:
            EmbedderMismatch: the store holds vectors of another embedder.
            StoreUnavailable: it cannot be written; it is as it was before.
        """
        with self._changing():
            before = self._present()
            self._require_same_embedder(before)
            known = {document.id for document in before.documents}
            by_id = {entry.document.id: entry for entry in documents}
            new = [entry for id_, entry in by_id.items() if id_ not in known]
            if new:
                self._add(before, new)
                self._leave_witness()
        return [entry.document for entry in new]

    def remove(self, document_id: str) -> int:
        """Remove a document; return how many chunks went, 0 when there is no such document."""
        with self._changing():
            before = self._present()
            after = before.without(document_id)
            removed = len(before.chunks) - len(after.chunks)
            if removed:
                self._replace(after)
        return removed

    def begin_anew(self) -> None:
        """Make a store that is damaged or lost an empty one. What is left of it is deleted.

        Raises:
            NotAllowed: it can be read.
        """
        with self._changing():
            try:
                self._present()
            except StoreDamaged:
                self._replace(Content.empty(self._embedder))
            else:
                raise NotAllowed(
                    "The knowledge base can be read, so it is not begun anew.",
                    next_step="Remove the documents that should go.",
                )

    def documents(self) -> list[Document]:
        """Return the documents in the order in which they were added."""
        return sorted(self._present().documents, key=lambda document: document.added_at)

    def count(self) -> int:
        """Return the number of chunks."""
        return len(self._present().chunks)

    def snapshot(self) -> Snapshot:
        """Return the current content from memory, read again only after a change.

        Raises:
            EmbedderMismatch: the store holds vectors of another embedder.
        """
        content = self._present()
        self._require_same_embedder(content)
        return Snapshot(content.chunks, content.embeddings, content.version)

    def _present(self) -> Content:
        """The content as it is now.

        Raises:
            StoreDamaged: it cannot be read, or is not there though it held documents.
        """
        content = self._content()
        if content.version == ABSENT and self._witness is not None and self._witness.exists():
            raise StoreDamaged(
                "The knowledge base is gone: it held documents, and nothing is left of it."
            )
        if content.chunks:
            self._leave_witness()
        return content

    def _leave_witness(self) -> None:
        if self._witness is None or self._witnessed:
            return
        try:
            self._witness.parent.mkdir(parents=True, exist_ok=True)
            self._witness.touch()
            self._witnessed = True
        except OSError:  # what was read or stored is good all the same
            log.warning("witness_not_written store=%s", self._witness.name, exc_info=True)

    @abstractmethod
    def _content(self) -> Content:
        """What can be read now; nothing, in the version ABSENT, where there is no store."""

    @abstractmethod
    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Be the only one who changes the store."""

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
