"""Answers do not wait for acknowledgements, whoever made the listening socket."""

from __future__ import annotations

import socket

from services.http.no_delay import answer_without_delay


def test_what_a_listener_accepts_sends_at_once() -> None:
    with socket.socket() as listener:  # as Streamlit makes it: without naming TCP
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        answer_without_delay()
        with socket.create_connection(listener.getsockname()), listener.accept()[0] as accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
