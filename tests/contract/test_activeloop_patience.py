"""What calls to DeepLake Cloud take at most, how many run at once, and that none is sent twice."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from services.config import PROJECT_ROOT
from services.errors import StoreUnavailable
from services.models import Chunk, Document
from services.retrieval import cloud_store
from services.retrieval.cloud_calls import CloudProcesses
from services.retrieval.cloud_failures import CloudFailure, Failure
from services.retrieval.cloud_store import CloudVectorStore
from services.retrieval.content import EmbeddedDocument
from services.retrieval.deadline import Deadline
from services.retrieval.search import compare_in_cloud
from tests.fakes.activeloop_server import (
    FakeActiveloop,
    done_but,
    done_but_hang_up,
    failing,
)
from tests.fakes.wire import slow

WIDTH, CHUNKS, AT_ONCE = 16, 8, 4
PATH = "hub://acme/kb"
VECTORS = np.eye(CHUNKS, WIDTH, dtype=np.float32)
ROWS = {
    "id": ["a"],
    "text": ["a"],
    "metadata": [{}],
    "embedding": VECTORS[:1],
}
QUESTIONS = (["q"], [[("c0", 1)]], VECTORS[:1])
LATE_S = 15.0  # what the machine may need on top, to start a process among others


class Words:
    """An embedder of one word."""

    name, width = "words", WIDTH

    def embed(self, texts: list[str]) -> np.ndarray:
        return VECTORS[:1]


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> Iterator[tuple[FakeActiveloop, CloudVectorStore]]:
    with FakeActiveloop(tmp_path_factory.mktemp("cloud")) as fake:
        reader = CloudProcesses(fake.token, fake.url, size=AT_ONCE)
        writer = CloudProcesses(fake.token, fake.url)
        store = CloudVectorStore(PATH, "words", WIDTH, reader=reader, writer=writer)
        document = Document("d", "D.txt", CHUNKS, 100, "hash", datetime.now(UTC))
        chunks = [Chunk(f"c{n}", "d", "D.txt", n, f"chunk {n}") for n in range(CHUNKS)]
        store.add([EmbeddedDocument(document, chunks, VECTORS)])
        writer.call("send_questions", PATH, *QUESTIONS, deadline=soon())
        yield fake, store
        reader.close()
        writer.close()


@pytest.fixture
def fake(shared):
    yield shared[0]
    shared[0].forgive()


@pytest.fixture
def store(shared) -> CloudVectorStore:
    shared[1].search(VECTORS[0], 1)  # looked at, so that a fault meets the search
    return shared[1]


@pytest.mark.parametrize("fault", [done_but(502), done_but_hang_up])
@pytest.mark.parametrize(
    ("name", "arguments", "route"),
    [
        ("check", (PATH,), "/api/user/profile"),
        ("version", (PATH,), "/creds"),
        ("append", ("hub://acme/new", ROWS, ("words", WIDTH)), "/api/dataset/create"),
        ("search", (PATH, VECTORS[0], 1, False), "/api/query/"),
        ("send_questions", (PATH, *QUESTIONS), "/features/deepmemory"),
        ("submit", (PATH,), "/deepmemory/v1/train"),
        ("job", ("0" * 24,), "/status"),
        ("jobs", (PATH,), "/jobs"),
        ("cancel", ("0" * 24,), "/cancel"),
    ],
)
def test_the_library_sends_nothing_twice(store, fake, fault, name, arguments, route):
    fake.log.clear()
    fake.fail(fault, times=99, matching=route)
    with pytest.raises(CloudFailure) as failure:
        store.writer.call(name, *arguments, deadline=soon(), repeatable=False)
    assert failure.value.kind in {Failure.SERVER, Failure.NETWORK}
    assert len(fake.calls(route)) == 1


def soon() -> Deadline:
    return Deadline(60)


@pytest.mark.parametrize("fault", [slow(60), failing(429)])
def test_a_search_has_one_budget_for_all_its_tries(store, fake, fault):
    fake.fail(fault, times=99, matching="/api/query/")
    began = time.monotonic()
    with pytest.raises(StoreUnavailable, match=r"did not answer in time|rate limit"):
        store.search(VECTORS[0], 1, deadline=Deadline(2.0))
    assert time.monotonic() - began < 2.0 + LATE_S


def test_both_lists_of_a_comparison_share_one_budget(store, fake):
    fake.fail(slow(0.0), slow(60), times=1, matching="/api/query/")
    began = time.monotonic()
    found = compare_in_cloud("word", Words(), store, is_trained=True, within_s=3.0)
    assert time.monotonic() - began < 3.0 + LATE_S
    assert found.without
    assert "did not answer in time" in found.problem


def test_waiting_for_a_turn_counts(store, fake):
    one = CloudProcesses(fake.token, fake.url)
    one.call("check", PATH, deadline=soon())
    fake.fail(slow(6), matching="/api/user/profile")
    busy = threading.Thread(target=lambda: one.call("check", PATH, deadline=soon()))
    busy.start()
    wait_until(lambda: one._free.empty())
    began = time.monotonic()
    with pytest.raises(CloudFailure) as failure:
        one.call("check", PATH, deadline=Deadline(0.5))
    assert failure.value.kind is Failure.LATE
    assert time.monotonic() - began < 5
    busy.join()
    one.close()


@pytest.mark.parametrize("budget", ["CHECK_S", "READ_S"])
def test_a_read_has_one_budget_for_all_its_tries(store, fake, monkeypatch, budget):
    again = CloudVectorStore(PATH, "words", WIDTH, reader=store.reader, writer=store.writer)
    monkeypatch.setattr(cloud_store, budget, 1.0)
    if budget == "READ_S":
        again.search(VECTORS[0], 1)  # it was looked at, so that the budget is spent on reading
    fake.fail(slow(60), times=99, matching="/creds")
    began = time.monotonic()
    with pytest.raises(StoreUnavailable, match="did not answer in time"):
        again.count()
    assert time.monotonic() - began < 1.0 + LATE_S


def test_a_search_does_not_read_the_knowledge_base(store, fake):
    again = CloudVectorStore(PATH, "words", WIDTH, reader=store.reader, writer=store.writer)
    assert len(again.search(VECTORS[0], 3)) == 3
    assert again._cached is None


def test_a_search_does_not_wait_for_an_upload(store):
    uploading, done = threading.Event(), threading.Event()

    class Writer:
        def call(self, *arguments: Any, **options: Any) -> None:
            uploading.set()
            assert done.wait(60)

    again = CloudVectorStore(PATH, "words", WIDTH, reader=store.reader, writer=Writer())
    remove = threading.Thread(target=again.remove, args=("d",))
    remove.start()
    assert uploading.wait(30)
    assert len(again.search(VECTORS[0], 3, deadline=Deadline(20))) == 3
    assert again.count() == CHUNKS
    done.set()
    remove.join()


def test_so_many_searches_as_there_are_processes_run_at_once(store, fake):
    together = threading.Barrier(AT_ONCE)  # breaks, and the search fails, when fewer come
    running, most, lock = 0, 0, threading.Lock()

    def counted(request, answer):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        together.wait(30)
        with lock:
            running -= 1
        return answer(request)

    fake.fail(counted, times=99, matching="/api/query/")
    with ThreadPoolExecutor(20) as people:
        found = list(people.map(lambda _: store.search(VECTORS[0], 1, deadline=soon()), range(20)))
    assert [hits[0].chunk_id for hits in found] == ["c0"] * 20
    assert most == AT_ONCE


def test_no_more_processes_are_started_than_are_needed(fake):
    pool = CloudProcesses(fake.token, fake.url, size=AT_ONCE)
    for _ in range(3):
        pool.call("check", PATH, deadline=soon())
    assert [process._process is not None for process in pool._free.queue].count(True) == 1
    pool.close()


def test_a_process_that_is_slow_to_start_is_late_once_and_not_killed_for_it(fake):
    one = CloudProcesses(fake.token, fake.url)
    with pytest.raises(CloudFailure) as failure:
        one.call("check", PATH, deadline=Deadline(0.05))
    assert failure.value.kind is Failure.LATE
    [process] = one._free.queue
    starting = process._process
    one.call("check", PATH, deadline=soon())
    assert process._process is starting
    one.close()


@pytest.mark.parametrize("in_a_call", [False, True])
def test_a_process_ends_with_the_app_whatever_it_is_doing(fake, in_a_call):
    reached = threading.Event()

    def hung(request, answer):
        reached.set()
        return slow(600)(request, answer)

    fake.fail(hung, matching="/api/user/profile")
    # Its end of the pipe is what a killed app leaves: the system closes the other.
    process = subprocess.Popen(
        [sys.executable, "-m", "services.retrieval.cloud_worker"],
        cwd=PROJECT_ROOT,
        env=os.environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin and process.stdout
    pickle.dump((fake.token, fake.url), process.stdin)
    if in_a_call:
        pickle.dump(("check", (PATH,)), process.stdin)
        process.stdin.flush()
        assert reached.wait(60)
    process.stdin.close()
    assert process.wait(timeout=60) == 0
    process.stdout.close()


def wait_until(is_so) -> None:
    deadline = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)
