"""Hybrid Deep Memory: the trained query map, the document around a chunk, and the exact words.

A chunk's score for a query is cosine(mapped query, chunk in its context) + weight * BM25.

- The context of a chunk is the mean of the chunks around it in its document, weighted by
  nearness: people ask in the words of the topic, which often stand only in neighbouring chunks. It
  is computed from the stored vectors, so nothing is embedded again (compare contextual document
  embeddings, Morris and Rush, 2024; here in closed form).
- The weight of BM25 is learned on the training pairs, each scored by a map that never saw it
  (convex fusion; Bruch et al., An Analysis of Fusion Functions for Hybrid Retrieval, 2023). BM25
  is left on its own scale: a question that shares no rare word with any chunk gets small scores,
  so that the vectors decide.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from services.deep_memory.evaluation import evaluate_blocks
from services.deep_memory.lexical import LexicalIndex
from services.deep_memory.local_trainer import (
    FoldedFit,
    Progress,
    StopCheck,
    TrainerSettings,
    fit_folds,
)
from services.deep_memory.query_map import QueryMap
from services.errors import TrainingError
from services.retrieval.nearest import VectorIndex

_CONTEXT_REACH = 2.0  # chunks: the distance at which a neighbour counts 1/e
_CONTEXT_WINDOW = 8  # chunks on either side; beyond, a neighbour would count under 2%
# Cosine per BM25 point.
_LEXICAL_WEIGHTS = (0.01, 0.015, 0.02, 0.025, 0.03, 0.04, 0.05, 0.08, 0.12, 0.2)
# Questions written by rule repeat the words of their chunk, so they favour ever larger weights,
# while people's questions do not: with 0.12, the sample's hand-written questions find 80% of their
# chunks among the first ten, with 0.02 they find 91%. So a weight above the usual ones must gain
# more than such questions alone can explain. The second of each applies where words alone find
# nearly every answer, as they do for questions written by rule: of the weights, 0.03 then has the
# highest nDCG@10 on people's questions, mean of three sets (docs/benchmarks.md).
_HIGHEST_USUAL_WEIGHT = 0.05, 0.03
_GAIN_PER_DOUBLING = 0.025, 0.07  # of MRR@10
_WORDS_ALONE_FIND = 0.9  # MRR@10 of BM25 on the training questions
_WEIGHED_QUESTIONS = 1000


@dataclass(frozen=True, slots=True)
class SearchIndex:
    """What a trained model searches, built once for each version of a store."""

    nearest: VectorIndex  # the chunks in their context
    lexical: LexicalIndex

    @property
    def vectors(self) -> np.ndarray:
        """(m, width) float32 normalised: the chunks in their context."""
        return self.nearest.vectors

    @classmethod
    def of(
        cls, embeddings: np.ndarray, texts: Sequence[str], documents: Sequence[Any]
    ) -> SearchIndex:
        """Index chunks; row i of each argument is chunk i, in the order of its document."""
        return cls(VectorIndex(in_context(embeddings, documents)), LexicalIndex(texts))


@dataclass(frozen=True, slots=True)
class DeepMemoryModel:
    """One trained model: the query map, and the weight of BM25."""

    query_map: QueryMap
    lexical_weight: float

    def scores(self, queries: np.ndarray, texts: Sequence[str], index: SearchIndex) -> np.ndarray:
        """Score every chunk for every query, (n, m) float32; `queries` (n, width) embed `texts`.

        Raises:
            TrainingError: the embeddings differ in width from those it was trained on.
        """
        scores = self.query_map.apply(queries) @ index.vectors.T
        if self.lexical_weight:
            scores += self.lexical_weight * index.lexical.scores(texts)
        return scores

    def search(
        self, query: np.ndarray, text: str, k: int, index: SearchIndex
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return rows and scores of the `k` best chunks; `query` (width,) embeds `text`.

        They are the highest of `scores`, except for the quantisation loss in a large store.

        Raises:
            TrainingError: the embedding differs in width from those it was trained on.
        """
        mapped = self.query_map.apply(query[None])[0]
        words = None
        if self.lexical_weight:
            words = self.lexical_weight * index.lexical.scores([text])[0]
        return index.nearest.top(mapped, k, words)

    def without_words(self) -> DeepMemoryModel:
        """The trained map alone, with a BM25 weight of 0."""
        return replace(self, lexical_weight=0.0)

    def save(self, path: Path) -> None:
        """Write the map, the weight and the settings to one file; see `QueryMap.save`."""
        settings = {**self.query_map.settings, "lexical_weight": self.lexical_weight}
        replace(self.query_map, settings=settings).save(path)

    @classmethod
    def load(cls, path: Path) -> DeepMemoryModel:
        """Read a model that `save` wrote.

        Raises:
            TrainingError: the file is missing, damaged, or not such a model.
        """
        query_map = QueryMap.load(path)
        weight = query_map.settings.get("lexical_weight")
        if not isinstance(weight, float) or not 0 <= weight < np.inf:
            raise TrainingError(
                f"The trained model {Path(path).name} cannot be read.",
                next_step="Switch to another model, or train again. The pairs are kept.",
            )
        return cls(query_map, weight)


def train_hybrid(
    queries: np.ndarray,
    texts: Sequence[str],
    index: SearchIndex,
    relevant: Sequence[Collection[int]],
    *,
    seed: int = 0,
    embedder: str = "",
    on_progress: Progress | None = None,
    should_stop: StopCheck | None = None,
) -> DeepMemoryModel:
    """Train the map and the weight on pairs; arguments and errors are those of `fit_folds`.

    `texts[i]` is the question that `queries[i]` embeds.
    """
    settings = TrainerSettings()
    fit = fit_folds(
        queries,
        index.vectors,
        relevant,
        seed=seed,
        settings=settings,
        on_progress=on_progress,
        should_stop=should_stop,
    )
    query_map = QueryMap(fit.averaged(), embedder, seed, asdict(settings))
    return DeepMemoryModel(query_map, _best_weight(fit, queries, texts, index, relevant, seed))


def in_context(embeddings: np.ndarray, documents: Sequence[Any]) -> np.ndarray:
    """Add to each chunk the weighted mean of itself and its neighbours, and normalise.

    `documents[i]` names the document of row i; a neighbour d rows away within the same document
    has weight exp(-d / 2). A chunk that is alone in its document keeps its vector.
    """
    in_context = np.array(embeddings, np.float32)
    start = 0
    for _, rows in groupby(documents):
        stop = start + sum(1 for _ in rows)
        in_context[start:stop] += _neighbourhood(in_context[start:stop])
        start = stop
    lengths = np.linalg.norm(in_context, axis=1, keepdims=True)
    return in_context / np.where(lengths > 0, lengths, 1)


def _neighbourhood(chunks: np.ndarray) -> np.ndarray:
    total, weights = chunks.copy(), np.ones((len(chunks), 1), np.float32)
    for distance in range(1, min(_CONTEXT_WINDOW + 1, len(chunks))):
        weight = np.float32(np.exp(-distance / _CONTEXT_REACH))
        total[distance:] += weight * chunks[:-distance]
        total[:-distance] += weight * chunks[distance:]
        weights[distance:] += weight
        weights[:-distance] += weight
    return total / weights


def _best_weight(
    fit: FoldedFit,
    queries: np.ndarray,
    texts: Sequence[str],
    index: SearchIndex,
    relevant: Sequence[Collection[int]],
    seed: int,
) -> float:
    """The weight that ranks the training questions best, each by a map that never saw it.

    A weight above the usual ones is chosen only for a clear gain.
    """
    order = np.random.default_rng(seed).permutation(len(queries))[:_WEIGHED_QUESTIONS]
    maps = [QueryMap(matrix) for matrix in fit.matrices]
    mapped = np.concatenate([maps[fit.fold_of[row]].apply(queries[[row]]) for row in order])
    asked = [texts[row] for row in order]
    answers = [relevant[row] for row in order]

    def words(start: int, stop: int) -> np.ndarray:
        return index.lexical.scores(asked[start:stop])

    def quality(score: Callable[[int, int], np.ndarray]) -> float:
        return evaluate_blocks(score, len(index.vectors), answers).as_metrics()["mrr@10"]

    kind = 1 if quality(words) >= _WORDS_ALONE_FIND else 0

    def worth(weight: float) -> float:
        doublings = max(0.0, math.log2(weight / _HIGHEST_USUAL_WEIGHT[kind]))
        found = quality(
            lambda start, stop: (
                mapped[start:stop] @ index.vectors.T + np.float32(weight) * words(start, stop)
            )
        )
        return found - _GAIN_PER_DOUBLING[kind] * doublings

    return max(_LEXICAL_WEIGHTS, key=worth)
