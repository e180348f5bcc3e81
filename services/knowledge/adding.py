"""The work of one import: read, cut, embed and store files, in small groups."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cached_property

from services.accounts.database import storable
from services.errors import AppError
from services.knowledge.import_lease import ImportLease
from services.knowledge.import_rows import Import, ImportedFile, Progress
from services.knowledge.kept_files import KeptFiles
from services.knowledge.knowledge_base import ChunkedDocument, KnowledgeBase, KnownDocuments
from services.knowledge.time_left import TimeLeft
from services.models import Document, Replaced
from services.reading.blocks import Reading
from services.reading.readers import Readers

# A write takes time in proportion to all that is stored, but what is not written is lost in a
# crash: so the next write comes after some multiple of the time that the last one took.
_SECONDS_PER_WRITE = 2.0
_TIMES_A_WRITE = 4.0
_CHUNKS_PER_WRITE = 5_000
_EMBEDDING = 0.8  # of the time that storing takes; the rest is the write


@dataclass(slots=True)
class _Group:
    """What is read and not stored yet, and what will then be said of its files."""

    documents: list[ChunkedDocument] = field(default_factory=list)
    outcomes: list[ImportedFile] = field(default_factory=list)
    read_whole: list[int] = field(default_factory=list)  # positions of files without more to come
    began: float = field(default_factory=time.monotonic)
    chunk_count: int = 0  # of the documents; counted along, as it is asked for after every file

    def add(self, document: ChunkedDocument) -> None:
        self.documents.append(document)
        self.chunk_count += len(document.chunks)


class Adding:
    """The work of one import."""

    def __init__(self, lease: ImportLease, of: Import, kept: KeptFiles, readers: Readers) -> None:
        self.progress = of.progress
        self._lease = lease
        self._began_at = of.created_at
        self._is_resumed = of.attempt > 1
        self._replaces = of.replace
        self._kept = kept
        self._readers = readers
        self._group = _Group()
        self._write_s = 0.0

    def run(self, knowledge: KnowledgeBase) -> None:
        self._knowledge = knowledge
        self._see_what_is_there()
        files = self._lease.waiting_files()
        self._time_left = TimeLeft(files)
        for file in files:
            self._read(file)
            self._time_left.has_read(file)
            self._show()
        self._flush()

    def _see_what_is_there(self) -> None:
        """What is stored, and what of it this import stored before it was interrupted."""
        documents = self._knowledge.documents()
        settled = self._lease.settled_files() if self._is_resumed else []
        told_of = {file.document_id for file in settled if file.document_id}
        self._known = KnownDocuments(documents)
        self._settled = {(file.position, file.member) for file in settled}
        self._stored_untold = {
            document.id
            for document in documents
            if self._is_resumed
            and document.stored_at >= self._began_at
            and document.id not in told_of
        }
        self._of_this_import = told_of | self._stored_untold

    def _read(self, file: ImportedFile) -> None:
        """Read one file, and note what is to be said of each document in it.

        What is said of the first one comes last: the file counts as waiting until then.
        """
        path = self._kept.path(self._lease.import_id, file.position)
        if not path.exists():
            self._settle_with(_not_here(file))
            return
        first: ImportedFile | None = None
        outcomes = self._readers.read(
            file.name, path, lambda share: self._show_read(file, share), self._lease.lost
        )
        with closing(outcomes):
            for member, outcome in enumerate(outcomes):
                self._lease.check()
                if (file.position, member) in self._settled:
                    continue
                said = self._said_of(replace(file, member=member), outcome)
                if first is None:
                    first = said
                else:
                    self._settle_with(said)
        assert first is not None, "a file has at least one outcome"
        self._group.read_whole.append(file.position)
        self._settle_with(first)

    def _said_of(self, file: ImportedFile, outcome: Reading | tuple[str, AppError]) -> ImportedFile:
        if not isinstance(outcome, Reading):
            name, error = outcome
            return replace(
                file,
                name=storable(name),
                state="refused",
                message=storable(str(error)),
                next_step=storable(error.next_step),
            )
        name, notes = storable(outcome.name), tuple(storable(note) for note in outcome.notes)
        said = replace(file, name=name, notes=notes)
        if same := self._same_as(outcome):
            self._of_this_import.add(same.id)
            if same.id in self._stored_untold:
                self._stored_untold.discard(same.id)
                return _stored(said, same)
            message = f"It has the same text as {same.name}, which is in the knowledge base."
            return replace(said, state="same", document_id=same.id, message=storable(message))
        reading = replace(outcome, name=name, notes=notes)
        if earlier := self._to_replace(name):
            pair_count = self._pair_counts[earlier.id]
            admitted = self._known.admit_in_place_of(earlier, reading, pair_count)
        else:
            admitted = self._known.admit(reading)
        self._of_this_import.add(admitted.document.id)
        self._group.add(admitted)
        return _stored(said, admitted.document)

    def _same_as(self, reading: Reading) -> Document | None:
        """The document with this text, unless the person has removed it meanwhile."""
        same = self._known.same_as(reading)
        if same is None or any(item.document is same for item in self._group.documents):
            return same
        return self._if_there(same)

    def _to_replace(self, name: str) -> Document | None:
        """The document whose text is to be replaced by that of a file called `name`.

        Not one of this same import: of two files with one name, the second does not undo the first.
        """
        earlier = self._known.named(name) if self._replaces else None
        if earlier is None or earlier.id in self._of_this_import:
            return None
        return self._if_there(earlier)

    @cached_property
    def _pair_counts(self) -> Counter[str]:
        """How many pairs are about each document that was stored before this import."""
        by_chunk, by_document = self._lease.pairs_by_chunk(), Counter[str]()
        for chunk in self._knowledge.chunks():
            by_document[chunk.document_id] += by_chunk.get(chunk.id, 0)
        return by_document

    def _if_there(self, known: Document) -> Document | None:
        """`known`, unless the person has removed it meanwhile."""
        if all(document.id != known.id for document in self._knowledge.documents()):
            self._known.forget(known)
            return None
        return known

    def _settle_with(self, outcome: ImportedFile) -> None:
        """Say it with the next write, which comes now if it is time."""
        self._group.outcomes.append(outcome)
        waited = time.monotonic() - self._group.began
        if (
            waited > max(_SECONDS_PER_WRITE, _TIMES_A_WRITE * self._write_s)
            or self._group.chunk_count >= _CHUNKS_PER_WRITE
        ):
            self._flush()

    def _flush(self) -> None:
        """Store the group, then say what became of its files."""
        group, self._group = self._group, _Group()
        self._time_left.storing(0.0)
        if group.documents:
            self._store(group)
        if group.outcomes:
            self._lease.settle(group.outcomes)
        for position in group.read_whole:
            self._kept.drop(self._lease.import_id, position)
        self._time_left.has_stored()
        self._group.began = time.monotonic()

    def _store(self, group: _Group) -> None:
        total = group.chunk_count
        self._show(chunks_total=total)

        def on_embedded(count: int) -> None:
            self._lease.check()
            done = self.progress.chunks_done + count
            self._time_left.storing(_EMBEDDING * done / total)
            self._show(chunks_done=done, chunks_total=total)

        began = time.monotonic()
        self._knowledge.store(group.documents, on_embedded)
        self._write_s = time.monotonic() - began

    def _show_read(self, file: ImportedFile, share: float) -> None:
        self._time_left.reading(file, share)
        self._show(file.name)

    def _show(self, file: str = "", chunks_done: int = 0, chunks_total: int = 0) -> None:
        left = self._time_left
        self.progress = Progress(left.share, file, chunks_done, chunks_total, left.seconds)


def _stored(file: ImportedFile, document: Document) -> ImportedFile:
    """What is said of a file whose text this import stored as `document`."""
    message = None
    if document.replaced:
        message = _what_went(document.replaced)
    elif document.name != file.name:
        message = f"It is called {document.name}, because there is another {file.name}."
    return replace(
        file,
        state="replaced" if document.replaced else "added",
        document_id=document.id,
        chunk_count=document.chunk_count,
        message=message,
    )


def _what_went(replaced: Replaced) -> str:
    chunks, pairs = replaced.chunk_count, replaced.pair_count
    went = f"It replaced the earlier text: {chunks:,} chunk{'' if chunks == 1 else 's'}"
    if not pairs:
        return f"{went}. No pairs were about it."
    if pairs == 1:
        return f"{went}. Training will not use the pair about it any more."
    return f"{went}. Training will not use the {pairs:,} pairs about it any more."


def _not_here(file: ImportedFile) -> ImportedFile:
    return replace(
        file,
        state="refused",
        message="The copy of this file that was kept is not on this server.",
        next_step="Add the file again.",
    )
