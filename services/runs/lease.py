"""A worker's lease on one run: what only the worker that claimed this attempt may write.

Unless its docstring says otherwise, a write is retried while the database is unavailable, because
it is safe to send twice. Each write also says whether the lease is still held.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from services.accounts.database import PAGE_ROWS, Database
from services.accounts.patience import Answer, until_available
from services.errors import DatabaseUnavailable
from services.models import TrainingRun, Waiting
from services.runs.states import RunStatus
from services.runs.store import row_of_waiting, run_from_row

log = logging.getLogger(__name__)

Waits = Callable[[], Waiting | None]

# Work that costs money continues for this long after the lease was last confirmed. So a stop, or a
# rescue while this process was asleep or cut off, still ends the spending within 5 seconds.
_GOOD_NEWS_LASTS_S = 5.0


def _nothing() -> None:
    """The default for work that waits for nothing external."""


class RunLost(Exception):
    """This attempt no longer holds the run: it was stopped, rescued or handed on. Not a failure."""


class RunLease:
    """The claim of one worker on one attempt of a run. Thread-safe, as its database is.

    `lost` is set as soon as the lease is gone or the process is about to end; code working on the
    run checks it before every expensive step. Batches and cloud jobs, which not every run has, are
    written elsewhere (BatchLedger, record_submission), through `call` and `database`.
    """

    def __init__(self, service: Database, run: TrainingRun) -> None:
        self.database = service
        self._key = {
            "p_run": run.id,
            "p_user": run.user_id,
            "p_worker": str(uuid.uuid4()),
            "p_attempt": run.attempt,
        }
        self.run_id = run.id
        self.user_id = run.user_id
        self.attempt = run.attempt
        self.lost = threading.Event()
        self._held_at = time.monotonic()  # when the lease was last known to be held
        self._kept_from_writing: Waiting | None = None
        self._watched: Waits = _nothing
        self._noted: Waiting | None = None  # what the row's column `waiting` holds

    def claim(self) -> TrainingRun:
        rows = self.call("claim_run")
        return run_from_row(rows[0])

    def check(self) -> None:
        """Raise RunLost if the lease is known to be lost. Does not query the database."""
        if self.lost.is_set():
            raise RunLost

    @property
    def is_confirmed(self) -> bool:
        """Whether the lease was confirmed a moment ago. Check it before anything that costs."""
        return time.monotonic() - self._held_at < _GOOD_NEWS_LASTS_S

    @property
    def waiting(self) -> Waiting | None:
        """What the work is waiting for, as far as this process knows; None while it progresses."""
        if self._kept_from_writing is None and not self.is_confirmed:
            return Waiting(DatabaseUnavailable.waits_for)
        return self._kept_from_writing or self._watched()

    @contextmanager
    def watching(self, waits: Waits) -> Iterator[None]:
        """During the block, the run counts as waiting whenever `waits()` returns a reason."""
        self._watched = waits
        try:
            yield
        finally:
            self._watched = _nothing

    def note_waiting(self) -> None:
        """Store in the row what the run waits for, if that has changed. Does not retry."""
        waiting = self.waiting
        if waiting != self._noted:
            row = row_of_waiting(waiting)
            answer = self._asked(
                lambda: self.database.rpc("note_waiting", **self._key, p_waiting=row)
            )
            self._require(answer)
            self._noted = waiting

    def heartbeat(self) -> None:
        """Extend the lease once. Does not retry: the worker's thread calls it regularly."""
        self._require(self._asked(lambda: self.database.rpc("heartbeat_run", **self._key)))

    def poll(self) -> None:
        """Check that the lease is still held, without writing. Does not retry."""
        answer = self._asked(
            lambda: self.database.execute(
                lambda c: (
                    c.table("deep_memory_training_runs")
                    .select("id")
                    .eq("id", self.run_id)
                    .eq("user_id", self.user_id)
                    .eq("worker_id", self._key["p_worker"])
                    .eq("attempt", self._key["p_attempt"])
                    .in_("status", [status.value for status in RunStatus if status.is_active])
                )
            )
        )
        self._require(bool(answer.data))

    def leave(self) -> None:
        """Tell the database that this worker will store nothing more for a stopped run.

        Does not retry.
        """
        self.database.rpc("leave_run", **self._key)

    def was_stopped(self) -> bool:
        """Whether a person stopped the run, and nobody has proceeded with it since.

        False after a shutdown or a rescue: the next attempt takes over the external work.
        """
        last = self.database.execute(
            lambda c: (
                c.table("deep_memory_run_events")
                .select("kind")
                .eq("training_run_id", self.run_id)
                .neq("kind", "goes_on")  # added after a stop, when the cloud job continues
                .order("id", desc=True)
                .limit(1)
            )
        ).data
        return not last or last[0]["kind"] == "stopped"  # no event: the run was removed, too

    def begin_generation(self, chunk_ids: list[str]) -> set[str]:
        """Set the run up for these chunks, and return the ids of those that are already done."""
        self.call("begin_generation", p_chunk_ids=chunk_ids)
        done: list[str] = []
        while rows := self.retrying(lambda: self._chunks_after(done[-1] if done else "")):
            done.extend(row["chunk_id"] for row in rows)
        return set(done)

    def save_pairs(
        self,
        chunks: list[dict[str, Any]],
        pairs: list[dict[str, Any]],
        usage: dict[str, Any],
    ) -> TrainingRun:
        """Store a batch of finished chunks: pairs, progress and usage in one write.

        This also works for a run that a person has stopped, until somebody proceeds with it,
        because these answers are paid for. `lost` is then set.
        """
        return self.call_to_save("save_pairs", p_chunks=chunks, p_pairs=pairs, p_usage=usage)

    def finish_generation(self) -> None:
        self.call("finish_generation")

    def note_training(self, step: str, share: float) -> None:
        """Store the progress of training: `step` in words, `share` from 0 to 1."""
        progress = {"step": step, "share": round(share, 3)}
        self.call("note_training", p_progress=progress)

    def finish_training(self, metrics: dict[str, Any], *, activate: bool) -> None:
        self.call("finish_training", p_metrics=metrics, p_activate=activate)

    def fail(self, message: str) -> None:
        self.call("fail_run", p_message=message)

    def fail_once(self, message: str) -> None:
        """Like `fail`, but without retrying: for a process that is about to end."""
        self.database.rpc("fail_run", **self._key, p_message=message)

    def call(self, function: str, **parameters: Any) -> Any:
        """Call a database function that requires the lease, and return its answer.

        Raises:
            RunLost: the lease is gone, and nothing was written.
        """
        answer = self.retrying(
            lambda: self._asked(lambda: self.database.rpc(function, **self._key, **parameters))
        )
        self._require(bool(answer))
        return answer

    def call_to_save(self, function: str, **parameters: Any) -> TrainingRun:
        """Like `call`, for answers that are paid for: a stopped run accepts them, then is lost."""
        run = run_from_row(self.call(function, **parameters)[0])
        if run.status is not RunStatus.GENERATING:
            self.lost.set()
        return run

    def retrying(self, statement: Callable[[], Answer]) -> Answer:
        """Retry `statement`, with growing pauses, for as long as the database is unavailable.

        If the lease is lost meanwhile, it is tried once more at once, because what it stores may
        be paid for.

        Raises:
            RunLost: that last try failed too.
        """

        def on_pause(error: DatabaseUnavailable, pause_s: float) -> None:
            self._kept_from_writing = Waiting(error.waits_for)
            log.warning("%s run=%s retry_in_s=%.1f", error.code, self.run_id, pause_s)

        try:
            return until_available(statement, self.lost, on_pause)
        except DatabaseUnavailable:
            raise RunLost from None
        finally:
            self._kept_from_writing = None

    def _chunks_after(self, chunk_id: str) -> list[dict[str, Any]]:
        return self.database.execute(
            lambda c: (
                c.table("deep_memory_run_chunks")
                .select("chunk_id")
                .eq("training_run_id", self.run_id)
                .gt("chunk_id", chunk_id)
                .order("chunk_id")
                .limit(PAGE_ROWS)
            )
        ).data

    def _asked(self, statement: Callable[[], Answer]) -> Answer:
        # Taken before the call: this process may be suspended before it reads the answer.
        asked_at = time.monotonic()
        answer = statement()
        self._held_at = asked_at
        return answer

    def _require(self, held: bool) -> None:
        if not held:
            self.lost.set()
            raise RunLost
