"""Reads files in processes of their own, a few at a time, so that no file can take the app down."""

from __future__ import annotations

import json
import logging
import os
import select
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from services.config import PROJECT_ROOT
from services.errors import DocumentRejected
from services.reading import rejections
from services.reading.blocks import Block, Reading
from services.reading.files import OnProgress, Rejected

log = logging.getLogger(__name__)

PROCESSES = 2
_WAITS_S = 0.5
_BYTES_AT_ONCE = 2**20
# The settings of the app, with its keys, are none of a reader's business.
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "TMPDIR")


class GivenUp(Exception):
    """Whoever asked for a file does not want it read any more. Not a failure."""


class Readers:
    """The reading processes that all imports share.

    Whoever waits longest is next, and asks for one file at a time: so of two people with a
    thousand files each, both get every second turn.
    """

    def __init__(self, processes: int = PROCESSES) -> None:
        self._all = tuple(ReadingProcess() for _ in range(processes))
        self._free = list(self._all)
        self._waiting: deque[_Ticket] = deque()
        self._lock = threading.Lock()
        self._ended = threading.Event()

    def read(
        self, name: str, path: Path, on_progress: OnProgress, lost: threading.Event
    ) -> Generator[Reading | Rejected]:
        """Read the file at `path`, called `name`: an outcome for each document in it.

        Raises:
            GivenUp: `lost` was set, or the app ends.
        """
        with self._turn(lost) as process:
            yield from process.read(name, path, on_progress, lost)

    def stop(self) -> None:
        """End the processes, whatever they are doing, for good."""
        self._ended.set()
        for process in self._all:
            process.kill()

    @contextmanager
    def _turn(self, lost: threading.Event) -> Iterator[ReadingProcess]:
        process = self._taken(lost)
        try:
            yield process
        finally:
            with self._lock:
                if self._waiting:
                    self._waiting.popleft().call(process)
                else:
                    self._free.append(process)

    def _taken(self, lost: threading.Event) -> ReadingProcess:
        with self._lock:
            if self._free:  # then nobody waits
                return self._free.pop()
            ticket = _Ticket()
            self._waiting.append(ticket)
        while not ticket.called.wait(_WAITS_S):
            if not (lost.is_set() or self._ended.is_set()):
                continue
            with self._lock:
                if ticket.process is None:
                    self._waiting.remove(ticket)
                    raise GivenUp
        assert ticket.process is not None, "it was called"
        return ticket.process


class _Ticket:
    """A place in the queue for a process."""

    def __init__(self) -> None:
        self.called = threading.Event()
        self.process: ReadingProcess | None = None

    def call(self, process: ReadingProcess) -> None:
        self.process = process
        self.called.set()


class ReadingProcess:
    """A process that reads one file after the other. It is started when it is needed; when it has
    died, or had nothing to do for a while, a new one takes its place."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._ended = False
        self._starting = threading.Lock()

    def read(
        self,
        name: str,
        path: Path,
        on_progress: OnProgress,
        lost: threading.Event,
        *,
        is_first_try: bool = True,
    ) -> Iterator[Reading | Rejected]:
        request = json.dumps({"name": name, "path": str(path)}).encode() + b"\n"
        process = self._asked(request)
        is_done = has_begun = False
        try:
            for line in _lines(process, lost):
                has_begun = True
                message = json.loads(line)
                if "progress" in message:
                    on_progress(message["progress"])
                elif "reading" in message:
                    yield _reading(message["reading"])
                elif "rejected" in message:
                    yield _rejected(message["rejected"])
                elif "failed" in message:
                    log.error("reader_failed where=%r", message["failed"])
                else:
                    is_done = True
                    return
            if not has_begun and is_first_try:
                # It was ending when it was asked, and has not seen the file.
                process.kill()
                process.wait()
                yield from self.read(name, path, on_progress, lost, is_first_try=False)
            else:
                yield self._died(name, process, lost)
        finally:
            if not is_done:  # also when the caller wants no more of it
                process.kill()
                process.wait()

    def kill(self) -> None:
        """End the process, and start no other."""
        with self._starting:
            self._ended = True
            if self._process is not None:
                self._process.kill()

    def _died(self, name: str, process: subprocess.Popen[bytes], lost: threading.Event) -> Rejected:
        code = process.wait()
        if self._ended or lost.is_set():
            raise GivenUp
        log.warning("reader_died code=%d", code)
        how = "takes too long to read"
        if code != -signal.SIGXCPU:
            how = "makes its reader fail, or takes too much memory"
        return name, rejections.too_intricate(name, how)

    def _asked(self, request: bytes) -> subprocess.Popen[bytes]:
        """The process, with the request sent to it."""
        while True:
            process = self._running()
            assert process.stdin is not None
            try:
                process.stdin.write(request)
                process.stdin.flush()
                return process
            except BrokenPipeError:  # it had nothing to do, and ended at this moment
                process.wait()

    def _running(self) -> subprocess.Popen[bytes]:
        with self._starting:
            if self._ended:
                raise GivenUp
            if self._process is None or self._process.poll() is not None:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "services.reading"],
                    cwd=PROJECT_ROOT,
                    env={key: os.environ[key] for key in _PASSED_ON if key in os.environ},
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    start_new_session=True,  # Ctrl-C is for the app, which then ends this too
                )
            return self._process


def _lines(process: subprocess.Popen[bytes], lost: threading.Event) -> Iterator[bytes]:
    """The lines that a process writes, until it ends.

    Raises:
        GivenUp: `lost` was set.
    """
    assert process.stdout is not None
    begun = bytearray()
    said = select.poll()  # select() fails when the process has a thousand files open
    said.register(process.stdout, select.POLLIN)
    while True:
        while not said.poll(1_000 * _WAITS_S):
            if lost.is_set():
                raise GivenUp
        piece = os.read(process.stdout.fileno(), _BYTES_AT_ONCE)
        if not piece:
            return
        *whole, rest = piece.split(b"\n")
        for end in whole:
            begun += end
            yield bytes(begun)
            begun.clear()
        begun += rest


def _reading(message: list[Any]) -> Reading:
    name, rows, notes = message
    return Reading(name, tuple(Block(*row) for row in rows), tuple(notes))


def _rejected(message: dict[str, Any]) -> Rejected:
    error = DocumentRejected(message["message"], next_step=message["next_step"])
    return message["name"], error
