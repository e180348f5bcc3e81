"""A check covers every pair of a run, asks the embedder once for each question, and has a price."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import pytest

from services.config import Settings
from services.models import Chunk, TrainingPair
from services.pairs.checking import RememberingEmbedder, check_pairs, estimate_check
from services.pairs.quality import Flag
from services.ranking.index import RankingIndex
from services.retrieval.content import Snapshot
from services.retrieval.embeddings import WordLlamaEmbedder
from services.retrieval.nearest import VectorIndex

TEXTS = ["Rent is due on the first day of the month.", "The probe measures the water level."]


class CountingEmbedder(WordLlamaEmbedder):
    def __init__(self) -> None:
        self.asked: list[str] = []

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        self.asked += texts
        return super().embed(texts)


@pytest.fixture
def snapshot() -> Snapshot:
    chunks = tuple(Chunk(f"c{n}", f"d{n}", f"{n}.txt", 0, text) for n, text in enumerate(TEXTS))
    return Snapshot(chunks, WordLlamaEmbedder().embed(TEXTS), datetime.now(UTC).isoformat())


@pytest.fixture
def index(snapshot) -> RankingIndex:
    documents = [chunk.document_id for chunk in snapshot.chunks]
    return RankingIndex(
        VectorIndex(snapshot.embeddings), TEXTS, documents, WordLlamaEmbedder().embed
    )


def pair(pair_id: str, chunk_id: str, question: str) -> TrainingPair:
    return TrainingPair(pair_id, "run", question, chunk_id, "preview", 1.0)


def test_pairs_stand_in_the_order_of_the_knowledge_base_and_those_without_chunk_are_flagged(
    snapshot, index
):
    pairs = [
        pair("p1", "gone", "Who was here?"),
        pair("p2", "c1", "What does this passage say?"),
        pair("p3", "c0", "When is rent due?"),
    ]
    check = check_pairs(pairs, snapshot, index, WordLlamaEmbedder())
    assert [p.id for p in check.pairs] == ["p3", "p2", "p1"]
    assert check.flags == {
        "p1": {Flag.NOT_ANSWERED},
        "p2": {Flag.GIVES_ITSELF_AWAY},
    }
    assert check.flagged() == [pairs[1], pairs[0]]
    assert check.flagged(Flag.NOT_ANSWERED) == [pairs[0]]
    assert check.flagged(Flag.DUPLICATE) == []


def test_a_run_without_pairs_has_nothing_to_flag(snapshot, index):
    assert check_pairs([], snapshot, index, WordLlamaEmbedder()).pairs == ()


def test_a_second_check_embeds_only_what_was_edited(snapshot, index):
    counting = CountingEmbedder()
    embedder = RememberingEmbedder(counting)
    first = [pair("p1", "c0", "When is rent due?"), pair("p2", "c1", "What is measured?")]
    check_pairs(first, snapshot, index, embedder)
    counting.asked.clear()
    check_pairs([first[0], pair("p2", "c1", "What is the level?")], snapshot, index, embedder)
    assert counting.asked == ["What is the level?"]
    assert np.array_equal(
        embedder.embed(["What is the level?"]), counting.embed(["What is the level?"])
    )


def test_a_check_with_a_paid_model_is_priced_and_offline_it_is_free():
    paid = Settings(_env_file=None, openai_api_key="k", embedding_model="text-embedding-3-small")
    assert estimate_check(10_000, paid) == pytest.approx(10_000 * 22 * 0.02 / 1e6)
    assert estimate_check(10_000, Settings(_env_file=None)) == 0
