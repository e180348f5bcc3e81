"""The local vector store on a real deeplake, with real processes beside it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from services.config import Settings
from services.errors import ConfigurationError, EmbedderMismatch, NotAllowed, StoreUnavailable
from services.models import Chunk, Document, Replaced
from services.retrieval.content import EmbeddedDocument
from services.retrieval.local_store import LocalVectorStore
from services.retrieval.stores import models_folder, open_store
from tests.behind_the_door import dataset_of
from tests.fakes.wire import Reply, Request, WireServer

ROOT = Path(__file__).resolve().parents[2]
WIDTH = 8

# What the scripts of other processes begin with: a store and documents to put into it.
PRELUDE = """
import os, sys
from pathlib import Path
from services.retrieval import local_store
from tests.contract.test_vector_store import a_document, a_store
folder = Path(sys.argv[1])
store = a_store(folder)
"""


def a_store(folder: Path, name: str = "model-a", width: int = WIDTH) -> LocalVectorStore:
    return LocalVectorStore(folder, name, width)


def a_document(name: str, chunk_count: int = 3, width: int = WIDTH) -> EmbeddedDocument:
    chunks = [
        Chunk(f"{name}-{position}", f"id-{name}", name, position, f"Text {position} of {name}: ä €")
        for position in range(chunk_count)
    ]
    vectors = np.random.default_rng(len(name)).normal(size=(chunk_count, width))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    added_at = datetime.now(UTC)
    document = Document(f"id-{name}", name, chunk_count, 99, f"hash-{name}", added_at)
    return EmbeddedDocument(document, chunks, vectors.astype(np.float32))


def names(store: LocalVectorStore) -> list[str]:
    return [document.name for document in store.documents()]


def in_another_process(
    script: str, *arguments: object, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PRELUDE + script, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_what_was_added_is_there_after_opening_again(tmp_path):
    entries = [a_document("a.txt"), a_document("b.md", 5)]
    a_store(tmp_path).add(entries)

    again = a_store(tmp_path)
    snapshot = again.snapshot()
    assert again.documents() == [entry.document for entry in entries]
    assert list(snapshot.chunks) == [chunk for entry in entries for chunk in entry.chunks]
    assert snapshot.embeddings.dtype == np.float32
    assert np.array_equal(snapshot.embeddings, np.concatenate([e.embeddings for e in entries]))


def test_an_empty_store_has_a_snapshot_without_rows_and_makes_no_file(tmp_path):
    store = a_store(tmp_path / "new")

    assert store.snapshot().embeddings.shape == (0, WIDTH)
    assert (store.count(), store.documents(), store.remove(["nothing"])) == (0, [], 0)
    assert dataset_of(store) is None


def test_removing_takes_exactly_one_documents_chunks(tmp_path):
    store = a_store(tmp_path)
    kept = a_document("kept.txt", 4)
    store.add([a_document("first.txt"), kept, a_document("last.txt")])

    assert store.remove(["id-first.txt"]) == 3
    assert store.remove(["id-last.txt"]) == 3
    assert store.remove(["id-last.txt"]) == 0
    snapshot = a_store(tmp_path).snapshot()
    assert list(snapshot.chunks) == list(kept.chunks)
    assert np.array_equal(snapshot.embeddings, kept.embeddings)


def in_place_of(old: EmbeddedDocument, new: EmbeddedDocument) -> EmbeddedDocument:
    """The text of `new` as a document with the id of `old`, whose text it replaces."""
    id_ = old.document.id
    return replace(
        new,
        document=replace(
            new.document,
            id=id_,
            added_at=old.document.added_at,
            replaced=Replaced(datetime.now(UTC), old.document.chunk_count, 7),
        ),
        chunks=[replace(chunk, document_id=id_) for chunk in new.chunks],
        replaces=old.document.content_hash,
    )


def test_a_document_is_replaced_in_one_change_and_keeps_its_place(tmp_path):
    old, other = a_document("a.txt", 4), a_document("b.txt")
    store = a_store(tmp_path)
    store.add([old, other])
    new = in_place_of(old, a_document("new.txt", 2))

    assert store.add([new, a_document("c.txt")]) == [new.document, store.documents()[2]]

    again = a_store(tmp_path)
    assert again.documents()[:2] == [new.document, other.document]
    assert names(again) == ["new.txt", "b.txt", "c.txt"]
    assert again.documents()[0].replaced == new.document.replaced
    chunks, vectors = again.snapshot().chunks, again.snapshot().embeddings
    rows = [row for row, chunk in enumerate(chunks) if chunk.document_id == old.document.id]
    assert [chunks[row] for row in rows] == new.chunks
    assert np.array_equal(vectors[rows], new.embeddings)
    assert len(chunks) == 2 + 3 + 3


def test_a_document_alone_in_its_store_is_replaced(tmp_path):
    old = a_document("a.txt")
    a_store(tmp_path).add([old])
    new = in_place_of(old, a_document("new.txt", 2))
    assert a_store(tmp_path).add([new]) == [new.document]
    assert list(a_store(tmp_path).snapshot().chunks) == new.chunks


def test_a_text_is_replaced_once_and_only_the_one_that_was_meant(tmp_path):
    """A late worker must not put its text above a newer one."""
    old = a_document("a.txt")
    store = a_store(tmp_path)
    store.add([old])
    newer = in_place_of(old, a_document("newer.txt"))
    late = in_place_of(old, a_document("late.txt"))
    store.add([newer])
    version = store.snapshot().version
    assert store.add([newer]) == store.add([late]) == []
    assert (store.snapshot().version, names(store)) == (version, ["newer.txt"])


@pytest.mark.parametrize(
    ("dies_in", "left"), [("_write_manifest", "a.txt"), ("_delete", "new.txt")]
)
def test_a_process_that_dies_while_it_replaces_leaves_one_text_or_the_other(
    tmp_path, dies_in, left
):
    a_store(tmp_path).add([a_document("a.txt"), a_document("b.txt")])
    script = """
from tests.contract.test_vector_store import in_place_of
new = in_place_of(a_document("a.txt"), a_document("new.txt"))
setattr(local_store, sys.argv[2], lambda *_: os._exit(9))
store.add([new])
"""
    assert in_another_process(script, tmp_path, dies_in).returncode == 9
    assert set(names(a_store(tmp_path))) == {left, "b.txt"}
    assert a_store(tmp_path).count() == 6


def test_adding_a_stored_document_again_changes_nothing(tmp_path):
    store = a_store(tmp_path)
    store.add([a_document("a.txt")])
    version = store.snapshot().version

    assert store.add([a_document("a.txt")]) == []
    assert store.snapshot().version == version


def test_one_wrong_document_of_several_keeps_all_of_them_out(tmp_path):
    store = a_store(tmp_path)
    store.add([a_document("a.txt")])

    with pytest.raises(ValueError):
        store.add([a_document("b.txt"), a_document("c.txt", width=WIDTH + 1)])
    assert names(a_store(tmp_path)) == ["a.txt"]


@pytest.mark.parametrize(("name", "width"), [("model-b", WIDTH), ("model-a", WIDTH + 1)])
def test_another_embedder_neither_reads_nor_adds_vectors_but_may_clear_the_store(
    tmp_path, name, width
):
    a_store(tmp_path).add([a_document("a.txt")])
    other = a_store(tmp_path, name, width)

    with pytest.raises(EmbedderMismatch, match="model-a"):
        other.snapshot()
    with pytest.raises(EmbedderMismatch, match="model-a"):
        other.add([a_document("b.txt", width=width)])
    assert names(other) == ["a.txt"]

    other.remove(["id-a.txt"])
    other.add([a_document("b.txt", width=width)])
    assert other.snapshot().embeddings.shape == (3, width)


def test_a_snapshot_stays_in_memory_until_the_store_changes(tmp_path):
    store = a_store(tmp_path)
    store.add([a_document("a.txt")])
    first = store.snapshot()

    assert store.snapshot().embeddings is first.embeddings
    store.add([a_document("b.txt")])
    assert store.snapshot().version != first.version
    assert len(first.chunks) == 3


def test_a_change_by_another_process_is_seen(tmp_path):
    store = a_store(tmp_path)
    store.add([a_document("ours.txt")])
    store.snapshot()

    run = in_another_process("store.add([a_document('theirs.txt', 2)])", tmp_path)

    assert run.returncode == 0, run.stderr
    assert names(store) == ["ours.txt", "theirs.txt"]
    assert store.snapshot().embeddings.shape == (5, WIDTH)


# Three points of a write: no file waited for yet, some of them, and all but the pointer.
@pytest.mark.parametrize("flushes", [0, 3, "pointer"])
def test_a_crash_in_the_middle_of_a_write_leaves_the_store_as_it_was(tmp_path, flushes):
    a_store(tmp_path).add([a_document("before.txt")])
    crash = """
flushed, real = [], local_store._to_disk
def crash_at(path):
    if path.name == "current.new" if sys.argv[2] == "pointer" else len(flushed) == int(sys.argv[2]):
        os._exit(9)
    flushed.append(path)
    real(path)
local_store._to_disk = crash_at
store.add([a_document("lost.txt", 500)])
"""
    run = in_another_process(crash, tmp_path, flushes)
    assert run.returncode == 9, run.stderr

    store = a_store(tmp_path)
    assert names(store) == ["before.txt"]
    assert store.snapshot().embeddings.shape == (3, WIDTH)
    store.add([a_document("after.txt")])
    assert names(a_store(tmp_path)) == ["before.txt", "after.txt"]
    # Nothing but the current one: what the crash left is gone, and so is the one before.
    assert list(tmp_path.glob("v-*")) == [dataset_of(a_store(tmp_path))]


def test_a_killed_writer_holds_nobody_up(tmp_path):
    script = """
with store._changing():
    print("holding", flush=True)
    sys.stdin.read()
"""
    writer = subprocess.Popen(
        [sys.executable, "-c", PRELUDE + script, str(tmp_path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with writer:
        assert writer.stdout.readline() == "holding\n"
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        a_store(tmp_path).add([a_document("a.txt")])

    assert names(a_store(tmp_path)) == ["a.txt"]


def test_a_full_disk_is_said_in_words_and_loses_nothing(tmp_path):
    a_store(tmp_path).add([a_document("before.txt")])
    fill = """
import resource, signal
from services.errors import StoreUnavailable
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    store.add([a_document("large.txt", 5_000)])
except StoreUnavailable as error:
    print(error)
"""
    run = in_another_process(fill, tmp_path)

    assert "as it was" in run.stdout, run.stderr
    assert names(a_store(tmp_path)) == ["before.txt"]


def test_a_folder_that_can_not_be_written_is_said_in_words(tmp_path):
    (tmp_path / "file").write_text("a file where a folder should be")

    with pytest.raises(StoreUnavailable, match="cannot be written"):
        a_store(tmp_path / "file" / "store").add([a_document("a.txt")])


@pytest.mark.parametrize("folder", ["", "text/chunks", "metadata/chunks", "embedding/chunks"])
def test_missing_files_are_said_in_words(tmp_path, folder):
    a_store(tmp_path).add([a_document("a.txt")])
    for file in (dataset_of(a_store(tmp_path)) / folder).iterdir():
        if file.is_file():
            file.unlink()

    with pytest.raises(StoreUnavailable, match="damaged or missing"):
        a_store(tmp_path).snapshot()


@pytest.mark.parametrize("folder", ["", "metadata/chunks", "embedding/chunks"])
def test_files_cut_short_are_said_in_words(tmp_path, folder):
    a_store(tmp_path).add([a_document("a.txt")])
    for file in (dataset_of(a_store(tmp_path)) / folder).iterdir():
        if file.is_file():
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])

    with pytest.raises(StoreUnavailable, match="damaged or missing"):
        a_store(tmp_path).snapshot()


def test_readers_see_whole_documents_while_writers_take_turns(tmp_path):
    """Two threads add and remove, one of them through an object of its own; two others read."""
    problems: list[str] = []
    writing = threading.Event()
    writing.set()
    shared = a_store(tmp_path)

    def write(store: LocalVectorStore, who: str) -> None:
        for number in range(5):
            store.add([a_document(f"{who}-{number}", 7)])
            if number % 2:
                store.remove([f"id-{who}-{number}"])

    def read(store: LocalVectorStore) -> None:
        while writing.is_set():
            snapshot = store.snapshot()
            if len(snapshot.chunks) % 7 or len(snapshot.chunks) != len(snapshot.embeddings):
                problems.append(f"{len(snapshot.chunks)} chunks")

    readers = [threading.Thread(target=read, args=(s,)) for s in (shared, a_store(tmp_path))]
    writers = [
        threading.Thread(target=write, args=(shared, "one")),
        threading.Thread(target=write, args=(a_store(tmp_path), "two")),
    ]
    for thread in readers + writers:
        thread.start()
    for thread in writers:
        thread.join()
    writing.clear()
    for thread in readers:
        thread.join()

    assert problems == []
    expected = {f"{who}-{number}" for who in ("one", "two") for number in range(0, 5, 2)}
    assert set(names(a_store(tmp_path))) == expected == set(names(shared))


def test_a_local_store_never_touches_the_network(tmp_path):
    script = """
import socket
def refuse(self, address, *rest):
    print("NETWORK", address, flush=True)
    raise OSError("no network in this test")
socket.socket.connect = socket.socket.connect_ex = refuse
socket.getaddrinfo = refuse
store.add([a_document("a.txt"), a_document("b.txt")])
again = a_store(folder)
snapshot = again.snapshot()
print((snapshot.embeddings @ snapshot.embeddings[0]).argmax())
print(again.remove(["id-a.txt"]), a_store(folder).count(), "indra" in sys.modules)
"""
    home = {"HOME": str(tmp_path / "home"), "ACTIVELOOP_TOKEN": "a.b.c", "BUGGER_OFF": "no"}
    run = in_another_process(script, tmp_path / "store", environment=home)

    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == ["0", "3 3 False"]


class ProfileOnly(WireServer):
    """All that deeplake's `VectorStore` asks the cloud when it opens a local path."""

    def answer(self, request: Request) -> Reply:
        return Reply(200, {"_id": "public", "name": "public", "organizations": ["public"]})


def test_the_dataset_is_what_deeplakes_own_vector_store_makes_and_opens(tmp_path):
    """Its constructor asks for the user's profile even for a local path: a loopback answers."""
    ours = a_store(tmp_path / "ours")
    entry = a_document("a.txt", 4)
    ours.add([entry])
    script = """
import numpy as np
local_store.import_deeplake()
import deeplake.client.client as cloud
cloud.HUB_REST_ENDPOINT = sys.argv[2]
from deeplake.core.vectorstore import VectorStore
theirs = VectorStore(path=str(folder / "theirs"), verbose=False)
entry = a_document("a.txt", 4)
theirs.add(text=[c.text for c in entry.chunks], embedding=entry.embeddings,
           metadata=[{"document_id": "x"}] * 4, id=[c.id for c in entry.chunks])
opened = VectorStore(path=sys.argv[3], read_only=True, verbose=False)
def shape_of(dataset):
    return {name: (tensor.htype, tensor.dtype, tensor.meta.sample_compression,
                   tensor.meta.chunk_compression, tensor.meta.hidden, tensor.meta.max_chunk_size,
                   tensor.meta.links.keys(), tensor.num_samples, tensor.is_sequence)
            for name, tensor in dataset._tensors(include_hidden=True).items()}
assert shape_of(opened.dataset) == shape_of(theirs.dataset), (
    shape_of(opened.dataset), shape_of(theirs.dataset))
found = opened.search(embedding=entry.embeddings[2], k=1)
print(found["id"][0], found["text"][0], found["metadata"][0]["document"])
"""
    with ProfileOnly() as cloud:
        run = in_another_process(script, tmp_path, cloud.url, dataset_of(ours))

    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[-1] == f"a.txt-2 {entry.chunks[2].text} a.txt"


def test_each_user_has_a_folder_and_a_process_shares_the_store_of_it(tmp_path):
    settings = Settings(_env_file=None, data_dir=tmp_path)
    ann, ben = (open_store(settings, user, "model-a", WIDTH) for user in ("ann", "ben"))
    ann.add([a_document("a.txt")])

    assert open_store(settings, "ann", "model-a", WIDTH) is ann
    assert (ann.count(), ben.count()) == (3, 0)
    assert models_folder(settings, "ann") == tmp_path / "stores" / "ann" / "models"


@pytest.mark.parametrize("user_id", ["", ".", "..", "../ann", "a/b"])
def test_a_user_id_never_leads_out_of_the_data_folder(tmp_path, user_id):
    with pytest.raises(NotAllowed):
        open_store(Settings(_env_file=None, data_dir=tmp_path), user_id, "model-a", WIDTH)


def test_a_deeplake_path_of_an_unknown_kind_is_refused_by_name():
    settings = Settings(_env_file=None, deeplake_path="s3://bucket/x", deep_memory_trainer="local")
    with pytest.raises(ConfigurationError, match="DEEPLAKE_PATH"):
        open_store(settings, "ann", "model-a", WIDTH)
