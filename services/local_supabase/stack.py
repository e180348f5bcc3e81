"""The embedded Supabase as the app sees it: start it, use its address and keys, stop it."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.config import PROJECT_ROOT
from services.errors import AppError, ConfigurationError, DatabaseUnavailable
from services.local_supabase import data_folder

log = logging.getLogger(__name__)

_STOP_TIMEOUT_S = 20
_LARGEST_LOG = 2**20


def start_local_supabase(
    data_dir: Path, *, on_status: Callable[[str], None] = lambda status: None
) -> LocalSupabase:
    """Start Postgres, PostgREST and the gateway of this data folder, in a separate process.

    `on_status` receives a message for people about each step that takes time.

    Raises:
        ConfigurationError: the folder, the disk, the network or a migration prevents it.
        DatabaseUnavailable: a part does not start.
    """
    data_dir = data_dir.expanduser().resolve()
    data_folder.prepare(data_dir)
    return LocalSupabase(data_dir, on_status)


class LocalSupabase:
    """A running stack. It ends with `stop()`, or with this process, however that ends."""

    def __init__(self, data_dir: Path, on_status: Callable[[str], None]) -> None:
        self.data_dir = data_dir
        self._stopping = threading.Event()
        secrets = data_folder.load_or_create_secrets(data_dir)
        self.publishable_key = secrets.publishable_key
        self.secret_key = secrets.secret_key
        self.demo_password = secrets.demo_password
        self._running = _launch(data_dir, on_status)
        self._guard = threading.Thread(target=self._restart_when_it_dies, daemon=True)
        self._guard.start()

    @property
    def url(self) -> str:
        return self._running.url

    @property
    def demo_email(self) -> str:
        return self._running.demo_email

    @property
    def dsn(self) -> str:
        """Where the database owner connects, over a socket that only this account may open."""
        return self._running.dsn

    @property
    def pid(self) -> int:
        return self._running.process.pid

    def stop(self) -> None:
        """Stop the stack. Postgres keeps running while another app uses the folder. Repeatable."""
        self._stopping.set()
        self._running.stop()
        self._guard.join(timeout=_STOP_TIMEOUT_S)

    def _restart_when_it_dies(self) -> None:
        while True:
            self._running.process.wait()
            if self._stopping.is_set():
                return
            log.error("local_supabase_died", extra={"pid": self._running.process.pid})
            self._running.clear_away()
            try:
                # On the same port, because existing clients use this address.
                self._running = _launch(self.data_dir, log.info, port=self._running.port)
            except AppError:
                log.exception("local_supabase_restart_failed")
            if self._stopping.wait(1):
                self._running.stop()
                return


@dataclass(frozen=True)
class _Running:
    process: subprocess.Popen[bytes]
    url: str
    dsn: str
    demo_email: str

    @property
    def port(self) -> str:
        return self.url.rpartition(":")[2]

    def stop(self) -> None:
        _close(self.process)

    def clear_away(self) -> None:
        """Terminate what a killed process left in its group, and close its pipes."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGTERM)
        _close(self.process)


def _launch(data_dir: Path, on_status: Callable[[str], None], port: str | None = None) -> _Running:
    command = [sys.executable, "-m", "services.local_supabase", str(data_dir)]
    with data_folder.disk_trouble_explained(data_dir), _log_file(data_dir).open("ab") as log_file:
        process = subprocess.Popen(
            command + (["--port", port] if port else []),
            cwd=PROJECT_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log_file,
            # Ctrl-C goes to a whole process group: the app needs the database to wind down.
            start_new_session=True,
        )
    try:
        ready = _wait_until_ready(process, on_status, data_dir)
    except BaseException:
        _close(process)
        raise
    return _Running(process, **ready)


def _wait_until_ready(
    process: subprocess.Popen[bytes], on_status: Callable[[str], None], data_dir: Path
) -> dict[str, Any]:
    assert process.stdout is not None
    for line in process.stdout:
        message = json.loads(line)
        if "ready" in message:
            return message["ready"]
        if "error" in message:
            raise _told(message["error"])
        on_status(message["status"])
    raise DatabaseUnavailable(
        f"The embedded Supabase ended before it was ready (see {_log_file(data_dir)})."
        " What is stored is safe.",
        next_step="Start the app again.",
    )


def _told(error: dict[str, str]) -> AppError:
    kind = ConfigurationError if error["code"] == ConfigurationError.code else DatabaseUnavailable
    return kind(error["message"], next_step=error["next_step"])


def _close(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None and process.stdout is not None
    with suppress(BrokenPipeError):
        process.stdin.close()
    try:
        process.wait(timeout=_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        log.error("local_supabase_killed", extra={"pid": process.pid})
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    process.stdout.close()


def _log_file(data_dir: Path) -> Path:
    path = data_dir / "local_supabase.log"
    if path.exists() and path.stat().st_size > _LARGEST_LOG:
        path.replace(path.with_suffix(".old.log"))
    return path
