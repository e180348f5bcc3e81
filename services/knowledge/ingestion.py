"""Adds documents in a thread, so that going to another page does not interrupt it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from services.errors import AppError, NotAllowed, StoreUnavailable
from services.knowledge.knowledge_base import IngestProgress, IngestReport, OnProgress

log = logging.getLogger(__name__)

Work = Callable[[OnProgress], IngestReport]


class Ingestion:
    """One person's import, kept in memory until its report was read."""

    def __init__(self, work: Work) -> None:
        self.progress = IngestProgress(files_read=0, files_total=0)
        self.report: IngestReport | None = None  # set when it is done
        self.failure: AppError | None = None
        self._work = work
        # Daemon: the store changes in one step, so an interruption does no harm.
        self._thread = threading.Thread(target=self._run, name="ingestion", daemon=True)
        self._thread.start()

    @property
    def is_running(self) -> bool:
        return self._thread.is_alive()

    def wait(self) -> None:
        self._thread.join()

    def _run(self) -> None:
        try:
            self.report = self._work(self._note)
        except AppError as error:
            self.failure = error
        except Exception:
            log.exception("ingestion_failed_unexpectedly")
            self.failure = StoreUnavailable(
                "Something unexpected happened while the documents were being added. Those in the "
                "table are stored; the cause is in the app's log."
            )

    def _note(self, progress: IngestProgress) -> None:
        self.progress = progress


class Ingestions:
    """The imports of this process: at most one at a time for each person."""

    def __init__(self) -> None:
        self._of_user: dict[str, Ingestion] = {}
        self._lock = threading.Lock()

    def start(self, user_id: str, work: Work) -> Ingestion:
        """Begin an import.

        Raises:
            NotAllowed: another one of this person is running.
        """
        with self._lock:
            current = self._of_user.get(user_id)
            if current is not None and current.is_running:
                raise NotAllowed(
                    "Documents are already being added.", next_step="Wait until that is done."
                )
            self._of_user[user_id] = Ingestion(work)
            return self._of_user[user_id]

    def run(self, user_id: str, work: Work) -> IngestReport:
        """Import, and wait until it is done. The report of an earlier import can still be read.

        Raises:
            NotAllowed: another one of this person is running.
            AppError: whatever `work` raises.
        """
        earlier = self.of(user_id)
        ingestion = self.start(user_id, work)
        ingestion.wait()
        with self._lock:
            if self._of_user.get(user_id) is ingestion:
                del self._of_user[user_id]
                if earlier is not None:
                    self._of_user[user_id] = earlier
        if ingestion.failure is not None:
            raise ingestion.failure
        assert ingestion.report is not None, "it is done"
        return ingestion.report

    def of(self, user_id: str) -> Ingestion | None:
        return self._of_user.get(user_id)

    def forget(self, user_id: str) -> None:
        """After its report was read.

        Raises:
            NotAllowed: it runs, and another one might begin beside it.
        """
        with self._lock:
            current = self._of_user.get(user_id)
            if current is not None and current.is_running:
                raise NotAllowed("Documents are being added still, and there is no report yet.")
            self._of_user.pop(user_id, None)
