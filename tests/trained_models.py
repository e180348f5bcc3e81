"""Trained models whose order is known beforehand."""

from __future__ import annotations

import numpy as np

from services.deep_memory.query_map import QueryMap
from services.deep_memory.trained_model import DeepMemoryModel
from services.ranking.signals import NAMES

WIDTH = 256  # of the embedder that needs no key


def ranking_by(signal: str = "cosine, trained", turn: float = 1.0) -> DeepMemoryModel:
    """A model that goes by one signal alone, and maps a query to `turn` times itself: with -1, the
    trained cosines are those of plain cosine turned round."""
    weights = np.array([name == signal for name in NAMES], np.float32)
    return DeepMemoryModel(QueryMap(turn * np.eye(WIDTH, dtype=np.float32)), weights)
