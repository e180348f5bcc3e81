"""A trained model: the query map, and a weight for each of the ranker's signals; and its file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from services.deep_memory.query_map import QueryMap
from services.deep_memory.taught import Taught, lift
from services.errors import TrainingError
from services.ranking.index import RankingIndex
from services.ranking.ranker import FIXED_WEIGHTS, Ranker
from services.ranking.signals import NAMES, candidates
from services.retrieval.nearest import best_rows
from services.retrieval.search import Found

_LARGEST_WEIGHT = 1e6  # those that are learned are below 10
# Whether a question is about documents that the model was trained for: half of the ten chunks that
# are best with the fixed weights.
_LOOKED_AT, _ENOUGH = 10, 0.5


@dataclass(frozen=True, slots=True)
class DeepMemoryModel:
    """Ranks chunks by all signals, weighted as training found best.

    What is learned of some documents can be wrong for others: weights of medical abstracts take six
    points of nDCG@10 from questions about prose (docs/retrieval.md). So a question that leads to
    other documents than those of the training pairs is left to search without training.
    """

    query_map: QueryMap
    weights: np.ndarray  # (signals,), in the order of `signals.NAMES`
    documents: frozenset[str] | None = None  # ids of those that the pairs ask about; None: any
    lowest_score: float | None = None  # of a best chunk that answers; None: nothing is said of it
    taught: Taught | None = None  # people's training questions; None: there are none

    def search(
        self, query: np.ndarray, text: str, k: int, index: RankingIndex
    ) -> tuple[np.ndarray, np.ndarray]:
        """The rows and scores that `find` finds."""
        return self.find(query, text, k, index)[:2]

    def find(self, query: np.ndarray, text: str, k: int, index: RankingIndex) -> Found:
        """Return the `k` best chunks, and whether one of them seems to answer; `query` (width,)
        embeds `text`. Of questions that are left to search without training that is not said.

        Raises:
            TrainingError: the embedding differs in width from those it was trained on.
        """
        self.query_map.require_width(query[None])
        untrained = Ranker.untrained(index)
        found = candidates(text, query, self.query_map.matrix, index, k)
        is_known = self._knows(untrained.best(found, _LOOKED_AT)[0], index)
        lifted = self.taught.lifted(query, index) if self.taught else {}
        if not is_known and not lifted:
            return Found(*untrained.search(query, text, k, index))
        weights = self.weights if is_known else untrained.weights
        rows, scores = found.rows, found.signals @ weights
        if lifted:
            rows, scores = lift(rows, scores, lifted)
        best = best_rows(scores, k)
        rows, scores = rows[best], scores[best]
        if self.lowest_score is None or not is_known or not len(scores):
            return Found(rows, scores)
        is_answerable = bool(lifted) or float(scores[0]) >= self.lowest_score
        return Found(rows, scores, is_answerable=is_answerable)

    def _knows(self, rows: np.ndarray, index: RankingIndex) -> bool:
        if self.documents is None:
            return True
        known = sum(index.document_of[row] in self.documents for row in rows)
        return known >= _ENOUGH * len(rows)

    def save(self, path: Path) -> None:
        """Write the map, the weights and the settings to one file; see `QueryMap.save`."""
        weights = dict(zip(NAMES, self.weights.tolist(), strict=True))
        documents = None if self.documents is None else sorted(self.documents)
        settings = {
            **self.query_map.settings,
            "weights": weights,
            "documents": documents,
            "lowest_score": self.lowest_score,
            "taught": self.taught.as_json() if self.taught else None,
        }
        replace(self.query_map, settings=settings).save(path)

    @classmethod
    def load(cls, path: Path) -> DeepMemoryModel:
        """Read a model that `save` wrote.

        A model of a version before the ranker has a map but no weights: it ranks with the fixed
        ones. One of before `lowest_score` has none.

        Raises:
            TrainingError: the file is missing, damaged, or not such a model.
        """
        query_map = QueryMap.load(path)
        weights = _weights(query_map.settings)
        documents = query_map.settings.get("documents")
        lowest = query_map.settings.get("lowest_score")
        kept = query_map.settings.get("taught")
        taught = None if kept is None else Taught.from_json(kept, len(query_map.matrix))
        are_whole = _are_ids(documents) and _is_score(lowest) and (taught or kept is None)
        if weights is None or not are_whole:
            raise TrainingError(
                f"The trained model {Path(path).name} cannot be read.",
                next_step="Switch to another model, or train again. The pairs are kept.",
            )
        known = None if documents is None else frozenset(documents)
        return cls(query_map, weights, known, lowest, taught)


def _are_ids(documents: Any) -> bool:
    """Whether it is what `save` writes: the ids of documents, or None."""
    if documents is None:
        return True
    return isinstance(documents, list) and all(isinstance(id_, str) for id_ in documents)


def _is_score(lowest: Any) -> bool:
    return lowest is None or (isinstance(lowest, float) and isfinite(lowest))


def _weights(settings: dict[str, Any]) -> np.ndarray | None:
    """The weights by the names of their signals; None if they are not what `save` writes."""
    if "weights" not in settings:
        return FIXED_WEIGHTS if isinstance(settings.get("lexical_weight"), float) else None
    by_name = settings["weights"]
    if not isinstance(by_name, dict) or set(by_name) != set(NAMES):
        return None
    if not all(isinstance(weight, int | float) for weight in by_name.values()):
        return None
    if not all(abs(weight) < _LARGEST_WEIGHT for weight in by_name.values()):
        return None
    return np.array([by_name[name] for name in NAMES], np.float32)
