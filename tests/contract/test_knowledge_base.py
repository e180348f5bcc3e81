"""Adding, listing and removing documents, on a real store and the real embedder."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import numpy as np
import pytest

from services.errors import AppError, EmbedderUnavailable, NotFound, StoreUnavailable
from services.knowledge import knowledge_base
from services.knowledge.knowledge_base import IngestProgress, KnowledgeBase
from services.knowledge.sample import sample_documents
from services.retrieval.embeddings import WordLlamaEmbedder
from services.retrieval.local_store import LocalVectorStore
from services.retrieval.nearest import VectorIndex
from services.retrieval.search import compare

LONG = "The harbour master keeps the berth plan and answers for it. " * 60


class FailsAfter(WordLlamaEmbedder):
    """An embedder whose service goes away after so many requests."""

    def __init__(self, requests: int) -> None:
        self.requests = requests

    def embed(self, texts) -> np.ndarray:
        if self.requests == 0:
            raise EmbedderUnavailable("The embedding service cannot be reached just now.")
        self.requests -= 1
        return super().embed(texts)


@pytest.fixture
def store(tmp_path) -> LocalVectorStore:
    return LocalVectorStore(tmp_path, WordLlamaEmbedder.name, WordLlamaEmbedder.width)


@pytest.fixture
def base(store) -> KnowledgeBase:
    return KnowledgeBase(store, WordLlamaEmbedder())


def names(base: KnowledgeBase) -> list[str]:
    return [document.name for document in base.documents()]


def reasons(rejected: list[tuple[str, AppError]]) -> dict[str, str]:
    return {name: str(error) for name, error in rejected}


def test_added_files_are_listed_counted_and_found(base, store):
    report = base.add_files([("port.txt", LONG.encode()), ("soup.md", b"Soup is on Fridays.")])

    assert [document.name for document in report.added] == ["port.txt", "soup.md"]
    assert base.documents() == report.added
    assert base.chunk_count() == sum(document.chunk_count for document in report.added) > 2
    snapshot = store.snapshot()
    plain = VectorIndex(snapshot.embeddings)
    hit = compare("soup on friday", WordLlamaEmbedder(), snapshot, plain, None).without[0]
    assert (hit.document, hit.text) == ("soup.md", "Soup is on Fridays.")


def test_a_bad_file_is_named_and_the_others_still_go_in(base):
    report = base.add_files(
        [("a.txt", b"Berth 4."), ("empty.txt", b""), ("b.pdf", b"no"), ("c.txt", b"Berth 5.")]
    )

    assert names(base) == ["a.txt", "c.txt"]
    assert list(reasons(report.rejected)) == ["empty.txt", "b.pdf"]


def test_the_same_text_is_stored_once_and_the_message_names_where(base):
    base.add_files([("rules.txt", b"Berth 4.")])

    report = base.add_files([("copy.md", b"Berth 4.\r\n"), ("x.txt", b"New."), ("y.txt", b"New.")])
    assert names(base) == ["rules.txt", "x.txt"]
    assert "rules.txt" in reasons(report.rejected)["copy.md"]
    assert "x.txt" in reasons(report.rejected)["y.txt"]


def test_another_text_under_a_stored_name_is_kept_beside_it(base, store):
    base.add_files([("rules.txt", b"Berth 4.")])
    base.add_files([("rules.txt", b"Berth 5."), ("rules.txt", b"Berth 6.")])

    assert names(base) == ["rules.txt", "rules (2).txt", "rules (3).txt"]
    assert [chunk.document for chunk in store.snapshot().chunks] == names(base)


def test_a_document_that_is_removed_and_added_again_keeps_its_ids(base, store):
    base.add_files([("port.txt", LONG.encode())])
    before = store.snapshot()
    base.remove(base.documents()[0].id)
    base.add_files([("port.txt", LONG.encode())])

    assert store.snapshot().chunks == before.chunks


def test_a_removed_document_is_gone_and_can_not_be_removed_twice(base):
    base.add_files([("a.txt", b"Berth 4."), ("b.txt", b"Berth 5.")])
    first = base.documents()[0]

    assert base.remove(first.id) == first
    assert names(base) == ["b.txt"]
    with pytest.raises(NotFound):
        base.remove(first.id)


def test_progress_counts_files_while_reading_then_chunks_up_to_the_total(base):
    seen: list[IngestProgress] = []
    base.add_files([("a.txt", LONG.encode()), ("bad.txt", b"")], seen.append)

    total = base.chunk_count()
    assert seen[:2] == [IngestProgress(1, 2), IngestProgress(2, 2)]
    assert seen[-1] == IngestProgress(2, 2, total, total)


def test_a_failing_embedder_stops_the_rest_and_keeps_what_was_stored(store, monkeypatch):
    monkeypatch.setattr(knowledge_base, "CHUNKS_PER_WRITE", 2)
    base = KnowledgeBase(store, FailsAfter(requests=1))
    files = [(f"{number}.txt", f"Berth {number}.".encode()) for number in range(6)]

    report = base.add_files(files)

    assert [document.name for document in report.added] == ["0.txt", "1.txt"] == names(base)
    assert set(reasons(report.rejected)) == {"2.txt", "3.txt", "4.txt", "5.txt"}
    assert {type(error) for _, error in report.rejected} == {EmbedderUnavailable}


def test_the_rest_can_be_added_once_the_embedder_is_back(store):
    files = [("a.txt", b"Berth 4."), ("b.txt", b"Berth 5.")]
    assert KnowledgeBase(store, FailsAfter(requests=0)).add_files(files).added == []

    KnowledgeBase(store, WordLlamaEmbedder()).add_files(files)
    assert len(store.documents()) == 2


def test_the_sample_is_loaded_whole_and_loading_it_again_only_fills_gaps(base):
    everything = base.load_sample()
    assert everything.rejected == []
    assert sorted(names(base)) == [name for name, _ in sample_documents()]

    base.remove(base.documents()[0].id)
    again = base.load_sample()
    assert (len(again.added), again.rejected) == (1, [])
    assert len(base.documents()) == len(sample_documents())


class FailsOnce(WordLlamaEmbedder):
    """An embedder whose service is away for one request, the `number`-th."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.requests: list[int] = []  # how many texts each had

    def embed(self, texts) -> np.ndarray:
        self.requests.append(len(texts))
        if len(self.requests) == self.number:
            raise EmbedderUnavailable("The embedding service can not be reached just now.")
        return super().embed(texts)


def few(count: int) -> list[tuple[str, bytes]]:
    return [(f"{number}.txt", f"Berth {number}.".encode()) for number in range(count)]


def test_nothing_is_embedded_after_a_failure_even_when_the_embedder_is_back(store, monkeypatch):
    """An import that goes on past a gap would be told as failed and be half there."""
    monkeypatch.setattr(knowledge_base, "CHUNKS_PER_WRITE", 2)
    embedder = FailsOnce(2)
    report = KnowledgeBase(store, embedder).add_files(few(8))
    assert embedder.requests == [2, 2]
    assert [document.name for document in report.added] == ["0.txt", "1.txt"]
    assert [name for name, _ in report.rejected] == [f"{number}.txt" for number in range(2, 8)]
    assert {id(error) for _, error in report.rejected} == {id(report.rejected[0][1])}


def test_a_failing_store_stops_the_rest_as_a_failing_embedder_does(store, monkeypatch):
    monkeypatch.setattr(knowledge_base, "CHUNKS_PER_WRITE", 2)
    add, calls = store.add, []

    def fails_once(documents):
        calls.append(len(documents))
        if len(calls) == 2:
            raise StoreUnavailable("The disk is full.")
        return add(documents)

    monkeypatch.setattr(store, "add", fails_once)
    report = KnowledgeBase(store, WordLlamaEmbedder()).add_files(few(6))
    assert calls == [2, 2]
    assert set(reasons(report.rejected).values()) == {"The disk is full."}
    assert len(report.added) == len(store.documents()) == 2


def test_a_text_that_somebody_else_added_meanwhile_is_told_as_known(store):
    class Meanwhile(WordLlamaEmbedder):
        def embed(self, texts) -> np.ndarray:
            KnowledgeBase(store, WordLlamaEmbedder()).add_files([("theirs.txt", b"Berth 1.")])
            return super().embed(texts)

    report = KnowledgeBase(store, Meanwhile()).add_files(few(3))
    assert [document.name for document in report.added] == ["0.txt", "2.txt"]
    assert list(reasons(report.rejected)) == ["1.txt"]
    assert "already in the knowledge base" in reasons(report.rejected)["1.txt"]


def test_each_document_has_the_vectors_of_its_own_chunks_however_they_are_cut(store, monkeypatch):
    monkeypatch.setattr(knowledge_base, "CHUNKS_PER_EMBEDDING", 3)
    embedder = FailsOnce(0)
    files = [("a.txt", LONG.encode()), ("b.txt", b"Soup."), ("c.txt", (LONG * 2).encode())]
    KnowledgeBase(store, embedder).add_files(files)
    snapshot = store.snapshot()
    expected = WordLlamaEmbedder().embed([chunk.text for chunk in snapshot.chunks])
    assert np.allclose(snapshot.embeddings, expected, atol=1e-6)
    assert embedder.requests[:-1] == [3] * (len(embedder.requests) - 1)
    assert sum(embedder.requests) == len(snapshot.chunks)


def test_a_write_has_as_many_documents_as_fill_it_and_the_last_one_the_rest(store, monkeypatch):
    monkeypatch.setattr(knowledge_base, "CHUNKS_PER_WRITE", 3)
    add, writes = store.add, []
    monkeypatch.setattr(
        store, "add", lambda documents: writes.append(len(documents)) or add(documents)
    )
    KnowledgeBase(store, WordLlamaEmbedder()).add_files(few(7))
    assert writes == [3, 3, 1]


def test_progress_of_embedding_tells_chunks_of_all_files(base):
    seen: list[IngestProgress] = []
    base.add_files(few(3), seen.append)
    assert [(p.files_read, p.chunks_total) for p in seen] == [(1, 0), (2, 0), (3, 0), (3, 3)]
    assert [p.files_total for p in seen] == [3] * 4


def test_a_document_says_how_long_it_is_and_what_it_was_read_from(base, store):
    [document] = base.add_files([("port.txt", LONG.encode())]).added
    assert document.characters == len(LONG.strip())
    assert document.chunk_count == base.chunk_count() == len(store.snapshot().chunks)
    assert document.content_hash == hashlib.sha256(LONG.strip().encode()).hexdigest()
    assert (datetime.now(UTC) - document.added_at).total_seconds() < 60


def test_a_document_that_somebody_else_removed_first_is_told_as_gone(base, store, monkeypatch):
    [document] = base.add_files([("a.txt", b"Berth 4.")]).added
    monkeypatch.setattr(store, "remove", lambda document_id: False)
    with pytest.raises(NotFound):
        base.remove(document.id)
