"""Worker threads that add documents, each with its lease on one import."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from services.accounts.database import Database, storable
from services.errors import AppError, DatabaseUnavailable
from services.knowledge.adding import Adding
from services.knowledge.import_lease import ImportLease, ImportLost
from services.knowledge.import_rows import Import, Progress
from services.knowledge.kept_files import KeptFiles
from services.knowledge.knowledge_base import KnowledgeBase
from services.reading.readers import GivenUp, Readers

log = logging.getLogger(__name__)

HEARTBEAT_S = 2.0  # it also carries the progress; the lease lasts 28 seconds


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
        self._working: dict[ImportLease, Adding] = {}
        self._lock = threading.Lock()
        self._ending = False

    def launch(self, of: Import) -> None:
        """Work on an import that was just started, or gone on with."""
        lease = ImportLease(self._service, of)
        adding = Adding(lease, of, self._kept, self._readers)
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

    def _work(self, lease: ImportLease, adding: Adding) -> None:
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


def _keep(lease: ImportLease, adding: Adding, done: threading.Event) -> None:
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
