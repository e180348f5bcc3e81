"""What a trained map does without the rest of the ranker: the figures of an exported model."""

from __future__ import annotations

from typing import Any

import numpy as np

from services.deep_memory.evaluation import evaluate_embeddings
from services.deep_memory.figures import Questions, Ranked, compared
from services.deep_memory.query_map import QueryMap
from services.ranking.index import RankingIndex
from services.ranking.untrained import Untrained

_KEPT = ("before", "after", "verdict", "intervals")


def map_alone(
    questions: Questions, groups: np.ndarray, index: RankingIndex, query_map: QueryMap
) -> dict[str, Any]:
    """Compare plain cosine with the mapped questions over the chunks in context, without words.

    `groups` (n,) names the document or chunk of each question; see `verdicts.compare`.
    """
    mapped = query_map.apply(questions.vectors)
    before = evaluate_embeddings(questions.vectors, index.plain.vectors, questions.relevant)
    after = evaluate_embeddings(mapped, index.context.vectors, questions.relevant)
    figures = compared(questions, Ranked({Untrained.COSINE: before}, after), groups)
    return {name: figures[name] for name in _KEPT}
