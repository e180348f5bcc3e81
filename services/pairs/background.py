"""A check of pairs in a thread, so that nobody waits for it. It knows no screen."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from services.errors import AppError
from services.pairs.doubt import Progress

log = logging.getLogger(__name__)


class Checks:
    """The checks of a process, one for each run, whichever session began it."""

    def __init__(self) -> None:
        self._of: dict[str, Checking] = {}
        self._lock = threading.Lock()

    def begin(self, run_id: str, work: Callable[[Progress], None]) -> Checking:
        """Begin a check of this run, unless one is at work; return the one that is."""
        with self._lock:
            self._of = {id_: check for id_, check in self._of.items() if not check.is_done}
            if run_id not in self._of:
                self._of[run_id] = Checking(work)
            return self._of[run_id]


class Checking:
    """One check, begun when this is made. What it found is in the database; see `PairStore`."""

    def __init__(self, work: Callable[[Progress], None]) -> None:
        self.share = 0.0  # done, from 0 to 1
        self.error: AppError | None = None  # why it ended early
        self._work = work
        # Daemon: an app that shuts down need not wait; what was not noted is checked again.
        self._thread = threading.Thread(target=self._run, name="check-pairs", daemon=True)
        self._thread.start()

    @property
    def is_done(self) -> bool:
        return not self._thread.is_alive()

    def wait(self, seconds: float) -> bool:
        """Wait for so long; whether it is done."""
        self._thread.join(seconds)
        return self.is_done

    def _run(self) -> None:
        try:
            self._work(self._note)
        except AppError as error:
            self.error = error
        except Exception as error:
            log.exception("pair_check_failed", exc_info=error)
            self.error = AppError("The pairs could not be checked.")

    def _note(self, share: float) -> None:
        self.share = share
