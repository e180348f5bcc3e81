"""The app as a person starts it: `streamlit run` in a process of its own, on a free port."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from services.config import PROJECT_ROOT

_START_S = 120


@dataclass(frozen=True)
class RunningApp:
    url: str
    process: subprocess.Popen[bytes]
    log: Path


@contextmanager
def run_app(data_dir: Path, **environment: str) -> Iterator[RunningApp]:
    """The app with its data in `data_dir` and only these settings; ended by SIGTERM."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = data_dir.parent / f"app-{port}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "streamlit", "run", "streamlit_app.py", f"--server.port={port}"],
            cwd=PROJECT_ROOT,
            env={**_without_settings(os.environ), "DATA_DIR": str(data_dir), **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    app = RunningApp(f"http://localhost:{port}", process, log)
    try:
        _wait_until_it_answers(app)
        yield app
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_it_answers(app: RunningApp) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and app.process.poll() is None:
        try:
            if httpx.get(f"{app.url}/_stcore/health").is_success:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError(f"the app did not start:\n{app.log.read_text()}")


def _without_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment less what a developer may have set for the app."""
    prefixes = (
        "SUPABASE_",
        "OPENAI_",
        "DEEPLAKE_",
        "ACTIVELOOP_",
        "DEEP_MEMORY_",
        "RERANK_",
        "STREAMLIT_",
    )
    names = ("DATA_DIR", "QUESTION_MODEL", "EMBEDDING_MODEL", "QUESTIONS_PER_CHUNK")
    return {
        name: value
        for name, value in environment.items()
        if not name.startswith(prefixes) and name not in names
    }
