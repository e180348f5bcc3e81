"""A disk that is full: what would be written waits or is refused in words, and nothing is lost.

On a real file system of 400 MB, with the embedded Postgres on it.
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from services.config import Settings
from services.disk import LEAST_FREE_MB, free_mb
from services.errors import DiskFull, StoreUnavailable
from services.models import Waiting
from services.retrieval.embeddings import WordLlamaEmbedder
from services.retrieval.local_store import LocalVectorStore
from services.runs.lease import RunLease
from services.studio import Studio
from services.workspace import Workspace
from tests.embedded import temporary_data_dir
from tests.runs import finished

LONG_S = 60
ROOM_MB = 400


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("small-disk")
    mount = ["mount", "-t", "tmpfs", "-o", f"size={ROOM_MB}m,mode=0711", "tmpfs", str(folder)]
    made = subprocess.run(mount, capture_output=True, text=True)
    if made.returncode:
        how = f"a small file system cannot be mounted here: {made.stderr.strip()}"
        pytest.fail(how) if os.environ.get("CI") else pytest.skip(how)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture(scope="module")
def studio(small_disk: Path) -> Iterator[Studio]:
    # Not under pytest's folder, which it closes to the user that Postgres runs as.
    with temporary_data_dir() as elsewhere:
        data_dir = elsewhere / "small"
        data_dir.mkdir()
        subprocess.run(["mount", "--bind", str(small_disk), str(data_dir)], check=True)
        (data_dir / "tools").symlink_to((elsewhere / "tools").resolve(), target_is_directory=True)
        studio = Studio(Settings(_env_file=None, data_dir=data_dir))
        yield studio
        studio.stop()
        subprocess.run(["umount", "--lazy", str(data_dir)], check=True)


@contextmanager
def filled(folder: Path, *, but_mb: int = 0) -> Iterator[None]:
    """Nothing is free, or `but_mb`, for the duration of the block."""
    ballast = folder / "ballast"
    try:
        with ballast.open("wb", buffering=0) as file:
            while free_mb(folder) > but_mb:
                file.write(bytes(2**20))
            if not but_mb:
                try:
                    while file.write(bytes(4096)):
                        pass
                except OSError:
                    pass
        yield
    finally:
        ballast.unlink()


def until(seen: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LONG_S
    while not seen():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_readiness_says_that_the_disk_is_nearly_full(studio):
    studio.check()
    with filled(studio.settings.data_dir, but_mb=LEAST_FREE_MB // 2):
        with pytest.raises(DiskFull, match=r"DATA_DIR is nearly full: \d+ MB are free"):
            studio.check()
    studio.check()


def test_worker_waits_for_room_says_so_and_stores_each_pair_once(studio):
    space = Workspace(studio, studio.sign_in_as_demo())
    run = space.deep_memory.runs.start(total_chunks=3_000, settings={})
    lease = RunLease(studio._service, run)
    lease.claim()
    chunks, pairs = finished([f"c{number:04}" for number in range(3_000)])
    lease.begin_generation([chunk["chunk_id"] for chunk in chunks])
    saving = threading.Thread(target=lease.save_pairs, args=(chunks, pairs, {}), daemon=True)
    with filled(studio.settings.data_dir):
        saving.start()
        until(lambda: lease.waiting == Waiting(DiskFull.waits_for))
    saving.join(LONG_S)
    stored = space.deep_memory.runs.get(run.id)
    assert (stored.processed_chunks, stored.pair_count, lease.waiting) == (3_000, 3_000, None)


def test_knowledge_base_that_cannot_be_written_is_as_it_was(small_disk, studio):
    store = LocalVectorStore(small_disk / "kb", WordLlamaEmbedder.name, WordLlamaEmbedder.width)
    space = Workspace(studio, studio.sign_in_as_demo())
    space.store = store
    space.knowledge._store = store
    space.knowledge.add_files([("first.txt", b"The quay moors vessels of 40 metres.")])
    with filled(small_disk):
        report = space.knowledge.add_files([("second.txt", b"A tide gauge. " * 40_000)])
    [(name, error)] = report.rejected
    assert name == "second.txt" and isinstance(error, StoreUnavailable)
    assert "It is as it was" in str(error)
    assert [document.name for document in store.documents()] == ["first.txt"]
    assert len(list((small_disk / "kb").glob("v-*"))) == 1  # nothing half written takes the room
    space.knowledge.add_files([("second.txt", b"A tide gauge. " * 400)])
    assert store.count() > 1
