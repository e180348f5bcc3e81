"""The interface of every vector store, and what all of them share."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from services.errors import EmbedderMismatch, NotAllowed, StoreDamaged
from services.models import Document
from services.retrieval.content import ABSENT, Content, EmbeddedDocument, Snapshot

log = logging.getLogger(__name__)


class VectorStore(ABC):
    """One user's documents, chunks and vectors. `embedder` says which vectors are stored.

    `witness` is a file outside the store, created when the store first holds a document. If the
    store is missing, it is lost if this file exists, and was never written if not.
    """

    def __init__(self, embedder: tuple[str, int], witness: Path | None = None) -> None:
        self._embedder = embedder
        self._witness = witness
        self._witnessed = False
        self._cached: Content | None = None

    def add(self, documents: Sequence[EmbeddedDocument]) -> list[Document]:
        """Store all of `documents` or, on an error, none; return those that were new.

        One that replaces a stored document does so in the same change: a crash leaves either. A
        document that is there already, or whose earlier text is not there any more, is left alone.

        Raises:
            EmbedderMismatch: the store holds vectors of another embedder.
            StoreUnavailable: it cannot be written, and is unchanged.
        """
        with self._changing():
            before = self._present()
            self._require_same_embedder(before)
            stored = {document.id: document.content_hash for document in before.documents}
            by_id = {entry.document.id: entry for entry in documents}
            new = [
                entry
                for id_, entry in by_id.items()
                if id_ not in stored or stored[id_] == entry.replaces
            ]
            outdated = stored.keys() & {entry.document.id for entry in new}
            if outdated:
                self._replace(before.without(outdated).with_added(new, self._embedder))
            elif new:
                self._add(before, new)
            if new:
                self._leave_witness()
        return [entry.document for entry in new]

    def remove(self, document_ids: Collection[str]) -> int:
        """Remove documents in one change; return how many chunks went with them."""
        with self._changing():
            before = self._present()
            after = before.without(document_ids)
            removed = len(before.chunks) - len(after.chunks)
            if removed:
                self._replace(after)
        return removed

    def begin_anew(self) -> None:
        """Replace a damaged or lost store by an empty one. What is left of it is deleted.

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
            StoreDamaged: it cannot be read, or is missing though it held documents.
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
        except OSError:  # what was read or stored is still good
            log.warning("witness_not_written store=%s", self._witness.name, exc_info=True)

    @abstractmethod
    def _content(self) -> Content:
        """The current content; empty, with the version ABSENT, if there is no store."""

    @abstractmethod
    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Be the only one who changes the store."""

    @abstractmethod
    def _add(self, before: Content, new: Sequence[EmbeddedDocument]) -> None:
        """Store `new` in addition to `before`, completely or not at all."""

    @abstractmethod
    def _replace(self, after: Content) -> None:
        """Store `after` in place of the current content, completely or not at all."""

    def _require_same_embedder(self, content: Content) -> None:
        if content.chunks and content.embedder != self._embedder:
            stored, width = content.embedder
            raise EmbedderMismatch(
                f"This knowledge base was embedded with {stored} ({width} numbers per chunk), "
                f"but {self._embedder[0]} ({self._embedder[1]}) is set now."
            )
