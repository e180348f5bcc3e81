"""Worker threads: claim a run, keep its lease, do its job, and report any failure in the row."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping

from services.accounts.database import Database
from services.errors import AppError, DatabaseUnavailable
from services.models import TrainingRun, Waiting
from services.runs.lease import RunLease, RunLost
from services.runs.states import RunStatus

log = logging.getLogger(__name__)

HEARTBEAT_S = 10.0  # the lease lasts 28 seconds, by the database's clock
SWEEP_S = 10.0  # rescue_runs() takes a gap of 15 seconds between sweeps for an outage
POLL_S = 2.0  # how soon a stop from another process is noticed

Job = Callable[[RunLease, TrainingRun], None]

_PHASE = {
    RunStatus.GENERATING: "it was generating questions",
    RunStatus.TRAINING: "Deep Memory was training",
}


class JobRunner:
    """Runs jobs in threads of this process, and rescues runs whose process is gone.

    `jobs` maps each active status to its job. A job gets the lease and the run, checks
    `lease.lost` before each expensive step, and raises RunLost when it is set.
    """

    def __init__(self, service: Database, jobs: Mapping[RunStatus, Job]) -> None:
        self._service = service
        self._jobs = jobs
        self._working: dict[RunLease, threading.Thread] = {}
        self._lock = threading.Lock()
        self._ending = threading.Event()

    def start_sweeping(self) -> None:
        """Fail, now and every 10 seconds, the runs and imports that no worker holds any more."""
        threading.Thread(target=self._sweep, name="sweep", daemon=True).start()

    def launch(self, run: TrainingRun) -> None:
        """Work on a run that was just started or resumed, in a thread of its own."""
        lease = RunLease(self._service, run)
        # Daemon: a job must not keep an ending process alive. drain() ends jobs cleanly.
        thread = threading.Thread(
            target=self._work, args=(lease, run), name=f"run-{run.id}", daemon=True
        )
        with self._lock:
            if self._ending.is_set():
                return  # the run's initial lease expires, and the run is rescued
            self._working[lease] = thread
            thread.start()

    def stop_here(self, stopped: TrainingRun) -> None:
        """If the run's worker is in this process, tell it at once that the run was stopped."""
        with self._lock:
            # Not a later attempt: somebody may have proceeded with the run in the meantime.
            leases = [
                lease
                for lease in self._working
                if lease.run_id == stopped.id and lease.attempt <= stopped.attempt
            ]
        for lease in leases:
            lease.lost.set()

    def waiting(self, run_id: str) -> Waiting | None:
        """What a run waits for; None if it progresses, or its worker is not in this process."""
        with self._lock:
            leases = [lease for lease in self._working if lease.run_id == run_id]
        return next((lease.waiting for lease in leases if not lease.lost.is_set()), None)

    def drain(self, timeout_s: float = 3.0) -> None:
        """Stop all work of this process, and say so in the rows. For a clean shutdown.

        It returns in time even if the database does not answer; the runs are then rescued.
        """
        deadline = time.monotonic() + timeout_s
        with self._lock:
            self._ending.set()
            working = dict(self._working)
        for lease in working:
            lease.lost.set()
        farewells = [
            threading.Thread(
                target=self._say_shut_down,
                args=(lease, thread, timeout_s - 1.0),
                name=f"farewell-{lease.run_id}",
                daemon=True,
            )
            for lease, thread in working.items()
        ]
        for farewell in farewells:
            farewell.start()
        for farewell in farewells:
            farewell.join(max(0.0, deadline - time.monotonic()))

    def _say_shut_down(self, lease: RunLease, worker: threading.Thread, timeout_s: float) -> None:
        worker.join(timeout_s)  # it awaits the answers in flight, and stores what is finished
        try:
            lease.fail_once("The app was shut down during this run. What was made is kept.")
        except AppError:
            log.warning("drain_could_not_say run=%s", lease.run_id)

    def _work(self, lease: RunLease, run: TrainingRun) -> None:
        done = threading.Event()
        try:
            run = lease.claim()
            log.info("run_claimed run=%s status=%s attempt=%d", run.id, run.status, run.attempt)
            threading.Thread(
                target=self._keep, args=(lease, done), name=f"heartbeat-{run.id}", daemon=True
            ).start()
            self._jobs[run.status](lease, run)
            log.info("run_left run=%s status=%s", run.id, run.status)
        except RunLost:
            log.info("run_lost run=%s", run.id)
        except AppError as error:
            log.warning("run_failed run=%s code=%s", run.id, error.code, exc_info=error.__cause__)
            self._fail(lease, f"{error} {error.next_step}")
        except Exception:
            log.exception("run_failed_unexpectedly run=%s", run.id)
            self._fail(
                lease,
                f"Something unexpected happened while {_PHASE[run.status]}. What was made is kept; "
                "the cause is in the app's log. Proceed tries again.",
            )
        finally:
            done.set()
            if lease.lost.is_set():
                self._leave(lease)
            with self._lock:
                self._working.pop(lease, None)

    def _fail(self, lease: RunLease, message: str) -> None:
        try:
            lease.fail(message)
        except RunLost:
            log.info("run_lost run=%s", lease.run_id)

    def _leave(self, lease: RunLease) -> None:
        try:
            lease.leave()
        except AppError:  # whoever proceeds waits a few seconds for this, then continues anyway
            log.warning("leaving_could_not_be_said run=%s", lease.run_id)

    def _keep(self, lease: RunLease, done: threading.Event) -> None:
        """Send heartbeats and poll, in a separate thread: a call to a model can outlast a lease."""
        extended_at = time.monotonic()
        while not done.wait(POLL_S) and not lease.lost.is_set():
            try:
                if time.monotonic() - extended_at >= HEARTBEAT_S:
                    lease.heartbeat()
                    extended_at = time.monotonic()
                else:
                    lease.poll()
                lease.note_waiting()
            except RunLost:
                return
            except DatabaseUnavailable:
                log.warning("heartbeat_failed run=%s", lease.run_id)
            except Exception:
                log.exception("heartbeat_failed run=%s", lease.run_id)

    def _sweep(self) -> None:
        while not self._ending.is_set():
            try:
                for row in self._service.rpc("rescue_runs"):
                    log.warning("run_rescued run=%s status=%s", row["id"], row["status"])
                for row in self._service.rpc("rescue_imports"):
                    log.warning("import_rescued import=%s", row["id"])
            except DatabaseUnavailable:
                log.warning("sweep_failed")
            except Exception:
                log.exception("sweep_failed")
            self._ending.wait(SWEEP_S)
