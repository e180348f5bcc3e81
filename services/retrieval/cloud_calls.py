"""Calls to DeepLake Cloud with a bound in time, which its own client does not have."""

from __future__ import annotations

import logging
import pickle
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from typing import IO, Any, cast

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    sleep_using_event,
    stop_after_attempt,
    stop_any,
    stop_when_event_set,
    wait_exponential,
    wait_random,
)

from services.config import PROJECT_ROOT
from services.retrieval.cloud_failures import CloudFailure, Failure
from services.waits import Waits

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CloudPatience:
    """How often a call that failed is tried, and the first wait in seconds; the waits double."""

    attempts: int = 5
    first_wait_s: float = 1.0
    longest_wait_s: float = 30.0


class CloudProcess:
    """A process that speaks to DeepLake Cloud, started at the first call and after each kill.

    Threads take turns. Nothing that the library does can hold a caller longer than the deadline,
    or write to the app's output.
    """

    def __init__(
        self, token: str, endpoint: str | None = None, patience: CloudPatience | None = None
    ) -> None:
        self._hello = (token, endpoint)
        self._patience = patience or CloudPatience()
        self._process: subprocess.Popen[bytes] | None = None
        self._turn = threading.Lock()
        self.waits = Waits()

    def call(
        self,
        name: str,
        *arguments: Any,
        deadline_s: float,
        repeatable: bool = True,
        stop: threading.Event | None = None,
    ) -> Any:
        """Call a method of `cloud_worker.Cloud`. Each try may take `deadline_s`.

        What may pass is tried again, with growing waits, if the call is `repeatable`: one that
        does its work twice without harm. `stop` ends the waits.

        Raises:
            CloudFailure: it did not work; its kind says why.
        """
        stop = stop or threading.Event()
        attempts = self._patience.attempts if repeatable else 1
        first_s = self._patience.first_wait_s
        retrying = Retrying(
            retry=retry_if_exception(_may_pass),
            stop=stop_any(stop_after_attempt(attempts), stop_when_event_set(stop)),
            wait=wait_exponential(multiplier=first_s, max=self._patience.longest_wait_s)
            + wait_random(0, first_s),
            sleep=sleep_using_event(stop),
            before_sleep=lambda state: self._say_failure(name, state),
            reraise=True,
        )
        with self.waits.call():
            return retrying(self._once, name, arguments, deadline_s)

    def close(self) -> None:
        """End the process. The next call starts a new one."""
        with self._turn:
            self._end()

    def _once(self, name: str, arguments: tuple[Any, ...], deadline_s: float) -> Any:
        # Waiting for a turn counts: no caller may wait without a bound.
        self.waits.end()
        ends_at = time.monotonic() + deadline_s
        if not self._turn.acquire(timeout=deadline_s):
            raise CloudFailure(Failure.LATE, "other calls took all the time")
        try:
            answer = self._ask(name, arguments, ends_at - time.monotonic())
        finally:
            self._turn.release()
        if isinstance(answer, CloudFailure):
            raise answer
        return answer

    def _ask(self, name: str, arguments: tuple[Any, ...], seconds: float) -> Any:
        process = self._running()
        killed = threading.Event()

        def kill() -> None:
            killed.set()
            process.kill()

        timer = threading.Timer(seconds, kill)
        timer.daemon = True
        timer.start()
        try:
            pickle.dump((name, arguments), cast(IO[bytes], process.stdin))
            cast(IO[bytes], process.stdin).flush()
            return pickle.load(cast(IO[bytes], process.stdout))
        except (EOFError, OSError, pickle.UnpicklingError) as error:
            self._end()
            kind = Failure.LATE if killed.is_set() else Failure.SERVER
            raise CloudFailure(kind, "the process was ended") from error
        finally:
            timer.cancel()

    def _say_failure(self, name: str, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, CloudFailure):
            log.info("cloud_call_failed call=%s kind=%s %s", name, error.kind, error.detail)
            is_limited = error.kind is Failure.LIMITED
            what = "DeepLake Cloud's rate limit" if is_limited else "DeepLake Cloud to answer"
            self.waits.begin(what, state.upcoming_sleep)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._end()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "services.retrieval.cloud_worker"],
                cwd=PROJECT_ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            pickle.dump(self._hello, cast(IO[bytes], self._process.stdin))
        return self._process

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe:
                    _close(pipe)
            self._process = None


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, CloudFailure) and error.kind.may_pass


def _close(pipe: IO[bytes]) -> None:
    try:
        pipe.close()
    except BrokenPipeError:
        log.debug("cloud_process_pipe_broken")  # what was still buffered, for a killed process
