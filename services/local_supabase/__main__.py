"""The process of the embedded stack: `python -m services.local_supabase DATA_DIR [--port N]`.

It reports to its parent in JSON lines on stdout: `{"status": ...}`, then
`{"ready": {"url", "dsn", "demo_email"}}` or `{"error": {"message", "next_step", "code"}}`. It exits
when its standard input closes, so that an app that was killed leaves nothing behind.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import psycopg

from services.errors import AppError, DatabaseUnavailable
from services.local_supabase import data_folder, postgrest
from services.local_supabase.demo import DEMO_EMAIL, ensure_demo_account
from services.local_supabase.migrations import (
    apply_migrations,
    bootstrap,
    connect,
    recorded_versions,
)
from services.local_supabase.postgres import Postgres
from services.local_supabase.postgrest import PostgREST
from services.schema import refuse_newer_schema

log = logging.getLogger(__name__)

PREFERRED_PORT = 54321  # The same as `supabase start` uses.
_SUPERVISION_INTERVAL_S = 0.5


def main() -> int:
    arguments = argparse.ArgumentParser(prog="services.local_supabase")
    arguments.add_argument("data_dir", type=Path)
    arguments.add_argument("--port", type=int, default=PREFERRED_PORT)
    chosen = arguments.parse_args()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s")
    stop = threading.Event()
    # Ctrl-C and systemd signal every process at once; the app still needs us while it shuts down.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_stop_when_stdin_ends, args=(stop,), daemon=True).start()
    try:
        _run(chosen.data_dir.resolve(), chosen.port, stop)
    except AppError as error:
        log.exception("local_supabase_failed")
        _say(error={"message": str(error), "next_step": error.next_step, "code": error.code})
        return 1
    return 0


def _run(data_dir: Path, port: int, stop: threading.Event) -> None:
    secrets = data_folder.load_or_create_secrets(data_dir)
    postgres = Postgres(data_dir)
    with ThreadPoolExecutor(max_workers=2) as background:
        binary = background.submit(postgrest.find_or_fetch, data_dir, _say_status)
        # Its import takes as long as Postgres does to start.
        gateway_module = background.submit(__import__, "services.local_supabase.serving")
        try:
            if not (data_dir / "postgres").exists():
                _say_status("Creating the database (first start only)…")
            postgres.start()
            demo_email = _migrate(postgres, secrets)
            rest = PostgREST(binary.result(), postgres.dsn("authenticator"), secrets.jwt_secret)
            rest.start()
            gateway_module.result()
        except BaseException:
            postgres.stop()
            raise
    from services.local_supabase.serving import serving

    try:
        listener = _listen(port)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        reserved = {DEMO_EMAIL, demo_email}
        with serving(listener, postgres.dsn(), secrets, lambda: rest.url, reserved):
            _say(ready={"url": url, "dsn": postgres.dsn(), "demo_email": demo_email})
            _supervise(postgres, rest, stop)
    finally:
        rest.stop()
        postgres.stop()


def _migrate(postgres: Postgres, secrets: data_folder.Secrets) -> str:
    """Bring the database up to date, and return the e-mail address of the demo account in it."""
    try:
        with connect(postgres.dsn()) as connection:
            refuse_newer_schema(recorded_versions(connection))
            bootstrap(connection)
            apply_migrations(connection)
            return ensure_demo_account(connection, secrets.demo_password)
    except psycopg.OperationalError as error:
        raise DatabaseUnavailable(
            f"The database cannot be brought up to date: {error}. What is stored is safe."
        ) from error


def _supervise(postgres: Postgres, rest: PostgREST, stop: threading.Event) -> None:
    """Restart whatever dies, until `stop` is set or the parent is gone."""
    parent = os.getppid()
    while not stop.wait(_SUPERVISION_INTERVAL_S) and os.getppid() == parent:
        try:
            if not postgres.is_running:
                log.warning("postgres_died")
                postgres.start()
                # PostgREST reconnects by itself, but doubles its wait after each attempt.
                rest.stop()
            if not rest.is_running:
                log.warning("postgrest_died")
                rest.start()
        except AppError:
            log.exception("restart_failed")  # Tried again in the next round.


def _listen(port: int) -> socket.socket:
    try:
        return _bound(port)
    except OSError:
        listener = _bound(0)
        _say_status(f"Port {port} is busy; Supabase uses {listener.getsockname()[1]}.")
        return listener


def _bound(port: int) -> socket.socket:
    # Without the explicit protocol asyncio leaves Nagle's algorithm on: 40 ms more per answer.
    listener = socket.socket(proto=socket.IPPROTO_TCP)
    try:
        # Otherwise a port whose last connections are still closing counts as busy.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(256)
    except OSError:
        listener.close()
        raise
    return listener


def _stop_when_stdin_ends(stop: threading.Event) -> None:
    with suppress(OSError):
        while os.read(sys.stdin.fileno(), 1024):
            pass
    stop.set()


def _say_status(status: str) -> None:
    _say(status=status)


def _say(**message: object) -> None:
    # One write for the line and its newline: several threads report at the same time.
    with suppress(BrokenPipeError):  # Nobody listens any more: stdin is closing, too.
        os.write(sys.stdout.fileno(), (json.dumps(message) + "\n").encode())


if __name__ == "__main__":
    sys.exit(main())
