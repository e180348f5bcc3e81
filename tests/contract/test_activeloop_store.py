"""The cloud store: the unmodified deeplake client against a strict stand-in for DeepLake Cloud."""

from __future__ import annotations

import atexit
import shutil
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from services.config import Settings
from services.errors import (
    ConfigurationError,
    EmbedderMismatch,
    NotAllowed,
    StoreDamaged,
    StoreUnavailable,
)
from services.models import Chunk, Document, Replaced
from services.retrieval import cloud_worker
from services.retrieval.cloud_calls import CloudProcesses, CloudRetryPolicy
from services.retrieval.cloud_failures import CloudFailure, Failure
from services.retrieval.cloud_store import CloudVectorStore
from services.retrieval.content import EmbeddedDocument, metadata_of
from services.retrieval.deadline import Deadline
from services.retrieval.local_store import import_deeplake
from services.retrieval.stores import open_store
from tests.fakes.activeloop_server import FakeActiveloop, failing, wrong_json
from tests.fakes.wire import answer_by_half, hang_up, slow, web_page

WIDTH = 16
QUICK = CloudRetryPolicy(attempts=3, first_wait_s=0.01)


def embedded(name: str, chunks: int = 3, seed: int = 0) -> EmbeddedDocument:
    vectors = np.random.default_rng(seed).normal(size=(chunks, WIDTH)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    document = Document(name, f"{name}.txt", chunks, 100, name, datetime.now(UTC))
    rows = [Chunk(f"{name}-{n}", name, document.name, n, f"{name} {n}") for n in range(chunks)]
    return EmbeddedDocument(document, rows, vectors)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One stand-in and two processes for all tests: a process takes 1.5 s to start."""
    with FakeActiveloop(tmp_path_factory.mktemp("cloud")) as fake:
        reader, writer = (CloudProcesses(fake.token, fake.url, QUICK) for _ in range(2))
        yield fake, reader, writer
        reader.close()
        writer.close()


@pytest.fixture
def fake(shared):
    yield shared[0]
    shared[0].forgive()


@pytest.fixture
def open_again(shared, request):
    """Opens the store of this test, with nothing in memory."""
    name = "".join(letter if letter.isalnum() else "-" for letter in request.node.name)

    def open_it(
        path: str = f"hub://acme/{name}", embedder: str = "words", witness: Path | None = None
    ) -> CloudVectorStore:
        reader, writer = shared[1:]
        return CloudVectorStore(
            path, embedder, WIDTH, reader=reader, writer=writer, witness=witness
        )

    return open_it


def test_a_dataset_that_is_not_there_is_an_empty_knowledge_base(open_again):
    store = open_again()
    assert (store.documents(), store.count()) == ([], 0)
    assert store.search(np.ones(WIDTH, dtype=np.float32), 5) == []


def test_documents_are_stored_found_again_and_removed(open_again):
    harbour, coffee = embedded("harbour", seed=1), embedded("coffee", seed=2)
    store = open_again()
    store.add([harbour])
    store.add([harbour, coffee])

    again = open_again()
    assert [document.name for document in again.documents()] == ["harbour.txt", "coffee.txt"]
    assert np.allclose(again.snapshot().embeddings[3:], coffee.embeddings)

    assert again.remove(["harbour"]) == 3
    assert again.remove(["harbour"]) == 0
    assert [chunk.text for chunk in open_again().snapshot().chunks] == [
        "coffee 0",
        "coffee 1",
        "coffee 2",
    ]


def test_the_version_differs_whenever_the_content_does(open_again):
    store = open_again()
    versions = {store.snapshot().version}
    for name in ("a", "b"):
        store.add([embedded(name)])
        versions.add(store.snapshot().version)
    store.remove(["a"])
    versions.add(store.snapshot().version)
    assert len(versions) == 4


def test_the_last_document_can_be_removed_and_others_added_after_it(open_again):
    store = open_again()
    store.add([embedded("a")])
    store.remove(["a"])
    assert open_again().count() == 0
    store.add([embedded("b")])
    assert open_again().count() == 3


def traces(fake, text: bytes) -> int:
    files = [file for file in fake.folder.rglob("*") if file.is_file()]
    return sum(file.read_bytes().count(text) for file in files)


@pytest.mark.parametrize("last", [False, True])
def test_nothing_of_a_removed_document_is_kept_in_the_datasets_history(open_again, fake, last):
    store = open_again()
    store.add([embedded("secret")])
    if not last:
        store.add([embedded("kept")])
    assert traces(fake, b"secret 1") > 0
    store.remove(["secret"])
    assert traces(fake, b"secret 1") == 0

    store.add([embedded("new")])
    expected = ["new"] if last else ["kept", "new"]
    assert [document.id for document in open_again().documents()] == expected
    assert len(open_again().snapshot().chunks) == 3 * len(expected)


def test_a_document_is_replaced_in_one_commit_and_nothing_of_it_is_kept(open_again, fake):
    store = open_again()
    store.add([embedded("secret"), embedded("kept")])
    new = embedded("new", seed=1)
    new = replace(
        new,
        document=replace(new.document, id="secret", replaced=Replaced(datetime.now(UTC), 3, 7)),
        chunks=[replace(chunk, document_id="secret") for chunk in new.chunks],
        replaces="secret",
    )

    assert store.add([new, embedded("more")]) != []

    assert traces(fake, b"secret 1") == 0
    again = open_again()
    found = {document.name: document for document in again.documents()}
    assert set(found) == {"kept.txt", "new.txt", "more.txt"}
    assert found["new.txt"] == new.document
    assert again.count() == 9
    version = again.snapshot().version
    assert again.add([new]) == []
    assert open_again().snapshot().version == version


def test_what_a_killed_removal_left_in_the_history_goes_with_the_next_change(
    open_again, fake, monkeypatch
):
    """Killed between its commit and the deletion: the worker runs in this process for once."""
    store = open_again()
    store.add([embedded("secret"), embedded("kept")])
    monkeypatch.setattr(cloud_worker.rest, "HUB_REST_ENDPOINT", fake.url)
    with monkeypatch.context() as patched:
        patched.setattr(cloud_worker, "forget_replaced", lambda dataset: None)
        rows = embedded("kept")
        cloud_worker.Cloud(fake.token, fake.url).replace(
            store.path,
            {
                "text": [chunk.text for chunk in rows.chunks],
                "metadata": [metadata_of(chunk, rows.document) for chunk in rows.chunks],
                "embedding": rows.embeddings,
                "id": [chunk.id for chunk in rows.chunks],
            },
            ("words", WIDTH),
        )
    assert traces(fake, b"secret 1") > 0

    open_again().add([embedded("new")])

    assert traces(fake, b"secret 1") == 0
    assert [document.id for document in open_again().documents()] == ["kept", "new"]


def test_a_dataset_that_was_deleted_there_is_said_and_not_taken_for_an_empty_one(
    open_again, fake, tmp_path
):
    def opened() -> CloudVectorStore:
        return open_again(witness=tmp_path / "witness")

    opened().add([embedded("a")])
    shutil.rmtree(fake.folder / "acme" / opened().path.rsplit("/", 1)[1])

    with pytest.raises(StoreDamaged, match="gone"):
        opened().documents()
    opened().begin_anew()
    assert opened().documents() == []


def test_search_runs_in_the_cloud_and_gives_the_nearest_first(open_again, fake):
    stored = embedded("harbour", 8)
    store = open_again()
    store.add([stored])
    hits = store.search(stored.embeddings[5], 3)
    assert hits[0].chunk_id == "harbour-5"
    assert hits[0].score == pytest.approx(1, abs=1e-5)
    assert [hit.rank for hit in hits] == [1, 2, 3]
    assert fake.calls("/api/query/dataset")


def test_another_embedder_is_refused(open_again):
    open_again().add([embedded("a")])
    with pytest.raises(EmbedderMismatch, match="words"):
        open_again(embedder="other").snapshot()
    with pytest.raises(EmbedderMismatch):
        open_again(embedder="other").add([embedded("b")])


def test_what_a_killed_change_left_behind_is_not_seen_and_the_next_change_discards_it(
    open_again, fake
):
    store = open_again()
    store.add([embedded("a")])
    folder = fake.folder / "acme" / store.path.rsplit("/", 1)[1]
    half_done = import_deeplake().load(str(folder), verbose=False)
    half_done.text.extend(["half"])
    half_done.id.extend(["half"])
    half_done.flush()
    half_done._unlock()

    assert open_again().count() == 3
    open_again().add([embedded("b")])
    assert [document.id for document in open_again().documents()] == ["a", "b"]


def test_a_dataset_that_another_process_writes_to_is_named_as_locked(open_again, fake):
    store = open_again()
    store.add([embedded("a")])
    folder = fake.folder / "acme" / store.path.rsplit("/", 1)[1]
    other = import_deeplake().load(str(folder), verbose=False)
    other._lock()
    with pytest.raises(StoreUnavailable, match="Another program is writing"):
        store.add([embedded("b")])
    other._unlock()
    store.add([embedded("b")])
    assert store.count() == 6


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        (failing(401), ConfigurationError, "refused the token"),
        (failing(403), StoreUnavailable, "no right"),
        (failing(429), StoreUnavailable, "rate limit"),
        (failing(500), StoreUnavailable, "fails at the moment"),
        (failing(502), StoreUnavailable, "fails at the moment"),
        (failing(503), StoreUnavailable, "fails at the moment"),
        (failing(504), StoreUnavailable, "fails at the moment"),
        (hang_up, StoreUnavailable, "could not be reached"),
        (answer_by_half, StoreUnavailable, "could not be reached"),
        (wrong_json, StoreUnavailable, "does not understand"),
        (web_page, StoreUnavailable, "does not understand"),
    ],
)
def test_each_fault_that_stays_has_its_own_words_and_a_bounded_number_of_calls(
    open_again, fake, fault, error, words
):
    store = open_again()
    fake.fail(fault, times=999)
    calls_before = len(fake.log)
    with pytest.raises(error, match=words) as failure:
        store.documents()
    assert failure.value.next_step
    assert len(fake.log) - calls_before <= 3  # tries of ours, and none of the library's


@pytest.mark.parametrize("fault", [failing(429), failing(503), wrong_json, web_page])
def test_a_fault_that_passes_is_not_seen(open_again, fake, fault):
    store = open_again()
    fake.fail(fault)
    assert store.documents() == []


def test_an_organization_of_others_is_refused_rather_than_shown_as_empty(open_again):
    with pytest.raises(StoreUnavailable, match="no right"):
        open_again("hub://others/kb").documents()


def test_the_settings_lead_each_user_to_a_dataset_of_their_own(fake, tmp_path):
    settings = Settings(
        _env_file=None,
        data_dir=tmp_path,
        deeplake_path="hub://acme/kb",
        activeloop_token=fake.token,
        activeloop_endpoint=fake.url,
    )
    ours, theirs = (open_store(settings, user, "words", WIDTH) for user in ("ann", "bob"))
    ours.add([embedded("a")])
    assert (ours.count(), theirs.count()) == (3, 0)
    assert open_store(settings, "ann", "words", WIDTH) is ours
    with pytest.raises(NotAllowed):
        open_store(settings, "../ann", "words", WIDTH)
    ours.reader.close()
    ours.writer.close()


def test_a_network_that_is_down_is_named_soon_and_nothing_is_printed(fake, capfd):
    process = CloudProcesses(fake.token, "http://127.0.0.1:9", CloudRetryPolicy(attempts=1))
    with pytest.raises(CloudFailure) as failure:
        process.call("check", "hub://acme/kb", deadline=Deadline(60))
    process.close()
    assert failure.value.kind is Failure.NETWORK
    assert capfd.readouterr() == ("", "")


def test_a_call_that_takes_too_long_is_ended_and_the_next_one_works(shared, fake):
    reader = shared[1]
    fake.fail(slow(60))
    began = time.monotonic()
    with pytest.raises(CloudFailure) as failure:
        reader.call("check", "hub://acme/kb", deadline=Deadline(0.5), repeatable=False)
    assert failure.value.kind is Failure.LATE
    assert time.monotonic() - began < 30
    assert reader.call("check", "hub://acme/kb", deadline=Deadline(60)) == ["acme", "public"]


def test_a_change_leaves_nothing_in_the_process_that_waits_for_its_end(fake):
    from services.retrieval.cloud_worker import Cloud  # here, because it imports deeplake

    cloud, path = Cloud(fake.token, fake.url), "hub://acme/leaves-nothing"
    rows = {
        "id": ["c1"],
        "text": ["harbour"],
        "metadata": [{"document": "harbour.txt"}],
        "embedding": np.ones((1, WIDTH), dtype=np.float32),
    }
    cloud.append(path, rows, ("words", WIDTH))  # the first imports what has its own to do then
    before = atexit._ncallbacks()
    for _ in range(2):
        cloud.replace(path, rows, ("words", WIDTH))
    assert atexit._ncallbacks() == before
