"""Kills, busy ports, two apps on one folder, and disks that refuse: each works or says why."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest
from supabase import create_client

from services.config import PROJECT_ROOT
from services.errors import ConfigurationError
from services.local_supabase import data_folder
from services.local_supabase.migrations import connect
from services.local_supabase.stack import LocalSupabase, start_local_supabase
from tests.embedded import run_embedded, temporary_data_dir

# An app that starts the stack, says where it is, and waits.
APP = """
import json, pathlib, sys, time
from services.local_supabase.stack import start_local_supabase
stack = start_local_supabase(pathlib.Path(sys.argv[1]))
print(json.dumps({"pid": stack.pid, "url": stack.url}), flush=True)
time.sleep(600)
"""


@pytest.fixture
def data_dir() -> Iterator[Path]:
    with temporary_data_dir() as folder:
        yield folder


@pytest.fixture
def app(data_dir: Path) -> Iterator[tuple[subprocess.Popen, dict]]:
    process = subprocess.Popen(
        [sys.executable, "-c", APP, str(data_dir)], cwd=PROJECT_ROOT, stdout=subprocess.PIPE
    )
    yield process, json.loads(process.stdout.readline())
    process.kill()
    process.wait()
    process.stdout.close()


def running(data_dir: Path) -> list[psutil.Process]:
    """The stack's processes of this folder: its own, PostgREST and the postmaster."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            words = [*process.cmdline(), *process.environ().values()]
            is_a_test = process.name() == "pytest" or process.pid == os.getpid()
        except psutil.Error:  # it has just ended, or is another user's
            continue
        if any(str(data_dir) in word for word in words) and not is_a_test:
            found.append(process)
    return found


def eventually(condition: Callable[[], object], timeout_s: float = 15) -> bool:
    """Whether the condition comes true; waits for other processes, which nobody announces."""
    deadline = time.monotonic() + timeout_s
    while not (met := bool(condition())) and time.monotonic() < deadline:
        time.sleep(0.05)
    return met


def answers(stack: LocalSupabase) -> bool:
    headers = {"apikey": stack.secret_key}
    try:
        rest = httpx.get(f"{stack.url}/rest/v1/", headers=headers)
        refused = httpx.post(
            f"{stack.url}/auth/v1/token?grant_type=refresh_token",
            json={"refresh_token": "unknown"},
            headers=headers,
        )
    except httpx.TransportError:
        return False
    return (rest.status_code, refused.status_code) == (200, 400)


def test_killed_app_leaves_no_process_behind(app, data_dir):
    process, _ = app
    assert len(running(data_dir)) >= 3
    process.kill()
    process.wait()
    assert eventually(lambda: not running(data_dir)), running(data_dir)


def test_ctrl_c_reaches_the_app_and_not_the_stack_that_it_still_needs(supabase_stack):
    assert os.getsid(supabase_stack.pid) != os.getsid(0)
    for everywhere in (signal.SIGINT, signal.SIGTERM):
        os.kill(supabase_stack.pid, everywhere)
    assert answers(supabase_stack)


def is_postgrest(process: psutil.Process) -> bool:
    try:
        return process.name() == "postgrest"
    except psutil.NoSuchProcess:  # it has just ended
        return False


def test_stack_and_app_killed_together_leave_no_postgrest_and_the_next_start_works(app, data_dir):
    process, told = app
    process.kill()
    os.kill(told["pid"], signal.SIGKILL)
    process.wait()
    assert eventually(lambda: not any(is_postgrest(p) for p in running(data_dir)))
    with run_embedded(data_dir) as stack:
        assert answers(stack)
    assert eventually(lambda: not running(data_dir)), running(data_dir)


def test_killed_stack_comes_back_at_the_same_address(data_dir):
    with run_embedded(data_dir) as stack:
        url, first = stack.url, stack.pid
        os.kill(first, signal.SIGKILL)
        assert eventually(lambda: stack.pid != first and answers(stack))
        assert stack.url == url
    assert eventually(lambda: not running(data_dir)), running(data_dir)


def test_killed_postgres_and_postgrest_come_back(data_dir):
    with run_embedded(data_dir) as stack:
        [postgrest] = [p for p in running(data_dir) if p.name() == "postgrest"]
        postgrest.kill()
        assert eventually(lambda: not postgrest.is_running() and answers(stack))
        postmaster = int((data_dir / "postgres/postmaster.pid").read_text().split()[0])
        os.kill(postmaster, signal.SIGKILL)
        assert eventually(lambda: not psutil.pid_exists(postmaster) or not answers(stack))
        assert eventually(lambda: answers(stack))


def test_stale_postmaster_file_does_not_stop_the_start(data_dir):
    with run_embedded(data_dir):
        lines = (data_dir / "postgres/postmaster.pid").read_text().splitlines()
    # The number of a process that lives, but is no Postgres: as after a reboot.
    stale = "\n".join([str(os.getpid()), *lines[1:]])
    (data_dir / "postgres/postmaster.pid").write_text(stale)
    with run_embedded(data_dir) as stack:
        assert answers(stack)


def test_two_apps_share_one_database_and_the_first_to_stop_leaves_it(data_dir):
    with run_embedded(data_dir) as first:
        with run_embedded(data_dir) as second:
            assert first.url != second.url
            assert first.publishable_key == second.publishable_key
            account = {"email": "ann@example.com", "password": "long enough"}
            create_client(first.url, first.publishable_key).auth.sign_up(account)
            client = create_client(second.url, second.publishable_key)
            assert client.auth.sign_in_with_password(account).user.email == account["email"]
        assert answers(first)
    assert eventually(lambda: not running(data_dir)), running(data_dir)


def test_two_apps_that_start_at_once_on_an_empty_folder_agree(data_dir):
    with ThreadPoolExecutor(2) as apps:
        stacks = list(apps.map(lambda _: start_local_supabase(data_dir), range(2)))
    try:
        assert stacks[0].secret_key == stacks[1].secret_key
        assert all(answers(stack) for stack in stacks)
    finally:
        for stack in stacks:
            stack.stop()
    assert eventually(lambda: not running(data_dir)), running(data_dir)


def test_busy_port_is_said_and_another_one_serves(data_dir):
    heard: list[str] = []
    with socket.socket() as busy:
        busy.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            busy.bind(("127.0.0.1", 54321))
            busy.listen()
        except OSError:
            pass  # Another stack of this session has it: busy as well.
        stack = start_local_supabase(data_dir, on_status=heard.append)
    try:
        port = stack.url.rpartition(":")[2]
        assert f"Port 54321 is busy; Supabase uses {port}." in heard
        assert answers(stack)
    finally:
        stack.stop()


def test_secrets_and_folder_are_for_the_owner_only_and_never_printed(supabase_stack):
    folder = supabase_stack.data_dir
    secrets = data_folder.load_or_create_secrets(folder)
    assert stat.S_IMODE((folder / "secrets.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) in (0o700, 0o711)
    assert secrets.jwt_secret not in repr(secrets)
    assert secrets.jwt_secret not in (folder / "local_supabase.log").read_text()


def test_database_socket_is_for_the_owner_only(supabase_stack):
    with connect(supabase_stack.dsn) as connection:
        assert connection.execute("show unix_socket_permissions").fetchone() == ("0700",)
        assert connection.execute("show listen_addresses").fetchone() == ("",)


def test_file_in_place_of_the_folder_is_told_with_the_setting(tmp_path):
    (tmp_path / "data").write_text("")
    with pytest.raises(ConfigurationError, match="DATA_DIR"):
        start_local_supabase(tmp_path / "data")


def test_folder_on_a_read_only_file_system_is_told_with_the_setting():
    with pytest.raises(ConfigurationError, match="DATA_DIR"):
        start_local_supabase(Path("/proc/deep-memory-studio"))


def test_path_that_postgres_does_not_take_is_told_with_the_setting(tmp_path):
    with pytest.raises(ConfigurationError, match="DATA_DIR"):
        start_local_supabase(tmp_path / "my data")


def test_damaged_secrets_are_told_and_not_replaced(data_dir):
    (data_dir / "secrets.json").write_text("{")
    with pytest.raises(ConfigurationError, match=r"secrets\.json is damaged"):
        start_local_supabase(data_dir)
    assert (data_dir / "secrets.json").read_text() == "{"


def test_path_too_long_for_a_socket_simply_works():
    with temporary_data_dir("d" * 60, "e" * 60) as deep, run_embedded(deep) as stack:
        assert answers(stack)
