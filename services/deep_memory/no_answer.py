"""When search says that probably nothing here answers a question, and how often that is right.

The score of the best chunk tells it, though weights are fitted within questions: its signals are
cosines and shares, which mean the same for every question. Nothing that was tried beside it told
more (docs/retrieval.md). Nobody has to say which questions have no answer: the limit is what nearly
all training questions reach, each seen through a map that was trained without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Any

import numpy as np

from services.deep_memory.test_sets import OwnQuestion
from services.deep_memory.trained_model import DeepMemoryModel
from services.ranking.index import RankingIndex
from services.retrieval.embeddings import Embedder

REFUSED = 0.05  # of the training questions, all of which have an answer, stay below the limit
# Written questions repeat the words of their chunk, so people's reach less. Of the sample's
# hand-written questions 5% stay below this much of their limit, and nearly half below all of it.
_OF_WRITTEN = 0.55
_FEWEST = 20  # questions: of fewer, the lowest one in twenty is chance
_NORMAL = 1.959964  # the 97.5% point of the normal distribution


def lowest_score(best: np.ndarray, *, are_written: bool) -> float | None:
    """The score below which a best chunk probably answers nothing; None for too few questions.

    `best` (n,) are the scores of the best chunks of training questions; `are_written` says whether
    these repeat the words of their chunks.
    """
    if len(best) < _FEWEST:
        return None
    lowest = float(np.quantile(best, REFUSED))
    return lowest - (1 - _OF_WRITTEN) * abs(lowest) if are_written else lowest


def figures_without_answer(
    questions: Sequence[OwnQuestion],
    answered: Sequence[str],
    model: DeepMemoryModel,
    index: RankingIndex,
    embedder: Embedder,
) -> dict[str, Any]:
    """How often search says so of those `questions` that have no answer, and of those `answered`,
    whose answer is in the knowledge base: {"unanswerable": ...}, or {} without such questions.

    "said_so" and "refused_answerable" are shares, each with its 95% interval; None if the model
    never says so.

    Raises:
        AppError: the embedder does not answer, or the model was trained for another embedder.
    """
    asked = [question.question for question in questions if question.is_unanswerable]
    if not asked:
        return {}
    figures: dict[str, Any] = {"questions": len(asked), "answerable_questions": len(answered)}
    for name, texts in (("said_so", asked), ("refused_answerable", answered)):
        share = None
        if model.lowest_score is not None:
            share = _said_so(texts, model, index, embedder)
        figures[name] = None if share is None else share / len(texts)
        figures[f"{name}_interval"] = None if share is None else wilson(share, len(texts))
    return {"unanswerable": figures}


def _said_so(
    texts: Sequence[str], model: DeepMemoryModel, index: RankingIndex, embedder: Embedder
) -> int:
    """Of how many of these questions search says that probably nothing answers them."""
    vectors = embedder.embed(texts)
    found = (model.find(*asked, 1, index) for asked in zip(vectors, texts, strict=True))
    return sum(one.is_answerable is False for one in found)


def wilson(successes: int, count: int) -> list[float]:
    """The 95% interval of a share, low and high (Wilson, 1927); `count` is at least 1."""
    share, spread = successes / count, _NORMAL**2 / count
    middle = (share + spread / 2) / (1 + spread)
    reach = sqrt(share * (1 - share) * spread + spread**2 / 4) / (1 + spread)
    return [max(0.0, middle - reach), min(1.0, middle + reach)]
