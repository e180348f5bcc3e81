"""A person's documents; one import at a time may add to them."""

from __future__ import annotations

from collections.abc import Sequence

from services.errors import NotFound
from services.knowledge.ingestion import Ingestion
from services.knowledge.knowledge_base import File, IngestReport, KnowledgeBase
from services.models import Chunk, Document
from services.person import Person


class Documents:
    """The knowledge base of one person."""

    def __init__(self, person: Person) -> None:
        self._owner = person.identity.user_id
        self._store = person.store
        self._backend = person.backend
        self._knowledge = KnowledgeBase(person.store, person.studio.places.embedder)
        self._ingestions = person.studio.ingestions

    def all(self) -> list[Document]:
        """The documents, oldest first."""
        return self._knowledge.documents()

    def chunk_count(self) -> int:
        return self._knowledge.chunk_count()

    def chunks(self) -> dict[str, Chunk]:
        """All chunks by id, in order."""
        return {chunk.id: chunk for chunk in self._store.snapshot().chunks}

    def chunk(self, chunk_id: str) -> Chunk:
        """Raises NotFound, also for a chunk whose document was removed."""
        chunk = self.chunks().get(chunk_id)
        if chunk is None:
            raise NotFound("This chunk is not in the knowledge base.")
        return chunk

    def version(self) -> str:
        """The version of the knowledge base; it differs after each change."""
        return self._store.snapshot().version

    def remove(self, document_id: str) -> Document:
        """Remove a document with its chunks, and return it.

        Raises:
            NotFound: it was already removed.
        """
        return self._knowledge.remove(document_id)

    def begin_anew(self) -> None:
        """Replace a damaged or lost knowledge base by an empty one.

        Raises:
            NotAllowed: it can be read.
        """
        self._knowledge.begin_anew()

    def belong_on_cloud(self, chunk_count: int) -> bool:
        """Whether so many chunks are more than this machine is meant to search and train on."""
        return not self._backend.is_for(chunk_count)

    @property
    def current_import(self) -> Ingestion | None:
        """The import that is running, or is done but not acknowledged yet."""
        return self._ingestions.of(self._owner)

    def start_import(self, files: Sequence[File]) -> None:
        """Begin to add files, in a separate thread.

        Raises:
            NotAllowed: an import of this person is running.
        """
        self._ingestions.start(self._owner, lambda told: self._knowledge.add_files(files, told))

    def load_sample(self) -> None:
        """Begin to add the sample documents that are not stored yet. Raises like `start_import`."""
        self._ingestions.start(self._owner, self._knowledge.load_sample)

    def acknowledge_import(self) -> None:
        """After its report was read. Raises NotAllowed while it runs."""
        self._ingestions.forget(self._owner)

    def add(self, files: Sequence[File]) -> IngestReport:
        """Add files, and return when that is done.

        Raises:
            NotAllowed: an import of this person is running.
        """
        return self._ingestions.run(
            self._owner, lambda told: self._knowledge.add_files(files, told)
        )
