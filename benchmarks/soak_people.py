"""Who uses the app in `benchmarks.soak`: people over HTTP, and browsers on the screens."""

from __future__ import annotations

import json
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import connect

from services.accounts.auth import Accounts
from services.accounts.database import Database, SupabaseEndpoint
from services.http.api import PREFIX
from services.http.session_cookie import COOKIE
from services.local_supabase.__main__ import PREFERRED_PORT
from services.local_supabase.data_folder import load_or_create_secrets
from tests.running_app import RunningApp

_PASSWORD = "correct horse battery"
_TIMEOUT_S = 120.0
_DOCUMENTS, _ADDED = 12, 3
_SEARCHES = 10
_SCREENS = ("", "knowledge_base", "search", "account")
_STAY_S = 3.0  # of a browser on one screen
_THINGS = ("cargo", "harbour", "vessel", "customs", "mooring", "crane", "pilot", "quay", "tide")


class Person:
    """Someone who does a day's work over HTTP in a few seconds, again and again."""

    def __init__(self, app: RunningApp, data_dir: Path, number: int, done: Counter[str]) -> None:
        self._url = f"{app.url}{PREFIX}"
        self._auth = _supabase(app, data_dir)
        self._email = f"person{number}@example.com"
        self._chance = random.Random(number)
        self._done = done

    def live_a_day(self) -> None:
        with self._signed_in() as api:
            self._add_documents(api)
            for number in range(_SEARCHES):
                self._search(api, number, deep_memory=False)
            run_id = self._work(api, "generate", questions_per_chunk=2)
            self._review(api, run_id)
            self._work(api, "train", training_run_id=run_id)
            if self._ask(api, "GET", "/deep-memory/settings", own=True)["can_enable"]:
                body = {"user_id": self._id, "enabled": True}
                self._ask(api, "PUT", "/deep-memory/settings", json=body)
            for number in range(_SEARCHES):
                self._search(api, number, deep_memory=None)
            self._remove_oldest_documents(api)

    @contextmanager
    def _signed_in(self) -> Iterator[httpx.Client]:
        body = {"email": self._email, "password": _PASSWORD}
        with httpx.Client(**self._auth) as auth:
            answer = auth.post("/token", params={"grant_type": "password"}, json=body)
            if answer.status_code == 400:
                answer = auth.post("/signup", json=body)
            session = answer.raise_for_status().json()
            self._done["sign in"] += 1
            self._id = session["user"]["id"]
            bearer = {"Authorization": f"Bearer {session['access_token']}"}
            # Below the 5 s after which the server closes an idle connection.
            limits = httpx.Limits(keepalive_expiry=4)
            with httpx.Client(
                base_url=self._url, headers=bearer, timeout=_TIMEOUT_S, limits=limits
            ) as api:
                yield api
            auth.post("/logout", headers=bearer).raise_for_status()
            self._done["sign out"] += 1

    def _ask(
        self, api: httpx.Client, method: str, path: str, *, own: bool = False, **body: Any
    ) -> dict[str, Any]:
        params = {"user_id": self._id} if own else {}
        answer = api.request(method, path, params=params, **body)
        self._done[f"{method} {re.sub('[0-9a-f-]{32,}', '*', path)}"] += 1
        if not answer.is_success:
            raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer.json()

    def _add_documents(self, api: httpx.Client) -> None:
        missing = _DOCUMENTS - self._ask(api, "GET", "/documents")["total"]
        texts = [self._text() for _ in range(max(_ADDED, missing))]
        files = [("files", (f"{hash(text)}.txt", text.encode())) for text in texts]
        added = self._ask(api, "POST", "/documents", files=files)
        if added["errors"]:
            raise RuntimeError(f"not added: {added['errors']}")

    def _text(self) -> str:
        """A document of several chunks that nobody has added before."""
        thing = self._chance.choice
        return "\n\n".join(
            f"The {thing(_THINGS)} of berth {self._chance.randrange(10**6)} is kept for "
            f"{self._chance.randrange(2, 90)} days by the {thing(_THINGS)} office, which notes the "
            f"{thing(_THINGS)} and the {thing(_THINGS)} in book {self._chance.randrange(10**6)}."
            for _ in range(20)
        )

    def _search(self, api: httpx.Client, number: int, *, deep_memory: bool | None) -> None:
        query = f"How long is the {_THINGS[number % len(_THINGS)]} kept at berth {number}?"
        body = {"query": query, "k": 5, "deep_memory": deep_memory}
        if not self._ask(api, "POST", "/search", json=body)["hits"]:
            raise RuntimeError("a search found nothing")

    def _work(self, api: httpx.Client, what: str, **body: Any) -> str:
        """Start a run, and follow its events to the end."""
        own = {"user_id": self._id, **body}
        job = self._ask(api, "POST", f"/deep-memory/{what}", json=own)["job_id"]
        last: dict[str, Any] = {}
        with api.stream("GET", f"/events/stream/{job}") as events:
            for line in events.iter_lines():
                if line.startswith("data:"):
                    last = json.loads(line.removeprefix("data:"))
        self._done["GET /events/stream/*"] += 1
        if last.get("status") not in ("generated", "completed"):
            raise RuntimeError(f"{what} ended so: {last}")
        return job

    def _review(self, api: httpx.Client, run_id: str) -> None:
        path = f"/deep-memory/runs/{run_id}/pairs"
        edited, dropped, *_ = self._ask(api, "GET", path, own=True)["pairs"]
        body = {"question_text": f"{edited['question_text']} And why?"}
        self._ask(api, "PATCH", f"{path}/{edited['id']}", json=body)
        self._ask(api, "DELETE", f"{path}/{dropped['id']}")

    def _remove_oldest_documents(self, api: httpx.Client) -> None:
        for document in self._ask(api, "GET", "/documents")["documents"][:_ADDED]:
            self._ask(api, "DELETE", f"/documents/{document['id']}")


def watch_screens(app: RunningApp, data_dir: Path, done: Counter[str]) -> Callable[[], None]:
    """Someone who, at each call, opens all screens in a new browser and leaves."""
    secrets = load_or_create_secrets(data_dir)
    keys = SecretStr(secrets.publishable_key), SecretStr(secrets.secret_key)
    endpoint = SupabaseEndpoint(_supabase_url(app), *keys)
    accounts = Accounts(endpoint, Database(endpoint.url, endpoint.secret_key))
    user = accounts.sign_up("watcher@example.com", _PASSWORD)
    address = app.url.replace("http", "ws", 1) + "/_stcore/stream"

    def watch() -> None:
        headers = {"Cookie": f"{COOKIE}={user.cookie}"}
        with connect(address, additional_headers=headers, max_size=None) as browser:
            for screen in _SCREENS:
                message = BackMsg()
                message.rerun_script.query_string = ""
                message.rerun_script.page_name = screen
                browser.send(message.SerializeToString())
                _read_to_the_end(browser)
                done[f"screen {screen or 'deep_memory'}"] += 1
                time.sleep(_STAY_S)

    return watch


def _read_to_the_end(browser: Any) -> None:
    """Read what a script draws; raise if it fails."""
    deadline = time.monotonic() + _TIMEOUT_S
    while time.monotonic() < deadline:
        message = ForwardMsg.FromString(browser.recv(timeout=_TIMEOUT_S))
        if message.delta.new_element.HasField("exception"):
            raise RuntimeError(f"a screen failed: {message.delta.new_element.exception.message}")
        if message.HasField("script_finished"):
            return
    raise RuntimeError("a screen is never done")


def _supabase(app: RunningApp, data_dir: Path) -> dict[str, Any]:
    """Where and how people sign in at the Supabase that the app brought up."""
    key = load_or_create_secrets(data_dir).publishable_key
    address = f"{_supabase_url(app)}/auth/v1"
    return {"base_url": address, "headers": {"apikey": key}, "timeout": _TIMEOUT_S}


def _supabase_url(app: RunningApp) -> str:
    told = re.search(r"Supabase uses (\d+)", app.log.read_text())
    return f"http://127.0.0.1:{told[1] if told else PREFERRED_PORT}"
