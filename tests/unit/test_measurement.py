"""What both trainers take: which pairs, and which of them ask the same."""

from __future__ import annotations

import numpy as np
import pytest

from services.deep_memory.measurement import pairs_by_question
from services.errors import TrainingError
from services.models import Chunk, TrainingPair
from services.retrieval.content import Snapshot

CHUNKS = [Chunk(f"c{n}", "d", "d.txt", n, f"Text {n}") for n in range(3)]
SNAPSHOT = Snapshot(tuple(CHUNKS), np.eye(3, 4, dtype=np.float32), "v1")


def pair(number: int, question: str, chunk_id: str, relevance: float = 1.0) -> TrainingPair:
    return TrainingPair(f"p{number}", "run", question, chunk_id, "", relevance)


def test_all_chunks_of_a_question_are_relevant_to_it():
    pairs = [
        pair(0, "Who pays?", "c2"),
        pair(1, "When?", "c1"),
        pair(2, "who  PAYS?", "c0"),
        pair(3, "Who pays?", "c1", relevance=0.0),
        pair(4, "Who pays?", "gone"),
    ]
    asked = pairs_by_question(pairs, SNAPSHOT)
    assert [[(found.id, row) for found, row in group] for group in asked] == [
        [("p0", 2), ("p2", 0)],
        [("p1", 1)],
    ]


def test_pairs_whose_documents_are_all_gone_are_refused_in_words():
    with pytest.raises(TrainingError, match="still in the knowledge base"):
        pairs_by_question([pair(0, "Who pays?", "gone")], SNAPSHOT)
