"""Whether the server was told to stop: it ends when its requests have."""

from __future__ import annotations

import signal


def server_is_ending() -> bool:
    """True after SIGTERM or SIGINT. A request that waits for something then waits no longer."""
    # uvicorn sets it in its own handler, and tells nobody; sse_starlette finds it the same way.
    server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return bool(getattr(server, "should_exit", False))
