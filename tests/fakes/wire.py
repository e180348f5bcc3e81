"""An HTTP server on loopback that a fake is built upon: a call log, and faults on demand.

Threads and sockets of the standard library, because a fake must be able to do what a web framework
prevents: hang up before the answer, or in the middle of it.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]  # names in lower case
    text: str

    def json(self) -> Any:
        """The body as JSON. Raises ValueError."""
        return json.loads(self.text)


@dataclass(frozen=True, slots=True)
class Reply:
    """`cut` hangs up: 0 before the answer's first byte, 0.5 after half of its body."""

    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    cut: float | None = None

    @property
    def content(self) -> bytes:
        return self.body.encode() if isinstance(self.body, str) else json.dumps(self.body).encode()


@dataclass(frozen=True, slots=True)
class Call:
    """One line of the log. `status` is None when the server hung up."""

    at: float  # time.monotonic
    method: str
    path: str
    status: int | None
    request: Request
    seconds: float = 0.0  # until the answer was ready


Answer = Callable[[Request], Reply]
# Makes another reply of a request; the second argument gives the one that would have been.
Fault = Callable[[Request, Answer], Reply]


def hang_up(request: Request, answer: Answer) -> Reply:
    """Close the connection without an answer; the work was not done."""
    return Reply(0, "", cut=0.0)


def answer_by_half(request: Request, answer: Answer) -> Reply:
    """Do the work, then close the connection in the middle of the answer."""
    return replace(answer(request), cut=0.5)


def slow(seconds: float) -> Fault:
    """Do the work, and let the other side wait for the answer."""
    return lambda request, answer: replace(answer(request), delay_s=seconds)


def web_page(request: Request, answer: Answer) -> Reply:
    """What a proxy in between answers: status 200 and a page to sign in."""
    return Reply(200, "<html><body>Sign in</body></html>", {"content-type": "text/html"})


@dataclass
class _Scripted:
    fault: Fault
    times: float
    matching: str


class WireServer:
    """A context manager: listens from `start` to `stop`, on a free port unless told one.

    Subclasses say what is answered (`answer`), and which faults have a name (`faults`). No answer
    comes before `latency_s` have passed since the request was there.
    """

    def __init__(self, *, latency_s: float = 0.0, port: int = 0) -> None:
        self.latency_s = latency_s
        self.log: list[Call] = []
        self._port = port
        self._scripted: list[_Scripted] = []
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._server: ThreadingHTTPServer | None = None

    def answer(self, request: Request) -> Reply:
        raise NotImplementedError

    @property
    def faults(self) -> dict[str, Fault]:
        """The faults that `POST /_fake/faults` can ask for, by name."""
        return {"hang_up": hang_up, "answer_by_half": answer_by_half, "web_page": web_page}

    @property
    def url(self) -> str:
        assert self._server is not None, "the fake is not started"
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def fail(self, *faults: Fault, times: float = 1, matching: str = "") -> None:
        """Answer the next calls with `faults`, each `times` times, in this order.

        Only calls with `matching` in their path or body count.
        """
        with self._lock:
            self._scripted.extend(_Scripted(fault, times, matching) for fault in faults)

    def forgive(self) -> None:
        """Take back all faults that did not happen yet."""
        with self._lock:
            self._scripted.clear()

    def calls(self, path: str = "", text: str = "") -> list[Call]:
        """The logged calls with `path` in their path and `text` in their body."""
        with self._lock:
            return [call for call in self.log if path in call.path and text in call.request.text]

    def start(self) -> Self:
        fake = self

        class Handler(_Handler):
            wire = fake

        self._server = _Server(("127.0.0.1", self._port), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def stop(self) -> None:
        self._stopped.set()
        if self._server:
            self._server.shutdown()
            self._server.server_close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _reply_to(self, request: Request) -> Reply:
        ready_at = time.monotonic() + self.latency_s  # its own work is part of it
        fault = self._next_fault(request)
        reply = fault(request, self.answer) if fault else self.answer(request)
        self._stopped.wait(max(0.0, ready_at - time.monotonic()) + reply.delay_s)
        return reply

    def _next_fault(self, request: Request) -> Fault | None:
        with self._lock:
            for scripted in self._scripted:
                if scripted.times > 0 and scripted.matching in request.path + request.text:
                    scripted.times -= 1
                    return scripted.fault
        return None

    def _control(self, request: Request) -> Reply:
        """For a fake in a process of its own: read the log, script a fault."""
        if request.path == "/_fake/calls":
            lines = [{"path": call.path, "status": call.status} for call in self.calls()]
            return Reply(200, lines)
        if request.path == "/_fake/faults" and request.method == "POST":
            asked = request.json()
            fault = self.faults[asked["fault"]]
            self.fail(fault, times=asked.get("times", 1), matching=asked.get("matching", ""))
            return Reply(200, {})
        return Reply(404, {})


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


class _Handler(BaseHTTPRequestHandler):
    wire: WireServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 60

    def _handle(self) -> None:
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        request = Request(
            self.command,
            url.path,
            {name: values[0] for name, values in parse_qs(url.query).items()},
            {name.lower(): value for name, value in self.headers.items()},
            body.decode(errors="replace"),
        )
        if url.path.startswith("/_fake/"):
            self._send(self.wire._control(request))
            return
        began = time.monotonic()
        reply = self.wire._reply_to(request)
        status, now = None if reply.cut is not None else reply.status, time.monotonic()
        call = Call(now, self.command, url.path, status, request, now - began)
        with self.wire._lock:
            self.wire.log.append(call)
        self._send(reply)

    do_GET = do_POST = do_PUT = do_DELETE = _handle

    def _send(self, reply: Reply) -> None:
        if reply.cut == 0.0:
            self._hang_up()
            return
        content = reply.content
        self.send_response(reply.status)
        for name, value in {"content-type": "application/json", **reply.headers}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        if reply.cut is None:
            self.wfile.write(content)
        else:
            self.wfile.write(content[: int(len(content) * reply.cut)])
            self._hang_up()

    def _hang_up(self) -> None:
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)

    def handle(self) -> None:
        try:
            super().handle()
        except (ConnectionError, TimeoutError, OSError):
            # The other side gave up waiting, which is its right.
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """The log is `WireServer.log`."""
