"""What a trained map does without the rest of the ranker: the figures of an exported model."""

from __future__ import annotations

from typing import Any

import numpy as np

from services.deep_memory.evaluation import evaluate_embeddings
from services.deep_memory.figures import Questions, Ranked, compared
from services.deep_memory.query_map import QueryMap
from services.ranking.context import in_context
from services.ranking.untrained import Untrained
from services.retrieval.content import Snapshot

_KEPT = ("before", "after", "verdict", "intervals")


def vectors_in_context(snapshot: Snapshot) -> np.ndarray:
    """What mapped questions are held against: chunks in their context, (m, width) float32."""
    return in_context(snapshot.embeddings, [chunk.document_id for chunk in snapshot.chunks])


def map_alone(
    questions: Questions, groups: np.ndarray, snapshot: Snapshot, query_map: QueryMap
) -> dict[str, Any]:
    """Compare plain cosine with the mapped questions over the chunks in context, without words.

    `groups` (n,) names the document or chunk of each question; see `evaluation.compare`.
    """
    mapped = query_map.apply(questions.vectors)
    before = evaluate_embeddings(questions.vectors, snapshot.embeddings, questions.relevant)
    after = evaluate_embeddings(mapped, vectors_in_context(snapshot), questions.relevant)
    figures = compared(questions, Ranked({Untrained.COSINE: before}, after), groups)
    return {name: figures[name] for name in _KEPT}
