"""A trained model: the query map, and a weight for each of the ranker's signals; and its file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from services.deep_memory.query_map import QueryMap
from services.errors import TrainingError
from services.ranking.index import RankingIndex
from services.ranking.ranker import FIXED_WEIGHTS, Ranker
from services.ranking.signals import NAMES


@dataclass(frozen=True, slots=True)
class DeepMemoryModel:
    """Ranks chunks by all signals, weighted as training found best."""

    query_map: QueryMap
    weights: np.ndarray  # (signals,), in the order of `signals.NAMES`

    def search(
        self, query: np.ndarray, text: str, k: int, index: RankingIndex
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return rows and scores of the `k` best chunks; `query` (width,) embeds `text`.

        Raises:
            TrainingError: the embedding differs in width from those it was trained on.
        """
        self.query_map.require_width(query[None])
        return Ranker(self.query_map.matrix, self.weights).search(query, text, k, index)

    def save(self, path: Path) -> None:
        """Write the map, the weights and the settings to one file; see `QueryMap.save`."""
        weights = dict(zip(NAMES, self.weights.tolist(), strict=True))
        settings = {**self.query_map.settings, "weights": weights}
        replace(self.query_map, settings=settings).save(path)

    @classmethod
    def load(cls, path: Path) -> DeepMemoryModel:
        """Read a model that `save` wrote.

        A model of a version before the ranker has a map but no weights: it ranks with the fixed
        ones.

        Raises:
            TrainingError: the file is missing, damaged, or not such a model.
        """
        query_map = QueryMap.load(path)
        weights = _weights(query_map.settings)
        if weights is None:
            raise TrainingError(
                f"The trained model {Path(path).name} cannot be read.",
                next_step="Switch to another model, or train again. The pairs are kept.",
            )
        return cls(query_map, weights)


def _weights(settings: dict[str, Any]) -> np.ndarray | None:
    """The weights by the names of their signals; None if they are not what `save` writes."""
    if "weights" not in settings:
        return FIXED_WEIGHTS if isinstance(settings.get("lexical_weight"), float) else None
    by_name = settings["weights"]
    if not isinstance(by_name, dict) or set(by_name) != set(NAMES):
        return None
    if not all(isinstance(weight, int | float) for weight in by_name.values()):
        return None
    weights = np.array([by_name[name] for name in NAMES], np.float32)
    return weights if np.isfinite(weights).all() else None
