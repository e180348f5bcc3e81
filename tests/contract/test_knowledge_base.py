"""What makes stored documents of readings, on a real store and the real embedder."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import numpy as np
import pytest

from services.errors import EmbedderUnavailable, NotFound, StoreUnavailable
from services.knowledge import knowledge_base
from services.knowledge.knowledge_base import KnowledgeBase, KnownDocuments
from services.reading.blocks import Block, Reading
from services.retrieval.embeddings import WordLlamaEmbedder
from services.retrieval.local_store import LocalVectorStore
from services.retrieval.nearest import VectorIndex
from services.retrieval.search import compare

LONG = ("The harbour master keeps the berth plan and answers for it. " * 60).strip()


class Counting(WordLlamaEmbedder):
    """An embedder that says how many texts each request had."""

    def __init__(self) -> None:
        self.requests: list[int] = []

    def embed(self, texts) -> np.ndarray:
        self.requests.append(len(texts))
        return super().embed(texts)


@pytest.fixture
def store(tmp_path) -> LocalVectorStore:
    return LocalVectorStore(tmp_path, WordLlamaEmbedder.name, WordLlamaEmbedder.width)


@pytest.fixture
def base(store) -> KnowledgeBase:
    return KnowledgeBase(store, WordLlamaEmbedder())


def a_reading(name: str, text: str) -> Reading:
    return Reading(name, (Block("text", text),))


def add(base: KnowledgeBase, *files: tuple[str, str]) -> set[str]:
    """As an import does it, in one write; the ids of what was new."""
    known = KnownDocuments(base.documents())
    chunked = [known.admit(a_reading(name, text)) for name, text in files]
    return base.store(chunked, lambda embedded: None)


def names(base: KnowledgeBase) -> list[str]:
    return [document.name for document in base.documents()]


def test_added_documents_are_listed_counted_and_found(base, store):
    new = add(base, ("port.txt", LONG), ("soup.md", "Soup is on Fridays."))

    assert names(base) == ["port.txt", "soup.md"]
    assert {document.id for document in base.documents()} == new
    assert base.chunk_count() == sum(document.chunk_count for document in base.documents()) > 2
    snapshot = store.snapshot()
    plain = VectorIndex(snapshot.embeddings)
    hit = compare(
        "soup on friday", WordLlamaEmbedder(), snapshot, lambda v, _, k: plain.top(v, k), None
    ).without[0]
    assert (hit.document, hit.text) == ("soup.md", "Soup is on Fridays.")


def test_a_text_is_known_by_what_it_says_and_not_by_its_name(base):
    known = KnownDocuments(base.documents())
    assert known.same_as(a_reading("a.txt", "Berth 4.")) is None
    admitted = known.admit(a_reading("a.txt", "Berth 4."))
    assert known.same_as(a_reading("copy.md", "Berth 4.")) == admitted.document
    assert known.same_as(a_reading("a.txt", "Berth 5.")) is None


def test_another_text_under_a_stored_name_is_kept_beside_it(base, store):
    add(base, ("rules.txt", "Berth 4."))
    add(base, ("rules.txt", "Berth 5."), ("rules.txt", "Berth 6."))

    assert names(base) == ["rules.txt", "rules (2).txt", "rules (3).txt"]
    assert [chunk.document for chunk in store.snapshot().chunks] == names(base)


@pytest.mark.parametrize(
    ("taken", "free"),
    [
        ("mail.eml/plan.pdf", "mail.eml/plan (2).pdf"),
        ("x" * 500 + ".txt", "x" * 500 + " (2).txt"),
        ("read me", "read me (2)"),
        ("..", ".. (2)"),
        ("/", "/ (2)"),
        ("a//b.txt", "a//b (2).txt"),
        ("v1.2.tar.gz", "v1.2.tar (2).gz"),
    ],
)
def test_a_name_that_is_taken_gets_a_number_before_its_ending(base, taken, free):
    add(base, (taken, "Berth 4."), (taken, "Berth 5."))
    assert names(base) == [taken, free]


def test_a_document_that_is_removed_and_added_again_keeps_its_ids(base, store):
    add(base, ("port.txt", LONG))
    before = store.snapshot()
    base.remove([base.documents()[0].id])
    add(base, ("port.txt", LONG))

    assert store.snapshot().chunks == before.chunks


def test_removed_documents_are_gone_and_cannot_be_removed_twice(base):
    add(base, ("a.txt", "Berth 4."), ("b.txt", "Berth 5."), ("c.txt", "Berth 6."))
    first, second, _ = base.documents()

    assert base.remove([first.id, second.id]) == [first, second]
    assert names(base) == ["c.txt"]
    with pytest.raises(NotFound):
        base.remove([first.id, second.id])


def test_of_several_documents_those_that_are_still_there_are_removed(base):
    add(base, ("a.txt", "Berth 4."), ("b.txt", "Berth 5."), ("c.txt", "Berth 6."))
    first, second, third = base.documents()
    base.remove([first.id])
    assert base.remove([first.id, second.id]) == [second]
    assert base.documents() == [third]


def test_a_document_that_somebody_else_removed_first_is_told_as_gone(base, store, monkeypatch):
    add(base, ("a.txt", "Berth 4."))
    [document] = base.documents()
    monkeypatch.setattr(store, "remove", lambda document_ids: 0)
    with pytest.raises(NotFound):
        base.remove([document.id])


def test_a_document_that_was_stored_meanwhile_is_not_stored_twice(base):
    known = KnownDocuments([])
    mine = known.admit(a_reading("mine.txt", "Berth 1."))
    theirs = add(base, ("theirs.txt", "Berth 1."))
    assert theirs == {mine.document.id}
    assert base.store([mine], lambda embedded: None) == set()
    assert names(base) == ["theirs.txt"]


def test_each_document_has_the_vectors_of_its_own_chunks_however_they_are_cut(store, monkeypatch):
    monkeypatch.setattr(knowledge_base, "CHUNKS_PER_EMBEDDING", 3)
    embedder, told = Counting(), []
    known = KnownDocuments([])
    texts = [("a.txt", LONG), ("b.txt", "Soup."), ("c.txt", f"{LONG} {LONG}")]
    chunked = [known.admit(a_reading(name, text)) for name, text in texts]
    KnowledgeBase(store, embedder).store(chunked, told.append)
    snapshot = store.snapshot()
    expected = WordLlamaEmbedder().embed([chunk.in_context for chunk in snapshot.chunks])
    assert np.allclose(snapshot.embeddings, expected, atol=1e-6)
    assert told == embedder.requests
    assert embedder.requests[:-1] == [3] * (len(embedder.requests) - 1)
    assert sum(embedder.requests) == len(snapshot.chunks) > 6


def test_nothing_is_stored_when_the_embedder_fails_or_the_caller_wants_no_more(base, monkeypatch):
    class Enough(Exception):
        pass

    def enough(embedded: int) -> None:
        raise Enough

    def away(texts) -> np.ndarray:
        raise EmbedderUnavailable("The embedding service cannot be reached just now.")

    chunked = [KnownDocuments([]).admit(a_reading("a.txt", LONG))]
    with pytest.raises(Enough):
        base.store(chunked, enough)
    with monkeypatch.context() as patched:
        patched.setattr(base._embedder, "embed", away)
        with pytest.raises(EmbedderUnavailable):
            base.store(chunked, lambda embedded: None)
    assert base.documents() == []


def test_nothing_is_stored_when_the_store_fails(base, store, monkeypatch):
    def no_room(documents):
        raise StoreUnavailable("The disk is full.")

    with monkeypatch.context() as patched:
        patched.setattr(store, "add", no_room)
        with pytest.raises(StoreUnavailable):
            add(base, ("a.txt", "Berth 4."))
    assert base.documents() == []
    add(base, ("a.txt", "Berth 4."))
    assert names(base) == ["a.txt"]


def test_a_document_says_how_long_it_is_and_what_it_was_read_from(base, store):
    add(base, ("port.txt", LONG))
    [document] = base.documents()
    assert document.characters == len(LONG)
    assert document.chunk_count == base.chunk_count() == len(store.snapshot().chunks)
    assert document.content_hash == hashlib.sha256(f" {LONG}".encode()).hexdigest()
    assert (datetime.now(UTC) - document.added_at).total_seconds() < 60


def test_notes_and_pages_and_headings_are_stored_with_a_document(base, store):
    blocks = (
        Block("heading", "Harbour", level=1, page=2),
        Block("text", "Berth 4 is for tankers.", page=2),
    )
    reading = Reading("port.pdf", blocks, ("2 images without text",))
    base.store([KnownDocuments([]).admit(reading)], lambda embedded: None)
    [document] = base.documents()
    assert document.notes == ("2 images without text",)
    [chunk] = store.snapshot().chunks
    assert (chunk.heading_path, chunk.page) == (("Harbour",), 2)
