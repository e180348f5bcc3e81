"""Training a model: the query map, then one weight for each signal of the ranker.

The loss of the weights is a listwise softmax: each chunk that answers a question against all of
its candidates that do not (ListNet, Cao et al., 2007; with several answers, each on its own).
Candidates come from the lists of vectors and of words, so the negatives are hard ones.
Near-duplicates of an answer are no negatives. Two dozen weights need few questions: boosted trees
(LambdaMART) were no better. The weights are pulled towards the fixed ones of search without
training, so that few questions change little.

Questions that were written about a chunk differ from people's in two ways, which would teach wrong
weights. They repeat the words of their chunk: see `harder`. And they know one right chunk only,
though the chunks beside it often answer too: those count as right with a quarter of the weight.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from services.deep_memory.evaluation import NEAR_DUPLICATE
from services.deep_memory.local_trainer import (
    Progress,
    StopCheck,
    TrainerSettings,
    TrainingStopped,
    fit_folds,
)
from services.deep_memory.no_answer import lowest_score
from services.deep_memory.query_map import QueryMap
from services.deep_memory.trained_model import DeepMemoryModel
from services.deep_memory.training_questions import harder, repeat_words
from services.ranking.index import RankingIndex
from services.ranking.near_words import Embed
from services.ranking.ranker import FIXED_WEIGHTS
from services.ranking.signals import candidates

_MOST_QUESTIONS = 1000  # for the weights; more change nothing that can be measured
_STEPS, _LEARNING_RATE = 120, 0.05


@dataclass(frozen=True, slots=True)
class Lesson:
    """How much to learn from a kind of questions."""

    pull: float  # weight of half the squared distance of the weights from the fixed ones
    beside: float  # what a chunk beside the right one counts


OF_PEOPLE = Lesson(pull=0.5, beside=0.0)
WRITTEN = Lesson(pull=10.0, beside=0.25)


def train_model(
    queries: np.ndarray,
    texts: Sequence[str],
    index: RankingIndex,
    relevant: Sequence[Collection[int]],
    *,
    embed: Embed,
    seed: int = 0,
    embedder: str = "",
    on_progress: Progress | None = None,
    should_stop: StopCheck | None = None,
) -> DeepMemoryModel:
    """Train the map and the weights on questions; `queries` (n, width) embed `texts`.

    `relevant[i]` holds the rows that answer question i. `embed` embeds questions in other words.
    Other arguments, and errors, are those of `fit_folds`. The same arguments give the same model.
    """
    settings = TrainerSettings()
    fit = fit_folds(
        queries,
        index.context.vectors,
        relevant,
        seed=seed,
        settings=settings,
        on_progress=on_progress,
        should_stop=should_stop,
    )
    chosen = np.random.default_rng(seed).permutation(len(texts))[:_MOST_QUESTIONS]
    queries, answers = queries[chosen], [sorted(relevant[row]) for row in chosen]
    asked, maps = [texts[row] for row in chosen], fit.matrices[fit.fold_of[chosen]]
    lesson = OF_PEOPLE
    if repeat_words(asked, answers, index):
        lesson = WRITTEN
        asked = harder(asked, index, seed)
        queries = embed(asked)
    weights, best = _weights(queries, asked, answers, maps, index, lesson, should_stop)
    return DeepMemoryModel(
        QueryMap(fit.averaged(), embedder, seed, asdict(settings) | asdict(lesson)),
        weights,
        lowest_score=lowest_score(best, are_written=lesson is WRITTEN),
    )


def _weights(
    queries: np.ndarray,
    texts: Sequence[str],
    relevant: Sequence[Sequence[int]],
    maps: np.ndarray,
    index: RankingIndex,
    lesson: Lesson,
    should_stop: StopCheck | None,
) -> tuple[np.ndarray, np.ndarray]:
    """The weights that rank the questions best, and the score of the best chunk of each question
    that finds its own; the fixed ones, and no score, if none does.

    Each question is seen through `maps[i]`, which was trained without it: otherwise the map would
    be trusted too much.
    """
    signals: list[np.ndarray] = []
    gains: list[np.ndarray] = []
    question: list[np.ndarray] = []
    for query, text, answers, matrix in zip(queries, texts, relevant, maps, strict=True):
        if should_stop and should_stop():
            raise TrainingStopped
        found = candidates(text, query, matrix, index)
        gain = _gains(found.rows, answers, index, lesson.beside)
        if (gain == 1).any() and (gain == 0).any():
            question.append(np.full(len(gain), len(signals)))
            signals.append(found.signals)
            gains.append(gain)
    if not signals:
        return FIXED_WEIGHTS, np.zeros(0, np.float32)
    weights = fit_weights(
        np.concatenate(signals),
        np.concatenate(question),
        np.concatenate(gains),
        towards=FIXED_WEIGHTS,
        pull=lesson.pull,
    )
    return weights, np.array([(found @ weights).max() for found in signals])


def _gains(
    rows: np.ndarray, answers: Sequence[int], index: RankingIndex, beside: float
) -> np.ndarray:
    """(c,): 1 for an answer, `beside` for a chunk next to one, 0 for a wrong chunk.

    -1 for what is neither right nor wrong: a near-duplicate of an answer.
    """
    plain = index.plain.vectors
    alike = (plain[rows] @ plain[answers].T).max(axis=1) >= NEAR_DUPLICATE
    gains = np.where(alike, -1.0, 0.0)
    if beside:
        gains[np.isin(rows, np.concatenate(index.neighbours.beside(np.array(answers))))] = beside
    gains[np.isin(rows, answers)] = 1.0
    return gains


def fit_weights(
    signals: np.ndarray,
    question: np.ndarray,
    gains: np.ndarray,
    *,
    towards: np.ndarray,
    pull: float,
) -> np.ndarray:
    """Minimise the listwise loss with Adam: weights (s,) for `signals` (r, s) as they stand.

    `question` (r,) numbers the questions from 0, ascending; `gains` (r,) are above 0 for right
    rows, 0 for wrong ones and below for rows that do not count. Every question has a right one.
    The weights are pulled towards `towards` (s,) by `pull`, both on the scale of the signals'
    standard deviations.
    """
    scale = np.maximum(signals.std(axis=0), 1e-6)
    inputs = ((signals - signals.mean(axis=0)) / scale).astype(np.float32)
    count = int(question[-1]) + 1
    start = np.searchsorted(question, np.arange(count))
    right, wrong = np.flatnonzero(gains > 0), gains == 0
    asks = question[right]
    share = gains[right] / np.bincount(asks, gains[right], minlength=count)[asks]
    weights = home = (towards * scale).astype(np.float32)
    mean, square = np.zeros_like(weights), np.zeros_like(weights)
    for step in range(1, _STEPS + 1):
        scores = inputs @ weights
        highest = np.maximum.reduceat(scores, start)
        against = np.exp(scores - highest[question]) * wrong
        sums = np.add.reduceat(against, start)[asks]
        own = np.exp(scores[right] - highest[asks])
        lift = against * np.bincount(asks, share / (own + sums), minlength=count)[question]
        lift[right] += (own / (own + sums) - 1) * share
        gradient = inputs.T @ lift.astype(np.float32) / count + np.float32(pull) * (weights - home)
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        rate = _LEARNING_RATE * (1 - 0.9 * step / _STEPS)
        spread = np.sqrt(square / (1 - 0.999**step)) + 1e-8
        weights = weights - np.float32(rate / (1 - 0.9**step)) * mean / spread
    return (weights / scale).astype(np.float32)
