"""Calls to DeepLake Cloud with a time limit, which its own client does not have."""

from __future__ import annotations

import logging
import pickle
import queue
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import IO, Any, cast

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    sleep_using_event,
    stop_after_attempt,
    stop_any,
    stop_before_delay,
    stop_when_event_set,
    wait_exponential,
    wait_random,
)

from services.config import PROJECT_ROOT
from services.retrieval.cloud_failures import CloudFailure, Failure
from services.retrieval.deadline import Deadline
from services.waits import Waits

log = logging.getLogger(__name__)

# With less time left, another try would fail as "late" and hide why the one before it failed.
_SHORTEST_TRY_S = 1.0


@dataclass(frozen=True, slots=True)
class CloudRetryPolicy:
    """How often a failed call is tried, and the first wait in seconds; the waits double."""

    attempts: int = 5
    first_wait_s: float = 1.0
    longest_wait_s: float = 30.0


class CloudProcesses:
    """At most `size` processes that talk to DeepLake Cloud, shared by all threads.

    Each is started when a call finds the others busy, and restarted after a kill. Nothing that the
    library does can hold a caller beyond its deadline, or write to the app's output.
    """

    def __init__(
        self,
        token: str,
        endpoint: str | None = None,
        retry_policy: CloudRetryPolicy | None = None,
        *,
        size: int = 1,
    ) -> None:
        self._retry_policy = retry_policy or CloudRetryPolicy()
        self.waits = Waits()
        self._size = size
        # Last in, first out, so that no more processes are started than needed.
        self._free: queue.LifoQueue[_Process] = queue.LifoQueue()
        for _ in range(size):
            self._free.put(_Process(token, endpoint))

    def call(
        self,
        name: str,
        *arguments: Any,
        deadline: Deadline,
        repeatable: bool = True,
        stop: threading.Event | None = None,
    ) -> Any:
        """Call a method of `cloud_worker.Cloud`. All tries and waits end at `deadline`.

        A failure that may pass is retried, with growing waits, if the call is `repeatable`, which
        means that repeating it does no harm. `stop` ends the waits.

        Raises:
            CloudFailure: it did not work; its kind says why.
        """
        stop = stop or threading.Event()
        attempts = self._retry_policy.attempts if repeatable else 1
        first_s = self._retry_policy.first_wait_s
        retrying = Retrying(
            retry=retry_if_exception(_may_pass),
            stop=stop_any(
                stop_after_attempt(attempts),
                stop_when_event_set(stop),
                stop_before_delay(deadline.left_s - _SHORTEST_TRY_S),
            ),
            wait=wait_exponential(multiplier=first_s, max=self._retry_policy.longest_wait_s)
            + wait_random(0, first_s),
            sleep=sleep_using_event(stop),
            before_sleep=lambda state: self._say_failure(name, state),
            reraise=True,
        )
        with self.waits.call():
            return retrying(self._once, name, arguments, deadline)

    def close(self) -> None:
        """End each process when its call is done. The next call starts a new one."""
        for process in [self._free.get() for _ in range(self._size)]:
            process.end()
            self._free.put(process)

    def _once(self, name: str, arguments: tuple[Any, ...], deadline: Deadline) -> Any:
        self.waits.end()
        try:
            process = self._free.get(timeout=deadline.left_s)
        except queue.Empty:
            raise CloudFailure(Failure.LATE, "other calls took all the time") from None
        try:
            answer = process.ask(name, arguments, deadline.left_s)
        finally:
            self._free.put(process)
        if isinstance(answer, CloudFailure):
            raise answer
        return answer

    def _say_failure(self, name: str, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, CloudFailure):
            log.info("cloud_call_failed call=%s kind=%s %s", name, error.kind, error.detail)
            is_limited = error.kind is Failure.LIMITED
            what = "DeepLake Cloud's rate limit" if is_limited else "DeepLake Cloud to answer"
            self.waits.begin(what, state.upcoming_sleep)


class _Process:
    """One process, for one caller at a time."""

    def __init__(self, token: str, endpoint: str | None) -> None:
        self._hello = (token, endpoint)
        self._process: subprocess.Popen[bytes] | None = None
        self._is_ready = False

    def ask(self, name: str, arguments: tuple[Any, ...], seconds: float) -> Any:
        """What the method returned, or a CloudFailure. The process is killed after `seconds`.

        It is not killed while it starts: a machine too busy to start it in time never would.
        """
        ends_at = time.monotonic() + seconds
        process = self.start()
        if not self._is_ready and not wait([cast(IO[bytes], process.stdout).fileno()], seconds):
            raise CloudFailure(Failure.LATE, "the process is starting")
        killed = threading.Event()

        def kill() -> None:
            killed.set()
            process.kill()

        timer = threading.Timer(ends_at - time.monotonic(), kill)
        timer.daemon = True
        timer.start()
        try:
            if not self._is_ready:
                self._is_ready = pickle.load(cast(IO[bytes], process.stdout))
            pickle.dump((name, arguments), cast(IO[bytes], process.stdin))
            cast(IO[bytes], process.stdin).flush()
            return pickle.load(cast(IO[bytes], process.stdout))
        except (EOFError, OSError, pickle.UnpicklingError) as error:
            self.end()
            kind = Failure.LATE if killed.is_set() else Failure.SERVER
            raise CloudFailure(kind, "the process was ended") from error
        finally:
            timer.cancel()

    def start(self) -> subprocess.Popen[bytes]:
        """The process, started unless it is running. It may not be ready yet."""
        if self._process is None or self._process.poll() is not None:
            self.end()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "services.retrieval.cloud_worker"],
                cwd=PROJECT_ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            pickle.dump(self._hello, cast(IO[bytes], self._process.stdin))
            with suppress(BrokenPipeError):  # it has died; reading its answer will show that
                cast(IO[bytes], self._process.stdin).flush()
        return self._process

    def end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe:
                    _close(pipe)
            self._process, self._is_ready = None, False


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, CloudFailure) and error.kind.may_pass


def _close(pipe: IO[bytes]) -> None:
    try:
        pipe.close()
    except BrokenPipeError:
        log.debug("cloud_process_pipe_broken")  # what was still buffered, for a killed process
