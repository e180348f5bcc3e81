"""Imports for tests: brought to each status by the moves that lead there, and readers that wait."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import psycopg

from services.accounts.auth import SignedInUser
from services.accounts.database import Database
from services.errors import DocumentRejected
from services.knowledge.import_lease import ImportLease
from services.knowledge.import_rows import Import, ImportedFile, ImportRows, ImportStatus
from services.reading.blocks import Block, Reading
from services.reading.files import OnProgress, Rejected

FILES = [("a.txt", 10), ("b.txt", 20), ("c.txt", 30)]


@dataclass
class ImportScript:
    """One import of one person, which the test moves itself; the app does not work on it."""

    user: SignedInUser
    service: Database
    id: str = field(init=False)
    lease: ImportLease = field(init=False)

    @property
    def rows(self) -> ImportRows:
        return ImportRows(self.user.database)

    @property
    def now(self) -> Import:
        return self.rows.get(self.id)

    @property
    def files(self) -> list[ImportedFile]:
        return self.rows.files(self.id)

    def start(self, files: Sequence[tuple[str, int]] = FILES) -> ImportScript:
        self.id = str(uuid4())
        return self.claimed(self.rows.start(self.id, files))

    def go_on(self) -> ImportScript:
        return self.claimed(self.rows.go_on(self.id))

    def to(self, status: ImportStatus) -> ImportScript:
        """Bring a new import to `status`, with its first file added."""
        self.start()
        self.settle(0, "added", chunk_count=2)
        if status == "stopped":
            self.rows.stop(self.id)
        elif status == "interrupted":
            self.lease.interrupt("The disk is full.")
        elif status == "done":
            self.lease.finish()
        return self

    def settle(self, position: int, state: str, member: int = 0, **more: object) -> None:
        file = ImportedFile(position, member, f"{position}-{member}.txt", state, **more)
        self.lease.settle([file])

    def claimed(self, of: Import) -> ImportScript:
        self.lease = ImportLease(self.service, of)
        self.lease.claim()
        return self


def let_import_lease_run_out(owner: psycopg.Connection, import_id: str) -> None:
    """As if its worker had been silent for half a minute while the sweeps went on."""
    owner.execute(
        "update document_imports set lease_expires_at = now() - interval '1 second' where id = %s",
        (import_id,),
    )
    owner.execute(
        "update deep_memory_watch set swept_at = now(), grace_until = now() - interval '1 hour'"
    )


class StandInReaders:
    """Readers without processes: a file is its text, and one called *.zip a document a line.

    A text that begins with `bad` is refused. `hold(name)` makes the reading of a file wait.
    """

    def __init__(self) -> None:
        self.read_files: list[str] = []
        self._gates: dict[str, threading.Event] = {}
        self.reached = threading.Event()

    def hold(self, name: str) -> threading.Event:
        """Wait before the last document of this file, until the event is set."""
        return self._gates.setdefault(name, threading.Event())

    def read(
        self, name: str, path: Path, on_progress: OnProgress, lost: threading.Event
    ) -> Iterator[Reading | Rejected]:
        self.read_files.append(name)
        text = path.read_text()
        packed = name.endswith(".zip")
        parts = text.splitlines() if packed else [text]
        for number, part in enumerate(parts, start=1):
            on_progress(number / len(parts))
            if name in self._gates and number == len(parts):
                self.reached.set()
                assert self._gates[name].wait(60)
            called = f"{name}/{number}.txt" if packed else name
            if part.startswith("bad"):
                yield called, DocumentRejected(f"{called} is bad.", next_step="Mend it.")
            else:
                yield Reading(called, (Block("text", part),))

    def stop(self) -> None:
        for gate in self._gates.values():
            gate.set()
