"""Runs the gateway on a socket, in its own thread."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

import uvicorn
from psycopg_pool import ConnectionPool

from services.errors import DatabaseUnavailable
from services.local_supabase.auth import Accounts
from services.local_supabase.data_folder import Secrets
from services.local_supabase.gateway import Keys, create_gateway


@contextmanager
def serving(
    listener: socket.socket,
    dsn: str,
    secrets: Secrets,
    rest_url: Callable[[], str],
    reserved: Collection[str],
) -> Iterator[None]:
    """Serve on `listener` during the block. Nobody can sign up with an e-mail in `reserved`."""
    pool = ConnectionPool(
        dsn, min_size=1, max_size=8, timeout=5, check=ConnectionPool.check_connection, open=False
    )
    gateway = create_gateway(
        Accounts(pool, secrets.jwt_secret, reserved),
        Keys(publishable=secrets.publishable_key, secret=secrets.secret_key),
        rest_url,
    )
    config = uvicorn.Config(
        gateway,
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,  # PostgREST's own header is passed on.
        timeout_graceful_shutdown=3,
        # Longer than clients keep an idle connection; otherwise it may close as they send.
        timeout_keep_alive=60,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), name="gateway")
    with pool:
        thread.start()
        try:
            while not server.started:
                if not thread.is_alive():
                    raise DatabaseUnavailable("The gateway of the embedded Supabase ended.")
                time.sleep(0.005)
            yield
        finally:
            server.should_exit = True
            thread.join()
