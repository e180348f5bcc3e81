"""Answers leave at once. Without this, each small one waits 40 ms for the client's last word."""

from __future__ import annotations

import gc
import socket


def answer_without_delay() -> None:
    """Switch off Nagle's algorithm for what this process listens on, and so for what it accepts.

    asyncio does so for every connection, but knows TCP by the socket's `proto`, which Streamlit
    (1.67, `_bind_socket`) does not set; uvicorn then sends the head and the body of an answer
    apart, and the body waits until the client acknowledges the head. Nothing hands out that
    socket, so it is looked for.
    """
    for thing in gc.get_objects():
        if isinstance(thing, socket.socket) and thing.fileno() >= 0 and _listens_for_tcp(thing):
            thing.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _listens_for_tcp(candidate: socket.socket) -> bool:
    return (
        candidate.family in (socket.AF_INET, socket.AF_INET6)
        and candidate.type == socket.SOCK_STREAM
        and candidate.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
    )
