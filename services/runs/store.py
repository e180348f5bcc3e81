"""Runs as a person sees and moves them. Each move is one guarded statement in the database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from services.accounts.database import CountMethod, Database
from services.errors import NotAllowed, NotFound, RunBlocked, RunMoved
from services.models import RunEvent, TrainingRun, Waiting
from services.runs.states import RunStatus

_RUNS = "deep_memory_training_runs"
_MOST_EVENTS = 200

_BLOCKING = {
    RunStatus.GENERATING: "A training run is generating questions now.",
    RunStatus.GENERATED: "A training run is awaiting review.",
    RunStatus.TRAINING: "A training run is training now.",
    RunStatus.GENERATING_FAILED: "A run that failed while generating must be resolved first.",
    RunStatus.TRAINING_FAILED: "A run that failed while training must be resolved first.",
}


def why_blocked(status: RunStatus) -> str:
    """Why a run in `status` keeps a new one from starting, as a sentence for the person."""
    return _BLOCKING[status]


class RunStore:
    """The runs of the signed-in user; row-level security hides everybody else's.

    `waiting_here` returns what a run, given its id, waits for if its worker is in this process.
    That is fresher than the row, and the only source while the database takes no writes.
    """

    def __init__(
        self,
        database: Database,
        waiting_here: Callable[[str], Waiting | None] = lambda run_id: None,
    ) -> None:
        self._database = database
        self._waiting_here = waiting_here

    # Reading

    def get(self, run_id: str) -> TrainingRun:
        """Raises NotFound, also for a run that is someone else's."""
        rows = self._database.execute(lambda c: c.table(_RUNS).select("*").eq("id", run_id)).data
        if not rows:
            raise NotFound("There is no such run.")
        return self.known(run_from_row(rows[0]))

    def page(
        self, *, limit: int, offset: int = 0, status: RunStatus | None = None
    ) -> tuple[list[TrainingRun], int]:
        """A page of runs, newest first, and how many runs there are in all."""
        # Counted separately: PostgREST refuses to count when the offset is past the end.
        rows = self._database.execute(
            lambda c: (
                _in_status(c.table(_RUNS).select("*"), status)
                .order("created_at", desc=True)
                .order("id")
                .range(offset, offset + limit - 1)
            )
        ).data
        ends_here = len(rows) < limit and (rows or not offset)
        total = offset + len(rows) if ends_here else self.count(status)
        return [self.known(run_from_row(row)) for row in rows], total

    def count(self, status: RunStatus | None = None) -> int:
        return self._database.execute(
            lambda c: _in_status(
                c.table(_RUNS).select("id", count=CountMethod.exact, head=True), status
            )
        ).count

    def blocking(self) -> TrainingRun | None:
        """The unfinished run that keeps a new one from starting; if several, the newest."""
        rows = self._database.execute(
            lambda c: (
                c.table(_RUNS)
                .select("*")
                .neq("status", RunStatus.COMPLETED.value)
                .order("set_aside")
                .order("created_at", desc=True)
                .limit(1)
            )
        ).data
        return run_from_row(rows[0]) if rows else None

    def events(self, run_id: str) -> list[RunEvent]:
        """The newest lines of a run's timeline, oldest first."""
        rows = self._database.execute(
            lambda c: (
                c.table("deep_memory_run_events")
                .select("at, phase, kind, message, counts")
                .eq("training_run_id", run_id)
                .order("id", desc=True)
                .limit(_MOST_EVENTS)
            )
        ).data
        return [
            RunEvent(_time(r["at"]), r["phase"], r["kind"], r["message"], r["counts"])
            for r in reversed(rows)
        ]

    def problems(self, run_id: str) -> dict[str, int]:
        """Problem -> number of chunks that yielded fewer pairs than asked; most frequent first."""
        rows = self._database.rpc("run_problems", p_run=run_id)
        return {row["problem"]: row["chunks"] for row in rows}

    def chunks_with_problem(self, run_id: str, *, limit: int = 100) -> list[tuple[str, str]]:
        """(chunk id, problem) of at most `limit` chunks that yielded fewer pairs than asked."""
        rows = self._database.execute(
            lambda c: (
                c.table("deep_memory_run_chunks")
                .select("chunk_id, problem")
                .eq("training_run_id", run_id)
                .not_.is_("problem", "null")
                .order("chunk_id")
                .limit(limit)
            )
        ).data
        return [(row["chunk_id"], row["problem"]) for row in rows]

    # Moving

    def start(self, *, total_chunks: int, settings: dict[str, Any]) -> TrainingRun:
        """Begin a run in `generating`, for a worker to claim.

        Raises:
            RunBlocked: there is an unfinished run; the error names it.
        """
        rows = self._database.rpc("start_run", p_total_chunks=total_chunks, p_settings=settings)
        if rows:
            return run_from_row(rows[0])
        blocking = self.blocking()
        if blocking is None:  # it was resolved between the two statements
            return self.start(total_chunks=total_chunks, settings=settings)
        raise _blocked_by(blocking)

    def start_training(self, run_id: str) -> TrainingRun:
        """Move a reviewed run to `training`, for a worker to claim."""
        return self._back_to_work("start_training", run_id)

    def proceed(self, run_id: str) -> TrainingRun:
        """Move a failed run back to its phase, for a worker to claim.

        Raises:
            RunBlocked: another run is unfinished, which only runs older than migration 009 allow.
        """
        return self._back_to_work("proceed_run", run_id)

    def retry_problems(self, run_id: str) -> TrainingRun:
        """Move a run in review back to `generating`, to retry only the chunks with a problem.

        Chunks added to the knowledge base since are included too, as when proceeding.
        """
        return self._back_to_work("retry_problem_chunks", run_id)

    def stop(self, run_id: str, *, by: str) -> TrainingRun:
        """End an active run, or discard one in review; what it made is kept."""
        return self._moved(run_id, self._database.rpc("stop_run", p_run=run_id, p_by=by))

    def say_job_goes_on(self, run_id: str, message: str) -> None:
        """Note in the row and timeline of a stopped run that its job could not be cancelled."""
        self._database.rpc("say_job_goes_on", p_run=run_id, p_message=message)

    def remove(self, run_id: str) -> int:
        """Delete a failed run with its pairs; returns how many pairs were deleted."""
        pairs = self._database.rpc("remove_run", p_run=run_id)
        if pairs is None:
            raise self._moved_error(run_id)
        return int(pairs)

    def remove_completed(self, run_id: str) -> int:
        """Delete a completed run with its pairs; returns how many pairs were deleted.

        Raises:
            RunMoved: it is not completed.
            NotAllowed: search uses its model; or DeepLake Cloud holds it, and there are older
                cloud runs.
        """
        pairs = self._database.rpc("remove_completed_run", p_run=run_id)
        if pairs is not None:
            return int(pairs)
        moved = self._moved_error(run_id)
        if self.get(run_id).status is not RunStatus.COMPLETED:
            raise moved
        raise NotAllowed(
            "Search uses the model of this run, or DeepLake Cloud holds it. Nothing was removed.",
            next_step="Use another model or switch Deep Memory off first; of the cloud's runs, "
            "remove the older ones first.",
        )

    def known(self, run: TrainingRun) -> TrainingRun:
        """`run` with what its worker says it waits for, if that worker is in this process."""
        waiting = self._waiting_here(run.id) if run.status.is_active else None
        return replace(run, waiting=waiting) if waiting else run

    def _back_to_work(self, function: str, run_id: str) -> TrainingRun:
        try:
            return self._moved(run_id, self._database.rpc(function, p_run=run_id))
        except NotAllowed:
            blocking = self.blocking()
            if blocking is None or blocking.id == run_id:
                raise
            raise _blocked_by(blocking) from None

    def _moved(self, run_id: str, rows: list[dict[str, Any]]) -> TrainingRun:
        if not rows:
            raise self._moved_error(run_id)
        return run_from_row(rows[0])

    def _moved_error(self, run_id: str) -> RunMoved:
        run = self.get(run_id)  # NotFound when it is gone
        return RunMoved(
            f"The run is {run.status.value.replace('_', ' ')} now. Nothing was changed."
        )


def _blocked_by(run: TrainingRun) -> RunBlocked:
    return RunBlocked(why_blocked(run.status), run_id=run.id, status=run.status.value)


def _in_status(query: Any, status: RunStatus | None) -> Any:
    return query if status is None else query.eq("status", status.value)


def run_from_row(row: dict[str, Any]) -> TrainingRun:
    """A TrainingRun from a row as PostgREST sends it."""
    return TrainingRun(
        id=row["id"],
        user_id=row["user_id"],
        status=RunStatus(row["status"]),
        total_chunks=row["total_chunks"],
        processed_chunks=row["processed_chunks"],
        pair_count=row["pair_count"],
        started_at=_time(row["started_at"]),
        created_at=_time(row["created_at"]),
        completed_at=_time(row["completed_at"]) if row["completed_at"] else None,
        deeplake_job_id=row["deeplake_job_id"],
        cloud_submission=row["cloud_submission"],
        error_message=row["error_message"],
        metrics=row["metrics"] or {},
        attempt=row["attempt"],
        worker_id=row["worker_id"],
        settings=row["settings"],
        usage=row["usage"],
        waiting=_waiting_of_row(row["waiting"]),
    )


def row_of_waiting(waiting: Waiting | None) -> dict[str, str | None] | None:
    """`waiting` as the value of the column of that name."""
    if waiting is None:
        return None
    return {
        "what": waiting.what,
        "until": waiting.until.isoformat() if waiting.until else None,
    }


def _waiting_of_row(value: dict[str, Any] | None) -> Waiting | None:
    if value is None:
        return None
    return Waiting(value["what"], _time(value["until"]) if value["until"] else None)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
