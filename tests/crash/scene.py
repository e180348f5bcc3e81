"""The stage of a crash: real apps on one database, a watched question writer, a person.

The apps are `streamlit run` in processes of their own, driven over HTTP; they share the embedded
Supabase and the vector stores. The question writer is the strict stand-in for OpenAI, which says
who was asked and can be made to wait.
"""

from __future__ import annotations

import itertools
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psycopg
from pydantic import SecretStr

from services.accounts.auth import Accounts, SignedInUser
from services.accounts.database import Database, SupabaseEndpoint
from services.config import Settings
from services.deep_memory.model_store import ModelStore
from services.errors import DatabaseUnavailable
from services.local_supabase.migrations import connect
from services.local_supabase.stack import LocalSupabase
from services.models import Chunk, Document, TrainingRun
from services.retrieval.content import EmbeddedDocument
from services.retrieval.stores import models_folder, open_store
from services.runs.store import RunStore
from tests.fakes.activeloop_server import FakeActiveloop
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.wire import Answer, Reply, Request
from tests.forwarder import Forwarder
from tests.running_app import RunningApp, run_app

CONCURRENCY = 4
DOCUMENTS, CHUNKS_OF_A_DOCUMENT = 8, 5
CHUNKS = DOCUMENTS * CHUNKS_OF_A_DOCUMENT
TIMEOUT_S = 60.0  # for what happens within moments; a bound, and no pause
_EMBEDDER, _WIDTH = "tiny", 48
_LOCK = 770_077
_tags = itertools.count(1)


def eventually(condition: Callable[[], Any], what: str, timeout_s: float = TIMEOUT_S) -> Any:
    """What `condition` returns once it is true; other processes announce nothing."""
    deadline = time.monotonic() + timeout_s
    while not (met := condition()):
        assert time.monotonic() < deadline, f"not within {timeout_s:.0f} s: {what}"
        time.sleep(0.05)
    return met


class Watch:
    """Stands before the models for one person's texts: counts what is asked, and holds calls."""

    def __init__(self, tag: str) -> None:
        self._tag = tag
        self._changed = threading.Condition()
        self._allowed: float = float("inf")
        self._held_path = "/chat/completions"
        self._waiting = 0
        self.asked: Counter[int] = Counter()  # by the chunk's number

    def __call__(self, request: Request, answer: Answer) -> Reply:
        with self._changed:
            if "/chat/completions" in request.path:
                self.asked[int(re.findall(rf"{self._tag}n(\d+)x", request.text)[0])] += 1
            if self._held_path in request.path:
                self._waiting += 1
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._allowed > 0)
                self._waiting -= 1
                self._allowed -= 1
        return answer(request)

    def hold_after(self, calls: int, path: str = "/chat/completions") -> None:
        """Answer so many more calls, then keep all others waiting."""
        self._held_path = path
        self.allow(calls)

    def allow(self, calls: float = float("inf")) -> None:
        with self._changed:
            self._allowed = calls
            self._changed.notify_all()

    def wait_until_held(self, calls: int) -> None:
        """Until so many calls wait."""
        with self._changed:
            assert self._changed.wait_for(
                lambda: self._waiting >= calls and self._allowed <= 0, TIMEOUT_S
            ), f"{self._waiting} calls wait"


@dataclass
class Person:
    """Someone with a knowledge base of `CHUNKS` chunks, and the watch over their texts."""

    user: SignedInUser
    watch: Watch
    models: ModelStore
    model_files: Path
    run_id: str = ""

    @property
    def run(self) -> TrainingRun:
        """Looked at again while the database is away, as a screen does."""

        def poll() -> TrainingRun | None:
            with suppress(DatabaseUnavailable):
                return RunStore(self.user.database).get(self.run_id)
            return None

        return eventually(poll, "the database answers")

    def processed(self, chunks: int) -> bool:
        return self.run.processed_chunks == chunks


@dataclass
class App:
    """One running app, asked as the HTTP contract has it."""

    running: RunningApp

    @property
    def pid(self) -> int:
        return self.running.process.pid

    def generate(self, person: Person) -> None:
        answer = self._post(person, "generate", {"questions_per_chunk": 2})
        person.run_id = answer["training_run_id"]

    def train(self, person: Person) -> None:
        self._post(person, "train", {"training_run_id": person.run_id})

    def proceed(self, person: Person) -> str:
        return self._post(person, "proceed", {"training_run_id": person.run_id})["message"]

    def says(self, words: str) -> bool:
        return words in self.running.log.read_text(errors="replace")

    def _post(self, person: Person, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = httpx.post(
            f"{self.running.url}/v1/api/deep-memory/{path}",
            json={**body, "user_id": person.user.identity.user_id},
            headers={"Authorization": f"Bearer {person.user.access_token()}"},
            timeout=30,
        )
        assert answer.status_code == 202, answer.text
        return answer.json()


class Scene:
    """Use it as a context manager: it ends what it started."""

    def __init__(self, stack: LocalSupabase, cloud: FakeActiveloop | None = None) -> None:
        self.stack = stack
        self._cloud = cloud_settings(cloud) if cloud else {}
        publishable, secret = SecretStr(stack.publishable_key), SecretStr(stack.secret_key)
        self.service = Database(stack.url, secret)
        self._accounts = Accounts(SupabaseEndpoint(stack.url, publishable, secret), self.service)

    def __enter__(self) -> Scene:
        self._open = ExitStack()
        self._fake = self._open.enter_context(fake_models())
        self.way_to_supabase = Forwarder(self.stack.url)
        self._settings = {
            **model_settings(self._fake),
            **{name.upper(): value for name, value in self._cloud.items()},
            "SUPABASE_URL": self.way_to_supabase.url,
            "SUPABASE_PUBLISHABLE_KEY": self.stack.publishable_key,
            "SUPABASE_SECRET_KEY": self.stack.secret_key,
        }
        self._starter = self._open.enter_context(ThreadPoolExecutor(1))
        self._idle: list[App] = []
        self._next: Future[App] = self._starter.submit(self._start_app)
        self.survivor = self.new_app()
        return self

    def __exit__(self, *_: object) -> None:
        self._next.result()
        self._open.close()
        self.way_to_supabase.cut()

    def new_app(self) -> App:
        """A running app that works on nothing; another one is started meanwhile."""
        if self._idle:
            return self._idle.pop()
        app = self._next.result()
        self._next = self._starter.submit(self._start_app)
        return app

    def give_back(self, app: App) -> None:
        """The next one may use it, if it survived."""
        if app.running.process.poll() is None:
            self._idle.append(app)

    def new_person(self) -> Person:
        return make_person(self._accounts, self._fake, self.stack.data_dir, **self._cloud)

    def owner(self) -> psycopg.Connection:
        return connect(self.stack.dsn)

    def pairs_of(self, person: Person) -> list[tuple[str, str]]:
        with self.owner() as owner:
            return stored_pairs(owner, person)

    @contextmanager
    def database_pausing_at(self, person: Person, condition: str) -> Iterator[Pause]:
        """Let the write of this run that meets `condition` wait inside of Postgres."""
        with self.owner() as owner, self.owner() as holder:
            owner.execute("create schema if not exists crash")
            owner.execute(
                "create or replace function crash.pause() returns trigger language plpgsql as"
                f" $$ begin perform pg_advisory_xact_lock({_LOCK}); return new; end $$"
            )
            holder.execute("select pg_advisory_lock(%s)", (_LOCK,))
            owner.execute(
                "create trigger pause before update on deep_memory_training_runs for each row"
                f" when (new.id = '{person.run_id}' and ({condition}))"
                " execute function crash.pause()"
            )
            pause = Pause(owner, holder)
            try:
                yield pause
            finally:
                pause.go_on()
                owner.execute("drop trigger pause on deep_memory_training_runs")
                owner.execute("drop schema crash cascade")

    def _start_app(self) -> App:
        return App(self._open.enter_context(run_app(self.stack.data_dir, **self._settings)))


class Pause:
    """A write that waits in the middle of its transaction."""

    def __init__(self, owner: psycopg.Connection, holder: psycopg.Connection) -> None:
        self._owner, self._holder = owner, holder

    def wait_until_reached(self) -> None:
        eventually(self._waiting, "a write that waits")

    def break_off(self) -> None:
        """End the transaction as a crash of its connection does: nothing of it lands."""
        self._owner.execute("select pg_terminate_backend(pid) from pg_locks" + _WAITING)
        eventually(lambda: not self._waiting(), "the write is broken off")

    def go_on(self) -> None:
        """Let the write land; nobody may be there any more to hear of it."""
        self._holder.execute("select pg_advisory_unlock_all()")
        eventually(lambda: not self._waiting(), "the write has landed")

    def _waiting(self) -> bool:
        found = self._owner.execute("select count(*) from pg_locks" + _WAITING).fetchone()
        return bool(found and found[0])


def fake_models() -> FakeOpenAI:
    return FakeOpenAI(widths={_EMBEDDER: _WIDTH})


def model_settings(fake: FakeOpenAI) -> dict[str, str]:
    return {
        "OPENAI_API_KEY": fake.key,
        "OPENAI_BASE_URL": fake.base_url,
        "EMBEDDING_MODEL": _EMBEDDER,
        "GENERATION_CONCURRENCY": str(CONCURRENCY),
        "OMP_NUM_THREADS": "1",
    }


def cloud_settings(cloud: FakeActiveloop) -> dict[str, str]:
    return {
        "deeplake_path": "hub://acme/knowledge",
        "activeloop_token": cloud.token,
        "activeloop_endpoint": cloud.url,
    }


def make_person(
    accounts: Accounts, fake: FakeOpenAI, data_dir: Path, **where_documents_go: str
) -> Person:
    """A new account with documents, whose texts `fake` answers under watch."""
    number = next(_tags)
    tag = f"tag{number}q"
    user = accounts.sign_up(f"crash{time.time_ns()}@example.com", "long enough words")
    local = Settings(_env_file=None, data_dir=data_dir)
    settings = Settings(_env_file=None, data_dir=data_dir, **where_documents_go)
    user_id = user.identity.user_id
    store = open_store(settings, user_id, _EMBEDDER, _WIDTH)
    store.add([_document(tag, number) for number in range(DOCUMENTS)])
    watch = Watch(tag)
    fake.fail(watch, times=float("inf"), matching=tag)
    folder = models_folder(local, user_id)
    return Person(user, watch, ModelStore(folder), folder)


def stored_pairs(owner: psycopg.Connection, person: Person) -> list[tuple[str, str]]:
    """(chunk id, question) of every stored pair of the person's run."""
    return owner.execute(
        "select chunk_id, question_text from deep_memory_training_pairs"
        " where training_run_id = %s order by 1, 2",
        (person.run_id,),
    ).fetchall()


_WAITING = f" where locktype = 'advisory' and objid = {_LOCK} and not granted"


def _document(tag: str, number: int) -> EmbeddedDocument:
    """A document whose chunks hold words of their own, the chunk's number in each."""
    id_ = f"{tag}d{number}"
    first = number * CHUNKS_OF_A_DOCUMENT
    numbers = range(first, first + CHUNKS_OF_A_DOCUMENT)
    chunks = [
        Chunk(
            f"{tag}c{n}",
            id_,
            f"{id_}.txt",
            n - first,
            " ".join(f"{tag}n{n}x{letter * 6}" for letter in "abcdefgh"),
        )
        for n in numbers
    ]
    vectors = np.random.default_rng(number).normal(size=(len(chunks), _WIDTH)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    characters = sum(len(chunk.text) for chunk in chunks)
    about = Document(id_, f"{id_}.txt", len(chunks), characters, id_, datetime.now(UTC))
    return EmbeddedDocument(about, chunks, vectors)
