"""Imports as a person sees and moves them. Each move is one guarded statement in the database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from services.accounts.database import PAGE_ROWS, Database, every_row
from services.errors import NotAllowed, NotFound

ImportStatus = Literal["adding", "stopped", "interrupted", "done"]
FileState = Literal["waiting", "added", "replaced", "same", "refused", "dropped"]


@dataclass(frozen=True, slots=True)
class Progress:
    """Where an import is."""

    share: float = 0.0  # of the work, to read and to store, from 0 to 1
    file: str = ""  # the file that is being read
    chunks_done: int = 0  # of those in hand: embedded
    chunks_total: int = 0
    seconds_left: float | None = None  # about; None: not known yet


@dataclass(frozen=True, slots=True)
class Import:
    """One import of files, with its files counted by what became of them."""

    id: str
    user_id: str
    status: ImportStatus
    attempt: int
    counts: dict[FileState, int]
    chunk_count: int  # of what was added or replaced
    progress: Progress
    message: str | None  # why it was stopped or interrupted
    created_at: datetime
    finished_at: datetime | None = None
    replace: bool = False  # a file takes the place of the stored document with its name

    @property
    def is_running(self) -> bool:
        return self.status == "adding"

    @property
    def is_unfinished(self) -> bool:
        return self.status != "done"

    @property
    def files_total(self) -> int:
        return sum(self.counts.values())

    @property
    def files_done(self) -> int:
        return self.files_total - self.counts.get("waiting", 0)


@dataclass(frozen=True, slots=True)
class ImportedFile:
    """What became of one file, or of one document in a zip or a mail."""

    position: int
    member: int
    name: str
    state: FileState
    document_id: str | None = None
    chunk_count: int = 0
    notes: tuple[str, ...] = ()
    message: str | None = None
    next_step: str | None = None
    bytes: int = 0


class ImportRows:
    """The imports of the signed-in user; row-level security hides everybody else's."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def current(self) -> Import | None:
        """The import that is unfinished, or whose report was not read yet."""
        row = self._database.rpc("import_state")
        return import_from_row(row) if row else None

    def get(self, import_id: str) -> Import:
        """Raises NotFound, also for an import that is someone else's."""
        row = self._database.rpc("import_state", p_import=import_id)
        if not row:
            raise NotFound("There is no such import.")
        return import_from_row(row)

    def files(
        self,
        import_id: str,
        *,
        states: Sequence[FileState] = (),
        limit: int = PAGE_ROWS,
        offset: int = 0,
    ) -> list[ImportedFile]:
        """A page of the files, in the order in which they were given; those in `states`, if any."""
        return files_of(self._database, import_id, states=states, limit=limit, offset=offset)

    def start(
        self, import_id: str, files: Sequence[tuple[str, int]], *, replace: bool = False
    ) -> Import:
        """Begin an import of files, each (name, bytes).

        Raises:
            NotAllowed: another import of this person is unfinished.
        """
        rows = [{"name": name, "bytes": size} for name, size in files]
        self._moved("begin_import", import_id, p_files=rows, p_replace=replace)
        return self.get(import_id)

    def stop(self, import_id: str) -> None:
        """Raises NotAllowed if it is not running."""
        self._moved("stop_import", import_id)

    def go_on(self, import_id: str) -> Import:
        """Raises NotAllowed if it was neither stopped nor interrupted."""
        self._moved("go_on_with_import", import_id)
        return self.get(import_id)

    def give_up(self, import_id: str) -> None:
        """Raises NotAllowed if it was neither stopped nor interrupted."""
        self._moved("give_up_import", import_id)

    def acknowledge(self, import_id: str, *, and_older: bool = False) -> None:
        """Raises NotAllowed if it is unfinished: there is no report yet."""
        self._moved("acknowledge_import", import_id, p_and_older=and_older)

    def _moved(self, function: str, import_id: str, **parameters: Any) -> None:
        if not self._database.rpc(function, p_import=import_id, **parameters):
            raise NotAllowed(_REFUSED[function], next_step=_INSTEAD.get(function))


_REFUSED = {
    "begin_import": "Another import of yours is not finished.",
    "stop_import": "This import is not running any more.",
    "go_on_with_import": "This import was neither stopped nor interrupted.",
    "give_up_import": "This import was neither stopped nor interrupted.",
    "acknowledge_import": "Documents are being added still, and there is no report yet.",
}
_INSTEAD = {
    "begin_import": "Wait until it is done. If it was stopped or interrupted, go on with it or "
    "give up the rest of it first.",
}


def unfinished_imports(service: Database) -> list[str]:
    """The ids of everybody's unfinished imports."""
    rows = every_row(
        lambda begin, end: (
            service.execute(
                lambda c: (
                    c.table("document_imports")
                    .select("id")
                    .neq("status", "done")
                    .order("id")
                    .range(begin, end)
                )
            ).data
        )
    )
    return [row["id"] for row in rows]


def import_from_row(row: dict[str, Any]) -> Import:
    finished_at = row["finished_at"]
    return Import(
        id=row["id"],
        user_id=row["user_id"],
        status=row["status"],
        attempt=row["attempt"],
        counts=row.get("counts", {}),
        chunk_count=row.get("chunk_count", 0),
        progress=Progress(**row["progress"]),
        message=row["message"],
        created_at=datetime.fromisoformat(row["created_at"]),
        finished_at=datetime.fromisoformat(finished_at) if finished_at else None,
        replace=row["replace"],
    )


def files_of(
    database: Database,
    import_id: str,
    *,
    states: Sequence[FileState],
    limit: int,
    offset: int,
) -> list[ImportedFile]:
    rows = database.execute(
        lambda c: (
            _in_states(
                c.table("document_import_files")
                .select(
                    "position, member, name, bytes, state, document_id, chunk_count, notes, "
                    "message, next_step"
                )
                .eq("import_id", import_id),
                states,
            )
            .order("position")
            .order("member")
            .range(offset, offset + limit - 1)
        )
    ).data
    return [ImportedFile(**{**row, "notes": tuple(row["notes"])}) for row in rows]


def _in_states(query: Any, states: Sequence[FileState]) -> Any:
    return query.in_("state", list(states)) if states else query
