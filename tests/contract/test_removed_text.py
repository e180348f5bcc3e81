"""A document that was removed leaves nothing on the disk, whoever reads or dies meanwhile."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from services.config import Settings
from services.errors import StoreUnavailable
from services.retrieval.stores import open_store, sweep_stores
from tests.behind_the_door import dataset_of
from tests.contract.test_vector_store import (
    PRELUDE,
    ROOT,
    WIDTH,
    a_document,
    a_store,
    in_another_process,
    in_place_of,
    names,
)

SECRET = "secret.txt"
LEFT = b"of secret.txt"  # stands in the text of each of its chunks
CRASH = """
import shutil
def crash(folder):
    if len(sys.argv) > 2:  # half way
        next(file for file in folder.rglob("*") if file.is_file()).unlink()
    os._exit(9)
shutil.rmtree = crash
store.remove(["id-secret.txt"])
"""


def traces(folder: Path) -> int:
    """How often the text of the secret document, or its name, stands in any file."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    return sum(file.read_bytes().count(LEFT) for file in files) + sum(
        SECRET in str(file) for file in files
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A store with the secret document and another one; the secret can be found on the disk."""
    a_store(tmp_path).add([a_document(SECRET, 4), a_document("kept.txt")])
    assert traces(tmp_path) == 4
    return tmp_path


def test_nothing_of_a_removed_document_is_on_the_disk(folder):
    a_store(folder).remove([f"id-{SECRET}"])
    assert traces(folder) == 0
    assert names(a_store(folder)) == ["kept.txt"]


def test_nothing_of_a_replaced_text_is_on_the_disk(folder):
    a_store(folder).add([in_place_of(a_document(SECRET, 4), a_document("new.txt"))])
    assert traces(folder) == 0
    assert sorted(names(a_store(folder))) == ["kept.txt", "new.txt"]


def test_nothing_of_the_last_document_is_on_the_disk(folder):
    store = a_store(folder)
    store.remove(["id-kept.txt"])
    store.remove([f"id-{SECRET}"])
    assert traces(folder) == 0
    assert sorted(path.name for path in folder.iterdir()) == ["current", "writer.lock"]


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("holds", ["before", "after"])
def test_a_reader_in_the_middle_of_loading_gets_the_store_as_it_is_after_the_removal(
    folder, last, holds
):
    """In another process: before the library read anything of the dataset, or after it did."""
    if last:
        a_store(folder).remove(["id-kept.txt"])
    script = """
real, waits = local_store._read_dataset, [1]
def hold():
    if waits:
        waits.clear()
        print("loading", flush=True)
        sys.stdin.readline()
def held(path):
    if sys.argv[2] == "before":
        hold()
        return real(path)
    content = real(path)
    hold()
    return content
local_store._read_dataset = held
print([document.name for document in store.documents()])
"""
    reader = subprocess.Popen(
        [sys.executable, "-c", PRELUDE + script, str(folder), holds],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with reader:
        assert reader.stdout.readline() == "loading\n"
        a_store(folder).remove([f"id-{SECRET}"])
        assert traces(folder) == 0
        said, _ = reader.communicate("go on\n", timeout=60)
    assert said.strip() == ("[]" if last else "['kept.txt']")
    assert traces(folder) == 0


@pytest.mark.parametrize("half_way", [[], ["half way"]])
@pytest.mark.parametrize("last", [False, True])
def test_a_crash_between_the_pointer_and_the_deletion_is_swept_by_whoever_opens_next(
    folder, last, half_way
):
    if last:
        a_store(folder).remove(["id-kept.txt"])
    crashed = in_another_process(CRASH, folder, *half_way)
    assert crashed.returncode == 9, crashed.stderr
    assert len(list(folder.glob("v-*"))) == (1 if last else 2)

    assert names(a_store(folder)) == ([] if last else ["kept.txt"])
    assert traces(folder) == 0


def test_what_a_crash_left_is_swept_when_the_app_starts(tmp_path):
    settings = Settings(_env_file=None, data_dir=tmp_path)
    store = open_store(settings, "ann", "model-a", WIDTH)
    store.add([a_document(SECRET), a_document("kept.txt")])
    crashed = in_another_process(CRASH, tmp_path / "stores" / "ann")
    assert crashed.returncode == 9, crashed.stderr
    assert traces(tmp_path) == 3

    sweep_stores(settings)

    assert traces(tmp_path) == 0
    assert names(store) == ["kept.txt"]


def test_a_change_that_fails_takes_its_own_half_away(folder, monkeypatch):
    def no_room(path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("services.retrieval.local_store._write_manifest", no_room)
    with pytest.raises(StoreUnavailable, match="No space left"):
        a_store(folder).add([a_document("more.txt")])
    assert list(folder.glob("v-*")) == [dataset_of(a_store(folder))]


def test_whoever_opens_leaves_alone_what_a_writer_is_at(folder):
    script = """
real = local_store._to_disk
def held(path):
    local_store._to_disk = real
    print("writing", flush=True)
    sys.stdin.readline()
local_store._to_disk = held
store.add([a_document("new.txt")])
"""
    writer = subprocess.Popen(
        [sys.executable, "-c", PRELUDE + script, str(folder)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with writer:
        assert writer.stdout.readline() == "writing\n"
        assert names(a_store(folder)) == [SECRET, "kept.txt"]
        writer.communicate("go on\n", timeout=60)
    assert names(a_store(folder)) == [SECRET, "kept.txt", "new.txt"]


@pytest.mark.parametrize("pointer", [None, "", "v-1-of-nothing"])
def test_nothing_is_deleted_beside_a_pointer_that_leads_nowhere(folder, pointer):
    """What lies there may be all that is left of the documents."""
    store = a_store(folder)
    (folder / "current").unlink()
    if pointer is not None:
        (folder / "current").write_text(pointer)
    store.sweep()
    assert traces(folder) == 4
