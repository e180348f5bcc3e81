"""An app that dies in the middle of an import of 40 files: what was stored stays, the rest is named
and waits, Go on adds it, and nothing is doubled. A real process, with the database beside it."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from services.accounts.auth import Accounts, SignedInUser
from services.local_supabase.stack import LocalSupabase
from tests.crash.scene import eventually
from tests.imports import let_import_lease_run_out
from tests.processes import gone
from tests.running_app import RunningApp, run_app

FILES = 40
NAMES = [f"{number:02}.html" for number in range(FILES)]
OUTAGE_S = 5.0
SHUT_DOWN = "The app was shut down while documents were being added."
DIED = "The app stopped while documents were being added."


@pytest.fixture
def user(accounts: Accounts) -> SignedInUser:
    """Signed up in earnest, because the routes have tokens verified."""
    return accounts.sign_up(f"import{time.time_ns()}@example.com", "long enough words")


@pytest.fixture
def start(supabase_stack: LocalSupabase) -> Callable[[], Any]:
    """Starts an app on the data folder and the database of the test session."""
    return lambda: run_app(
        supabase_stack.data_dir,
        SUPABASE_URL=supabase_stack.url,
        SUPABASE_PUBLISHABLE_KEY=supabase_stack.publishable_key,
        SUPABASE_SECRET_KEY=supabase_stack.secret_key,
    )


class Api:
    """What the person asks of one app."""

    def __init__(self, app: RunningApp, user: SignedInUser) -> None:
        self._client = httpx.Client(
            base_url=f"{app.url}/v1/api",
            headers={"Authorization": f"Bearer {user.access_token()}"},
            timeout=60,
        )

    def get(self, path: str, **params: object) -> dict[str, Any]:
        """Asked again while the database is away, as a screen does."""

        def asked() -> httpx.Response | None:
            answer = self._client.get(path, params=params)
            return None if is_outage(answer) else answer

        answer = eventually(asked, "the database answers")
        assert answer.is_success, answer.text
        return answer.json()

    def post(self, path: str, **what: Any) -> dict[str, Any]:
        answer = self._client.post(path, **what)
        assert answer.is_success, answer.text
        return answer.json()

    def post_and_lose(self, path: str, files: list[Any], replace: bool) -> None:
        """The app dies before it answers."""
        with suppress(httpx.TransportError):
            self._client.post(path, files=files, params={"replace": replace})

    def is_importing(self) -> bool:
        answer = self._client.get("/imports/current")
        assert answer.status_code in (200, 404), answer.text
        return answer.is_success

    def answers(self) -> bool:
        return not is_outage(self._client.get("/imports/current"))

    def names(self) -> list[str]:
        return [found["name"] for found in self.get("/documents", limit=1000)["documents"]]

    def current(self) -> dict[str, Any]:
        return self.get("/imports/current")

    def wait_for_the_end(self, id_: str) -> dict[str, Any]:
        eventually(lambda: self.get(f"/imports/{id_}")["status"] != "adding", "the import ends")
        return self.get(f"/imports/{id_}")


def is_outage(answer: httpx.Response) -> bool:
    """Whether it says, in words, that the database is away."""
    if answer.status_code != 503:
        return False
    assert "database does not answer" in answer.json()["detail"]
    return True


def the_files() -> list[tuple[str, tuple[str, bytes]]]:
    """Short texts that take a quarter of a second to read, so that a few are stored at a time
    (every two seconds)."""
    nothing = "<b></b>" * 80_000
    return [
        ("files", (name, f"<h1>Berth</h1><p>Berth {name} is here.</p>{nothing}".encode()))
        for name in NAMES
    ]


def begin(app: RunningApp, user: SignedInUser, replace: bool = False) -> str:
    """An import in the middle of which some files are stored and others are not."""
    api = Api(app, user)
    asking = threading.Thread(target=api.post_and_lose, args=("/documents", the_files(), replace))
    asking.start()

    def in_the_middle() -> bool:
        counts = api.current()["files"]
        return counts["replaced" if replace else "added"] > 0 and counts["waiting"] > 0

    eventually(api.is_importing, "the import has begun")
    eventually(in_the_middle, "some files are stored")
    return api.current()["id"]


def require_whole(api: Api, id_: str, stored_before: list[str], state: str = "added") -> None:
    done = api.wait_for_the_end(id_)
    assert (done["status"], done["message"]) == ("done", None)
    assert {name: count for name, count in done["files"].items() if count} == {state: FILES}
    names = api.names()
    assert sorted(names) == NAMES
    assert names[: len(stored_before)] == stored_before
    documents = api.get("/documents", limit=1000)["documents"]
    assert sum(found["chunk_count"] for found in documents) == done["chunk_count"]
    assert done["chunk_count"] == api.get("/knowledge-base")["chunks"]


def kept(data_dir: Path, id_: str) -> set[int]:
    return {int(path.name) for path in (data_dir / "imports" / id_).glob("*")}


def test_an_import_that_was_killed_goes_on_with_what_it_kept(
    start, user, supabase_stack, owner, service
):
    with start() as app:
        id_ = begin(app, user)
        app.process.kill()
        app.process.wait()
    let_import_lease_run_out(owner, id_)
    service.rpc("rescue_imports")
    with start() as app:
        api = Api(app, user)
        cut = api.current()
        assert (cut["id"], cut["status"], cut["message"]) == (id_, "interrupted", DIED)
        stored, counts = api.names(), cut["files"]
        assert 0 < counts["added"] <= len(stored) < FILES
        assert counts["added"] + counts["waiting"] == FILES
        waiting = api.get(f"/imports/{id_}/files", state="waiting", limit=1000)["files"]
        assert [file["name"] for file in waiting] == NAMES[counts["added"] :]
        assert kept(supabase_stack.data_dir, id_) >= set(range(counts["added"], FILES))
        api.post(f"/imports/{id_}/go-on")
        require_whole(api, id_, stored)
        eventually(lambda: not kept(supabase_stack.data_dir, id_), "nothing is kept any more")


def test_an_import_that_replaces_and_was_killed_replaces_each_document_once(
    start, user, owner, service
):
    with start() as app:
        api = Api(app, user)
        earlier = [("files", (name, f"<p>Old {name}.</p>".encode())) for name in NAMES]
        api.post("/documents", files=earlier)
        before = {it["name"]: it for it in api.get("/documents", limit=1000)["documents"]}
        id_ = begin(app, user, replace=True)
        app.process.kill()
        app.process.wait()
    let_import_lease_run_out(owner, id_)
    service.rpc("rescue_imports")
    with start() as app:
        api = Api(app, user)
        cut = api.current()
        assert (cut["id"], cut["status"], cut["replace"]) == (id_, "interrupted", True)
        half = {it["name"]: it for it in api.get("/documents", limit=1000)["documents"]}
        assert half.keys() == before.keys()  # of each document one text, not both and not none
        changed = {name: it["replaced"] for name, it in half.items() if it["replaced"]}
        assert 0 < cut["files"]["replaced"] <= len(changed) < FILES
        api.post(f"/imports/{id_}/go-on")
        require_whole(api, id_, NAMES, "replaced")
        after = {it["name"]: it for it in api.get("/documents", limit=1000)["documents"]}
        assert {name: it["id"] for name, it in after.items()} == {
            name: it["id"] for name, it in before.items()
        }
        assert all(after[name]["replaced"] == said for name, said in changed.items())
        for name in (NAMES[0], NAMES[-1]):
            chunks = api.get(f"/documents/{after[name]['id']}/chunks")["chunks"]
            assert [name in chunk["text"] and "Old" not in chunk["text"] for chunk in chunks] == [
                True
            ]


def test_an_app_that_is_shut_down_ends_in_five_seconds_and_says_so_in_its_import(start, user):
    """Its readers, in a session of their own, end with it."""
    with start() as app:
        id_ = begin(app, user)
        readers = eventually(lambda: readers_of(app), "a reader is at work")
        began = time.monotonic()
        app.process.terminate()
        app.process.wait(20)
        assert time.monotonic() - began < 5
        eventually(lambda: all(gone(reader.pid) for reader in readers), "its readers are gone")
    with start() as app:
        api = Api(app, user)
        cut = api.current()
        assert (cut["id"], cut["status"], cut["message"]) == (id_, "interrupted", SHUT_DOWN)
        stored = api.names()
        assert stored
        api.post(f"/imports/{id_}/go-on")
        require_whole(api, id_, stored)


def readers_of(app: RunningApp) -> list[psutil.Process]:
    return [
        child
        for child in psutil.Process(app.process.pid).children(recursive=True)
        if "services.reading" in " ".join(child.cmdline())
    ]


def postgres_killed(stack: LocalSupabase, api: Api) -> None:
    """The embedded Supabase starts it again."""
    pid_file = stack.data_dir / "postgres" / "postmaster.pid"
    psutil.Process(int(pid_file.read_text().split()[0])).kill()
    eventually(lambda: not api.answers(), "Postgres is gone")


def database_hangs(stack: LocalSupabase, _: Api) -> None:
    """It takes every statement and answers none; what was given up lands when it wakes up."""
    os.kill(stack.pid, signal.SIGSTOP)
    try:
        time.sleep(OUTAGE_S)  # the outage itself
    finally:
        os.kill(stack.pid, signal.SIGCONT)


@pytest.mark.parametrize("outage", [postgres_killed, database_hangs])
def test_an_import_outlives_an_outage_of_the_database(start, user, supabase_stack, outage):
    """Nobody has to press Go on: its worker waits, and nothing is lost or doubled."""
    with start() as app:
        id_ = begin(app, user)
        api = Api(app, user)
        outage(supabase_stack, api)
        stored = api.names()
        assert stored
        require_whole(api, id_, stored)
