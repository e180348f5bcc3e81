"""A worker's lease on one import: what only the worker that claimed this attempt may write."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from services.accounts.database import PAGE_ROWS, Database, every_row
from services.accounts.patience import Answer, until_available
from services.errors import DatabaseUnavailable
from services.knowledge.import_rows import (
    FileState,
    Import,
    ImportedFile,
    Progress,
    files_of,
    import_from_row,
)

log = logging.getLogger(__name__)


class ImportLost(Exception):
    """This attempt no longer holds the import: it was stopped, rescued or gone on with elsewhere.

    Not a failure.
    """


class ImportLease:
    """The claim of one worker on one attempt of an import. `lost` is set as soon as it is gone."""

    def __init__(self, service: Database, of: Import) -> None:
        self._database = service
        self._key = {
            "p_import": of.id,
            "p_user": of.user_id,
            "p_worker": str(uuid.uuid4()),
            "p_attempt": of.attempt,
        }
        self.import_id = of.id
        self.user_id = of.user_id
        self.lost = threading.Event()

    def claim(self) -> Import:
        """Raises ImportLost if another worker has it, or it was stopped already."""
        return import_from_row(self._call("claim_import")[0])

    def waiting_files(self) -> list[ImportedFile]:
        """The files that are not settled, in order."""
        return self._files("waiting")

    def settled_files(self) -> list[ImportedFile]:
        """What earlier attempts said of files, in order."""
        return self._files("added", "replaced", "same", "refused")

    def _files(self, *states: FileState) -> list[ImportedFile]:
        return every_row(
            lambda begin, end: self._retrying(
                lambda: files_of(
                    self._database, self.import_id, states=states, limit=PAGE_ROWS, offset=begin
                )
            )
        )

    def heartbeat(self, progress: Progress) -> None:
        """Extend the lease and store the progress, once: the worker calls this regularly.

        Raises:
            ImportLost: the lease is gone.
        """
        row = asdict(progress)
        self._require(self._database.rpc("heartbeat_import", **self._key, p_progress=row))

    def settle(self, outcomes: Sequence[ImportedFile]) -> None:
        """Say what became of files; safe to say twice."""
        rows = [{**asdict(outcome), "notes": list(outcome.notes)} for outcome in outcomes]
        self._call("settle_import_files", p_outcomes=rows)

    def pairs_by_chunk(self) -> dict[str, int]:
        """How many pairs of this person's runs each chunk has, by its id, where there are any."""
        return self._call("pairs_by_chunk")["pairs"]

    def finish(self) -> None:
        self._call("finish_import")

    def interrupt(self, message: str) -> None:
        self._call("interrupt_import", p_message=message)

    def interrupt_once(self, message: str) -> None:
        """Like `interrupt`, without retrying: for a process that is about to end."""
        self._database.rpc("interrupt_import", **self._key, p_message=message)

    def check(self) -> None:
        """Raise ImportLost if the lease is known to be lost. Does not query the database."""
        if self.lost.is_set():
            raise ImportLost

    def _call(self, function: str, **parameters: Any) -> Any:
        """Call a function that requires the lease, again while the database is unavailable."""
        self.check()
        answer = self._retrying(lambda: self._database.rpc(function, **self._key, **parameters))
        self._require(bool(answer))
        return answer

    def _retrying(self, statement: Callable[[], Answer]) -> Answer:
        """Raises ImportLost if the lease is gone and the database still unavailable."""

        def on_pause(error: DatabaseUnavailable, pause_s: float) -> None:
            log.warning("%s import=%s retry_in_s=%.1f", error.code, self.import_id, pause_s)

        try:
            return until_available(statement, self.lost, on_pause)
        except DatabaseUnavailable:
            raise ImportLost from None

    def _require(self, held: bool) -> None:
        if not held:
            self.lost.set()
            raise ImportLost
