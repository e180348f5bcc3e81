"""What search needs is built once for each version of a knowledge base, and let go after it."""

from __future__ import annotations

import gc
import threading
import weakref

import numpy as np
import pytest

from services.models import Chunk
from services.ranking import indexes as indexes_module
from services.ranking.index import RankingIndex
from services.ranking.indexes import SearchIndexes
from services.retrieval.content import Snapshot

WIDTH = 32


def snapshot(version: str, texts: tuple[str, ...] = ("berth", "soup")) -> Snapshot:
    chunks = tuple(Chunk(f"c{n}", "d", "d.txt", n, text) for n, text in enumerate(texts))
    return Snapshot(chunks, np.eye(len(texts), WIDTH, dtype=np.float32), version)


def test_an_index_is_made_once_for_a_version_and_again_when_the_store_changes():
    indexes = SearchIndexes()
    first = indexes.of("ann", snapshot("v1"))

    assert indexes.soon("ann", snapshot("v1")) is first
    assert indexes.plain("ann", snapshot("v1")) is indexes.plain("ann", snapshot("v1"))
    changed = indexes.of("ann", snapshot("v2", ("berth", "soup", "pilot")))
    assert len(changed) == 3
    assert indexes.plain("ann", snapshot("v2")) is not indexes.plain("ann", snapshot("v1"))


def test_what_a_store_held_before_a_change_is_let_go_with_its_texts():
    indexes = SearchIndexes()
    hers = indexes.of("ben", snapshot("v1"))
    before = snapshot("v1", ("soup", "a secret that was removed"))
    indexes.of("ann", before)
    freed = weakref.ref(before)
    del before

    indexes.plain("ann", snapshot("v2"))

    gc.collect()
    assert freed() is None
    assert indexes.of("ben", snapshot("v1")) is hers


def test_a_search_does_not_wait_for_a_long_indexing(monkeypatch):
    may_end = threading.Event()

    def slow(*of):
        may_end.wait()
        return RankingIndex(*of)

    monkeypatch.setattr(indexes_module, "_TIMEOUT_S", 0.0)
    monkeypatch.setattr(indexes_module, "RankingIndex", slow)
    indexes = SearchIndexes()

    assert indexes.soon("ann", snapshot("v1")) is None
    may_end.set()
    assert isinstance(indexes.of("ann", snapshot("v1")), RankingIndex)
    assert indexes.soon("ann", snapshot("v1")) is indexes.of("ann", snapshot("v1"))


def test_an_indexing_that_failed_is_tried_again(monkeypatch):
    def out_of_memory(*of):
        raise MemoryError

    indexes = SearchIndexes()
    with monkeypatch.context() as broken:
        broken.setattr(indexes_module, "RankingIndex", out_of_memory)
        with pytest.raises(MemoryError):
            indexes.of("ann", snapshot("v1"))

    assert isinstance(indexes.of("ann", snapshot("v1")), RankingIndex)


def test_the_largest_knowledge_base_alone_is_kept_however_large(monkeypatch):
    monkeypatch.setattr(indexes_module, "_CHUNKS_KEPT", 3)
    indexes = SearchIndexes()
    first = indexes.of("ann", snapshot("v1"))
    large = indexes.of("ben", snapshot("v2", ("a", "b", "c", "d", "e")))

    assert indexes.of("ben", snapshot("v2", ("a", "b", "c", "d", "e"))) is large
    assert indexes.of("ann", snapshot("v1")) is not first


def test_indexes_are_built_one_at_a_time_and_not_for_a_store_that_has_changed_meanwhile(
    monkeypatch,
):
    """A store that changes every second is searched meanwhile."""
    began, may_go_on, built = threading.Event(), threading.Event(), []

    def slow(plain, texts, *of):
        built.append(len(texts))
        began.set()
        may_go_on.wait()
        return RankingIndex(plain, texts, *of)

    monkeypatch.setattr(indexes_module, "_TIMEOUT_S", 0.0)
    monkeypatch.setattr(indexes_module, "RankingIndex", slow)
    indexes = SearchIndexes()
    for number in range(1, 6):
        assert indexes.soon("ann", snapshot(f"v{number}", ("word",) * number)) is None
        assert began.wait(30)
    may_go_on.set()

    assert len(indexes.of("ann", snapshot("v5", ("word",) * 5))) == 5
    assert built == [1, 5]


def test_a_search_goes_on_without_an_index_that_did_not_fit_into_memory(monkeypatch):
    def out_of_memory(*of):
        raise MemoryError

    monkeypatch.setattr(indexes_module, "RankingIndex", out_of_memory)
    assert SearchIndexes().soon("ann", snapshot("v1")) is None
