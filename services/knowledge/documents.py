"""A person's documents: imports that add to them, what is stored, what is removed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import uuid4

from services.accounts.database import storable
from services.disk import require_room
from services.errors import AppError, DatabaseUnavailable, NotAllowed, NotFound
from services.knowledge.import_rows import FileState, Import, ImportedFile, ImportRows
from services.knowledge.kept_files import File
from services.knowledge.knowledge_base import KnowledgeBase, missing_of_sample
from services.models import Chunk, Document
from services.person import Person

_POLL_S = 0.1
_SHORTEST_QUERY = 2


@dataclass(frozen=True, slots=True)
class Found:
    """A document, and in how many of its chunks a text occurs; 0 if in its name alone."""

    document: Document
    chunks: int = 0


class Documents:
    """The knowledge base of one person."""

    def __init__(self, person: Person) -> None:
        self._data_dir = person.studio.settings.data_dir
        self._store = person.store
        self._backend = person.backend
        self._knowledge = KnowledgeBase(person.store, person.studio.places.embedder)
        self._imports = ImportRows(person.database)
        self._importer = person.studio.importer
        self._kept = person.studio.kept_files

    # Reading

    def all(self) -> list[Document]:
        """The documents, oldest first."""
        return self._knowledge.documents()

    def get(self, document_id: str) -> Document:
        """Raises NotFound, also for a document that was removed."""
        for document in self.all():
            if document.id == document_id:
                return document
        raise NotFound("This document is not in the knowledge base.")

    def find(self, text: str) -> list[Found]:
        """The documents with `text` in their name or content, in any case of letters.

        Those with it in their name come first, then those with it in most chunks; without a text,
        all of them, oldest first.
        """
        wanted = text.strip().casefold()
        documents = self.all()
        if not wanted:
            return [Found(document) for document in documents]
        counts: dict[str, int] = {}
        if len(wanted) >= _SHORTEST_QUERY:
            for chunk in self._store.snapshot().chunks:
                if wanted in chunk.text.casefold():
                    counts[chunk.document_id] = counts.get(chunk.document_id, 0) + 1
        found = [
            Found(document, counts.get(document.id, 0))
            for document in documents
            if document.id in counts or wanted in document.name.casefold()
        ]
        return sorted(
            found, key=lambda item: (wanted not in item.document.name.casefold(), -item.chunks)
        )

    def chunk_count(self) -> int:
        return self._knowledge.chunk_count()

    def chunks(self) -> dict[str, Chunk]:
        """All chunks by id, in order."""
        return {chunk.id: chunk for chunk in self._store.snapshot().chunks}

    def chunks_of(self, document_id: str) -> list[Chunk]:
        """The chunks of a document, in order. Raises NotFound if it is not there."""
        found = [c for c in self._store.snapshot().chunks if c.document_id == document_id]
        if not found:
            raise NotFound("This document is not in the knowledge base.")
        return found

    def chunk(self, chunk_id: str) -> Chunk:
        """Raises NotFound, also for a chunk whose document was removed."""
        chunk = self.chunks().get(chunk_id)
        if chunk is None:
            raise NotFound("This chunk is not in the knowledge base.")
        return chunk

    def version(self) -> str:
        """The version of the knowledge base; it differs after each change."""
        return self._store.snapshot().version

    def belong_on_cloud(self, chunk_count: int) -> bool:
        """Whether so many chunks are more than this machine is meant to search and train on."""
        return not self._backend.is_for(chunk_count)

    # Removing

    def remove(self, *document_ids: str) -> list[Document]:
        """Remove documents with their chunks, all in one change, and return them.

        Raises:
            NotFound: all of them were already removed.
        """
        return self._knowledge.remove(document_ids)

    def begin_anew(self) -> None:
        """Replace a damaged or lost knowledge base by an empty one.

        Raises:
            NotAllowed: it can be read.
        """
        self._knowledge.begin_anew()

    # Adding

    def start_import(self, files: Sequence[File], *, replace: bool = False) -> Import:
        """Keep the files on disk, and begin to add them in a thread of its own.

        A file with the text of a stored document is not added again. One with the same name but
        another text is stored beside it as "name (2).txt"; with `replace`, its text takes the place
        of the earlier one, unless the document is of this same import. Each file that cannot be
        added is named with the reason; the others are not affected, nor is what it would replace.

        Raises:
            NotAllowed: no file was given, or another import of this person is not finished.
            DiskFull, StoreUnavailable: there is no room to keep the files.
        """
        if not files:
            raise NotAllowed("No file was given.", next_step="Choose at least one file.")
        require_room(self._data_dir, sum(len(content) for _, content in files))
        import_id = str(uuid4())
        self._kept.keep(import_id, files)
        sizes = [(storable(name) or "unnamed", len(content)) for name, content in files]
        try:
            started = self._imports.start(import_id, sizes, replace=replace)
        except DatabaseUnavailable:
            raise  # it may have begun all the same; else the files are swept
        except AppError:
            self._kept.forget(import_id)
            raise
        self._importer.launch(started)
        return started

    def add(
        self, files: Sequence[File], within_s: float = 600.0, *, replace: bool = False
    ) -> Import:
        """Begin to add files, and wait until that is done, but no longer than `within_s`.

        Raises like `start_import`.
        """
        return self.wait_for_import(self.start_import(files, replace=replace).id, within_s)

    def wait_for_import(self, import_id: str, within_s: float) -> Import:
        """The import when it has ended, or as it is after `within_s`."""
        deadline = time.monotonic() + within_s
        while (current := self.get_import(import_id)).is_running and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        return current

    def load_sample(self) -> Import | None:
        """Begin to add the sample documents that are not stored yet; None if all of them are.

        Raises like `start_import`.
        """
        missing = missing_of_sample(self.all())
        return self.start_import(missing) if missing else None

    @property
    def current_import(self) -> Import | None:
        """The import that is not finished, or whose report was not acknowledged yet."""
        found = self._imports.current()
        return self._as_known_here(found) if found else None

    def get_import(self, import_id: str) -> Import:
        """Raises NotFound, also for an import that is someone else's."""
        return self._as_known_here(self._imports.get(import_id))

    def imported_files(
        self, import_id: str, *, states: Sequence[FileState] = (), limit: int, offset: int = 0
    ) -> list[ImportedFile]:
        """A page of an import's files in order, those in `states` if any are named."""
        return self._imports.files(import_id, states=states, limit=limit, offset=offset)

    def stop_import(self, import_id: str) -> None:
        """Stop adding: what is stored stays, and `go_on_with_import` adds the rest.

        Raises:
            NotAllowed: it is not running.
        """
        self._imports.stop(import_id)
        self._importer.stop_here(import_id)

    def go_on_with_import(self, import_id: str) -> Import:
        """Add the files of a stopped or interrupted import that are not settled yet.

        Raises:
            NotAllowed: it was neither stopped nor interrupted.
        """
        current = self._imports.go_on(import_id)
        self._importer.launch(current)
        return current

    def give_up_import(self, import_id: str) -> None:
        """Leave the files that are not settled yet; what is stored stays.

        Raises:
            NotAllowed: it was neither stopped nor interrupted.
        """
        self._imports.give_up(import_id)
        self._kept.forget(import_id)

    def acknowledge_import(self, import_id: str, *, and_older: bool = False) -> None:
        """After its report was read, with those of earlier imports if `and_older`.

        Raises:
            NotAllowed: it is unfinished.
        """
        self._imports.acknowledge(import_id, and_older=and_older)

    def _as_known_here(self, found: Import) -> Import:
        progress = self._importer.progress(found.id) if found.is_running else None
        return replace(found, progress=progress) if progress else found
