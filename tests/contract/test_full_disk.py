"""A disk that is full: what would be written waits or is refused in words, and nothing is lost.

On a real file system of 400 MB, with the embedded Postgres on it.
"""

from __future__ import annotations

import os
import threading
import time
import zipfile
from collections.abc import Callable, Iterator

import pytest

from services.config import Settings
from services.disk import LEAST_FREE_MB
from services.errors import DiskFull, StoreUnavailable
from services.models import Waiting
from services.retrieval.local_store import LocalVectorStore
from services.runs.lease import RunLease
from services.runs.states import RunStatus
from services.runs.store import RunStore
from services.studio import Studio
from services.workspace import Workspace
from tests.behind_the_door import models_of
from tests.embedded import temporary_data_dir
from tests.runs import METRICS, Script, finished
from tests.small_disk import NotMounted, filled, small_disk
from tests.trained_models import ranking_by

LONG_S = 60
ROOM_MB = 400


@pytest.fixture(scope="module")
def studio() -> Iterator[Studio]:
    """The app with its own Supabase, on a small disk."""
    with temporary_data_dir() as elsewhere:
        data_dir = elsewhere / "small"
        try:
            with small_disk(data_dir, ROOM_MB):
                (data_dir / "tools").symlink_to((elsewhere / "tools").resolve())
                studio = Studio(Settings(_env_file=None, data_dir=data_dir))
                try:
                    yield studio
                finally:
                    studio.stop()
        except NotMounted as why:
            how = f"a small file system cannot be mounted here: {why}"
            pytest.fail(how) if os.environ.get("CI") else pytest.skip(how)


def until(seen: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LONG_S
    while not seen():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_readiness_says_that_the_disk_is_nearly_full(studio):
    studio.check()
    nearly_full = pytest.raises(DiskFull, match=r"DATA_DIR is nearly full: \d+ MB are free")
    with filled(studio.settings.data_dir, but_mb=LEAST_FREE_MB // 2), nearly_full:
        studio.check()
    studio.check()


def test_worker_waits_for_room_says_so_and_stores_each_pair_once(studio):
    space = Workspace(studio, studio.sign_in_as_demo())
    run = RunStore(space.user.database).start(total_chunks=3_000, settings={})
    lease = RunLease(studio._service, run)
    lease.claim()
    chunks, pairs = finished([f"c{number:04}" for number in range(3_000)])
    lease.begin_generation([chunk["chunk_id"] for chunk in chunks])
    saving = threading.Thread(target=lease.save_pairs, args=(chunks, pairs, {}), daemon=True)
    with filled(studio.settings.data_dir):
        saving.start()
        until(lambda: lease.waiting == Waiting(DiskFull.waits_for))
    saving.join(LONG_S)
    stored = space.runs.get(run.id)
    assert (stored.processed_chunks, stored.pair_count, lease.waiting) == (3_000, 3_000, None)


def test_import_that_cannot_be_written_is_interrupted_in_words_and_goes_on(studio, monkeypatch):
    """The knowledge base is as it was, the files are kept, and nothing half written takes room."""
    space = Workspace(studio, studio.sign_in_as_demo())
    first = space.documents.add([("first.txt", b"The quay moors vessels of 40 metres.")])
    assert first.status == "done"
    folder = studio.settings.data_dir / "stores" / space.user.identity.user_id
    store_add = LocalVectorStore.add

    def add_on_a_full_disk(store, documents):
        with filled(folder):
            return store_add(store, documents)

    with monkeypatch.context() as patched:
        patched.setattr(LocalVectorStore, "add", add_on_a_full_disk)
        cut = space.documents.add([("second.txt", b"A tide gauge. " * 40_000)])
    assert cut.status == "interrupted"
    assert "as it was" in cut.message and "No space left" in cut.message
    assert [document.name for document in space.documents.all()] == ["first.txt"]
    assert len(list(folder.glob("v-*"))) == 1
    space.documents.go_on_with_import(cut.id)
    done = space.documents.wait_for_import(cut.id, LONG_S)
    assert (done.status, done.counts) == ("done", {"added": 1})
    assert [document.name for document in space.documents.all()] == ["first.txt", "second.txt"]


def test_no_import_begins_without_room_for_its_files(studio):
    space = Workspace(studio, studio.sign_in_as_demo())
    with filled(studio.settings.data_dir, but_mb=LEAST_FREE_MB - 50), pytest.raises(DiskFull):
        space.documents.start_import([("third.txt", b"A tide gauge.")])
    assert not list((studio.settings.data_dir / "imports").glob("*/*"))


def test_a_model_is_not_downloaded_without_room_for_the_file_and_later_it_is(studio, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(studio.settings.data_dir))
    space = Workspace(studio, studio.accounts.sign_up("ann@example.com", "correct horse battery"))
    script = Script(space.user, studio._service).to(RunStatus.TRAINING)
    models_of(space).save(script.run, ranking_by())
    script.lease.finish_training(METRICS, activate=True)
    run = script.now
    with (
        filled(studio.settings.data_dir),
        pytest.raises(StoreUnavailable, match="cannot be written") as refused,
    ):
        space.models.export(run)
    assert refused.value.next_step == "Make room on the disk."
    with space.models.export(run) as file:
        assert zipfile.is_zipfile(file)
