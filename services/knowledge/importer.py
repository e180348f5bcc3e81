"""Worker threads that add documents: read, cut, embed and store them, in small groups."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from services.accounts.database import Database
from services.errors import AppError, DatabaseUnavailable
from services.knowledge.import_lease import ImportLease, ImportLost
from services.knowledge.import_rows import Import, ImportedFile, Progress
from services.knowledge.kept_files import KeptFiles
from services.knowledge.knowledge_base import ChunkedDocument, KnowledgeBase, KnownDocuments
from services.pairs.store import storable
from services.reading.blocks import Reading
from services.reading.readers import GivenUp, Readers

log = logging.getLogger(__name__)

HEARTBEAT_S = 2.0  # it also carries the progress; the lease lasts 28 seconds
# A write takes time in proportion to all that is stored, but what is not written is lost in a
# crash: so the next write comes after some multiple of the time that the last one took.
_SECONDS_PER_WRITE = 2.0
_TIMES_A_WRITE = 4.0
_CHUNKS_PER_WRITE = 5_000


class Importer:
    """Runs the imports of this process, each in a thread of its own."""

    def __init__(
        self,
        service: Database,
        kept: KeptFiles,
        readers: Readers,
        knowledge_of: Callable[[str], KnowledgeBase],
    ) -> None:
        self._service = service
        self._kept = kept
        self._readers = readers
        self._knowledge_of = knowledge_of
        self._working: dict[ImportLease, _Adding] = {}
        self._lock = threading.Lock()
        self._ending = False

    def launch(self, of: Import) -> None:
        """Work on an import that was just started, or gone on with."""
        lease = ImportLease(self._service, of)
        adding = _Adding(lease, of, self._kept, self._readers)
        # Daemon: it must not keep an ending process alive. drain() ends it cleanly.
        thread = threading.Thread(
            target=self._work, args=(lease, adding), name=f"import-{of.id}", daemon=True
        )
        with self._lock:
            if self._ending:
                return  # its initial lease expires, and it is rescued
            self._working[lease] = adding
            thread.start()

    def stop_here(self, import_id: str) -> None:
        """If its worker is in this process, tell it at once that the import was stopped."""
        for lease in self._leases(import_id):
            lease.lost.set()

    def progress(self, import_id: str) -> Progress | None:
        """Where it is, fresher than its row; None if its worker is not in this process."""
        with self._lock:
            found = [
                adding for lease, adding in self._working.items() if lease.import_id == import_id
            ]
        return found[-1].progress if found else None

    def drain(self) -> None:
        """Stop all imports of this process, and say so in their rows. For a clean shutdown."""
        with self._lock:
            self._ending = True
            leases = list(self._working)
        for lease in leases:
            lease.lost.set()
        self._readers.stop()
        farewells = [
            threading.Thread(target=_say_shut_down, args=(it,), daemon=True) for it in leases
        ]
        for farewell in farewells:
            farewell.start()
        deadline = time.monotonic() + 2.0
        for farewell in farewells:
            farewell.join(max(0.0, deadline - time.monotonic()))

    def _leases(self, import_id: str) -> list[ImportLease]:
        with self._lock:
            return [lease for lease in self._working if lease.import_id == import_id]

    def _work(self, lease: ImportLease, adding: _Adding) -> None:
        done = threading.Event()
        try:
            lease.claim()
            threading.Thread(
                target=_keep, args=(lease, adding, done), name="import-heartbeat", daemon=True
            ).start()
            adding.run(self._knowledge_of(lease.user_id))
            lease.finish()
            self._kept.forget(lease.import_id)
            log.info("import_done import=%s", lease.import_id)
        except (ImportLost, GivenUp):
            log.info("import_lost import=%s", lease.import_id)
        except AppError as error:
            log.warning("import_failed import=%s code=%s", lease.import_id, error.code)
            self._interrupt(lease, f"{error} {error.next_step}")
        except Exception:
            log.exception("import_failed_unexpectedly import=%s", lease.import_id)
            self._interrupt(lease, "Something unexpected happened; the cause is in the app's log.")
        finally:
            done.set()
            with self._lock:
                self._working.pop(lease, None)

    def _interrupt(self, lease: ImportLease, message: str) -> None:
        try:
            lease.interrupt(storable(message))
        except ImportLost:
            log.info("import_lost import=%s", lease.import_id)


def _say_shut_down(lease: ImportLease) -> None:
    try:
        lease.interrupt_once("The app was shut down while documents were being added.")
    except AppError:
        log.warning("drain_could_not_say import=%s", lease.import_id)


def _keep(lease: ImportLease, adding: _Adding, done: threading.Event) -> None:
    """Hold the lease and show the progress, in a thread of its own: one file can take long."""
    while not done.wait(HEARTBEAT_S) and not lease.lost.is_set():
        try:
            lease.heartbeat(adding.progress)
        except ImportLost:
            return
        except DatabaseUnavailable:
            log.warning("import_heartbeat_failed import=%s", lease.import_id)
        except Exception:
            log.exception("import_heartbeat_failed import=%s", lease.import_id)


@dataclass(slots=True)
class _Group:
    """What is read and not stored yet, and what will then be said of its files."""

    documents: list[ChunkedDocument] = field(default_factory=list)
    outcomes: list[ImportedFile] = field(default_factory=list)
    read_whole: list[int] = field(default_factory=list)  # positions of files without more to come
    began: float = field(default_factory=time.monotonic)

    @property
    def chunk_count(self) -> int:
        return sum(len(item.chunks) for item in self.documents)


class _Adding:
    """The work of one import."""

    def __init__(self, lease: ImportLease, of: Import, kept: KeptFiles, readers: Readers) -> None:
        self.progress = of.progress
        self._lease = lease
        self._began_at = of.created_at
        self._kept = kept
        self._readers = readers
        self._group = _Group()
        self._write_s = 0.0

    def run(self, knowledge: KnowledgeBase) -> None:
        self._knowledge = knowledge
        self._known = KnownDocuments(knowledge.documents())
        files = self._lease.waiting_files()
        self._bytes_total = max(1, sum(file.bytes for file in files))
        self._bytes_read = self._bytes_stored = 0
        for file in files:
            self._read(file)
            self._bytes_read += file.bytes
            self._show()
        self._flush()

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
            file.name, path, lambda share: self._show(file, share), self._lease.lost
        )
        for member, outcome in enumerate(outcomes):
            self._lease.check()
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
        if same := self._known.same_as(outcome):
            if same.added_at >= self._began_at and same.name == outcome.name:
                # Stored by this import, before it was interrupted.
                return _added(said, ChunkedDocument(same, []), same.chunk_count)
            message = f"It has the same text as {same.name}, which is in the knowledge base."
            return replace(said, state="same", document_id=same.id, message=storable(message))
        admitted = self._known.admit(replace(outcome, name=name, notes=notes))
        self._group.documents.append(admitted)
        return _added(said, admitted, len(admitted.chunks))

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
        if group.documents:
            self._store(group)
        if group.outcomes:
            self._lease.settle(group.outcomes)
        for position in group.read_whole:
            self._kept.drop(self._lease.import_id, position)
        self._bytes_stored = self._bytes_read
        self._group.began = time.monotonic()

    def _store(self, group: _Group) -> None:
        total = group.chunk_count
        self.progress = replace(self.progress, file="", chunks_done=0, chunks_total=total)

        def on_embedded(count: int) -> None:
            self._lease.check()
            done = self.progress.chunks_done + count
            in_hand = (self._bytes_read - self._bytes_stored) * done / total
            share = (self._bytes_read + self._bytes_stored + in_hand) / (2 * self._bytes_total)
            self.progress = replace(self.progress, share=share, chunks_done=done)

        began = time.monotonic()
        self._knowledge.store(group.documents, on_embedded)
        self._write_s = time.monotonic() - began

    def _show(self, file: ImportedFile | None = None, share: float = 0.0) -> None:
        read = self._bytes_read + (share * file.bytes if file else 0)
        self.progress = Progress(
            share=(read + self._bytes_stored) / (2 * self._bytes_total),
            file=file.name if file else "",
        )


def _added(file: ImportedFile, item: ChunkedDocument, chunk_count: int) -> ImportedFile:
    message = None
    if item.document.name != file.name:
        message = f"It is called {item.document.name}, because there is another {file.name}."
    return replace(
        file, state="added", document_id=item.document.id, chunk_count=chunk_count, message=message
    )


def _not_here(file: ImportedFile) -> ImportedFile:
    return replace(
        file,
        state="refused",
        message="The copy of this file that was kept is not on this server.",
        next_step="Add the file again.",
    )
