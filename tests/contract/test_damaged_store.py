"""A store that is damaged or lost says so, and is not taken for an empty one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from services.config import Settings
from services.errors import NotAllowed, StoreDamaged
from services.retrieval.local_store import MANIFEST
from services.retrieval.stores import open_store
from services.retrieval.vector_store import VectorStore
from tests.behind_the_door import dataset_of
from tests.contract.test_vector_store import WIDTH, a_document, a_store, names


def open_again(data_dir: Path) -> VectorStore:
    """Ann's store, as an app that was just started opens it."""
    open_store.__globals__["_shared_local_store"].cache_clear()
    return open_store(Settings(_env_file=None, data_dir=data_dir), "ann", "model-a", WIDTH)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of Ann's store with a document."""
    open_again(tmp_path).add([a_document("a.txt")])
    return tmp_path / "stores" / "ann"


def test_one_changed_byte_in_any_file_is_noticed(tmp_path):
    a_store(tmp_path).add([a_document("a.txt")])
    dataset = dataset_of(a_store(tmp_path))
    files = [file for file in dataset.rglob("*") if file.is_file()]
    assert len(files) > 20
    for file in files:
        whole = file.read_bytes()
        middle = len(whole) // 2
        file.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
        with pytest.raises(StoreDamaged, match="damaged or missing"):
            a_store(tmp_path).snapshot()
        file.write_bytes(whole)
    assert names(a_store(tmp_path)) == ["a.txt"]


def test_a_pointer_or_a_list_of_sums_that_is_damaged_is_noticed(folder, tmp_path):
    pointer, sums = folder / "current", next(folder.glob("v-*")) / MANIFEST
    for file, damaged in (
        (pointer, b"v-\xff\xfe"),
        (pointer, b"\0\0"),
        (sums, b""),
        (sums, b"\xff"),
    ):
        whole = file.read_bytes()
        file.write_bytes(damaged)
        with pytest.raises(StoreDamaged, match="damaged or missing"):
            open_again(tmp_path).count()
        file.write_bytes(whole)
    pointer.write_bytes(b"\xff")
    open_again(tmp_path).begin_anew()
    assert open_again(tmp_path).count() == 0


def test_a_store_from_before_there_were_checksums_is_read_and_has_them_after_its_next_change(
    tmp_path,
):
    a_store(tmp_path).add([a_document("a.txt")])
    (dataset_of(a_store(tmp_path)) / MANIFEST).unlink()

    assert names(a_store(tmp_path)) == ["a.txt"]
    a_store(tmp_path).add([a_document("b.txt")])
    assert (dataset_of(a_store(tmp_path)) / MANIFEST).exists()


def lose_pointed_dataset(folder: Path) -> None:
    for dataset in folder.glob("v-*"):
        shutil.rmtree(dataset)


def lose_pointer(folder: Path) -> None:
    (folder / "current").unlink()


def lose_folder(folder: Path) -> None:
    shutil.rmtree(folder)


def lose_all_stores(folder: Path) -> None:
    shutil.rmtree(folder.parent)


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("lose", [lose_pointed_dataset, lose_pointer, lose_folder, lose_all_stores])
def test_a_lost_store_is_said_until_a_person_begins_anew(tmp_path, folder, lose, restarted):
    store = open_again(tmp_path)
    assert store.count() == 3
    lose(folder)
    if restarted:
        store = open_again(tmp_path)
        for ask in (store.documents, store.count, store.snapshot):
            with pytest.raises(StoreDamaged, match=r"gone|missing"):
                ask()
        with pytest.raises(StoreDamaged):
            store.add([a_document("b.txt")])
        with pytest.raises(StoreDamaged):
            store.remove(["id-a.txt"])
        store.begin_anew()
    elif lose is not lose_pointed_dataset:  # there, what is in memory is still what is current
        with pytest.raises(StoreDamaged):
            store.count()
        store.begin_anew()
    else:
        store.remove(["id-a.txt"])
    assert store.documents() == []
    store.add([a_document("b.txt")])
    assert names(store) == names(open_again(tmp_path)) == ["b.txt"]


def test_a_store_that_was_put_back_is_read_again(tmp_path, folder):
    away = tmp_path / "away"
    folder.rename(away)
    store = open_again(tmp_path)
    with pytest.raises(StoreDamaged):
        store.count()
    away.rename(folder)
    assert names(store) == ["a.txt"]


def test_a_store_that_can_be_read_is_not_begun_anew(tmp_path, folder):
    store = open_again(tmp_path)
    with pytest.raises(NotAllowed, match="can be read"):
        store.begin_anew()
    assert names(store) == ["a.txt"]


def test_a_store_that_was_emptied_or_never_used_is_empty_and_not_lost(tmp_path, folder):
    open_again(tmp_path).remove(["id-a.txt"])
    assert open_again(tmp_path).count() == 0
    settings = Settings(_env_file=None, data_dir=tmp_path)
    assert open_store(settings, "ben", "model-a", WIDTH).count() == 0
    assert not (tmp_path / "stores" / "ben").exists()


def test_another_place_for_the_stores_begins_empty(tmp_path, folder):
    settings = Settings(
        _env_file=None,
        data_dir=tmp_path,
        deeplake_path=str(tmp_path / "elsewhere"),
        deep_memory_trainer="local",
    )
    assert open_store(settings, "ann", "model-a", WIDTH).count() == 0


def test_a_store_from_before_there_were_witnesses_has_one_when_it_was_read(tmp_path, folder):
    shutil.rmtree(tmp_path / "has_documents")
    assert open_again(tmp_path).count() == 3
    lose_folder(folder)
    with pytest.raises(StoreDamaged):
        open_again(tmp_path).count()
