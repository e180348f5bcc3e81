"""Deep Memory on this machine: a linear map of the query embedding, fitted to the pairs in numpy.

The chunk vectors stay unchanged, so nothing is embedded again. The initial map gives directions
that all chunks share less weight (see `whitening`). It learns to give the chunks that answer a
question a larger inner product than the others: the loss is the cross-entropy of the softmax over
chunk similarities (InfoNCE, van den Oord et al., 2018), with the probability shared among all
chunks that answer the question. The mapped query is not normalised in the loss, which leaves each
query its own temperature. Near-duplicates of a relevant chunk are never used as negatives.

Three maps are fitted, each stopped early on a different third of the pairs, and averaged: scores
are linear in the map, so the average is the ensemble at the cost of one (bagging, Breiman, 1996).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from services.deep_memory.evaluation import NEAR_DUPLICATE, evaluate_embeddings
from services.errors import TrainingError
from services.ranking.whitening import whitening

logger = logging.getLogger(__name__)

Progress = Callable[[int, int, float], None]  # epochs done, maximum epochs, validation recall@10
StopCheck = Callable[[], bool]


class TrainingStopped(Exception):
    """`should_stop` returned True: nothing was produced, and nothing needs to be undone."""


@dataclass(frozen=True, slots=True)
class TrainerSettings:
    """How the map is fitted. The values were chosen on validation, not on test questions."""

    temperature: float = 0.05
    learning_rate: float = 0.0005
    pull_to_start: float = 0.1  # weight of half the squared distance between the map and its start
    folds: int = 3
    epochs: int = 60  # at most, per fold
    patience: int = 6  # epochs without a better validation result before stopping early
    batch_size: int = 512
    batches_per_epoch: int = 8  # at most, so that an epoch over many pairs is still short
    candidates: int = 8192  # chunks that each batch is contrasted with
    validation_questions: int = 500


@dataclass(frozen=True, slots=True)
class FoldedFit:
    """One map per fold, and each question's fold: `matrices[fold_of[i]]` never saw question i."""

    matrices: np.ndarray  # (folds, width, width) float32
    fold_of: np.ndarray  # (n,)

    def averaged(self) -> np.ndarray:
        return self.matrices.mean(axis=0, dtype=np.float64).astype(np.float32)


def fit_folds(
    queries: np.ndarray,
    chunks: np.ndarray,
    relevant: Sequence[Collection[int]],
    *,
    seed: int = 0,
    settings: TrainerSettings | None = None,
    on_progress: Progress | None = None,
    should_stop: StopCheck | None = None,
) -> FoldedFit:
    """Fit maps of the query embeddings to pairs of questions and chunks, one per fold.

    `queries` (n, width) and `chunks` (m, width) are normalised; `relevant[i]` holds the rows of
    `chunks` that answer query i. The same arguments give the same maps. `on_progress` is called
    after each epoch, `should_stop` several times a second.

    Raises:
        TrainingStopped: `should_stop` returned True.
        TrainingError: too few pairs, shapes that do not fit, or values that are not finite.
    """
    settings = settings or TrainerSettings()
    queries, chunks = np.asarray(queries, np.float32), np.asarray(chunks, np.float32)
    _check(queries, chunks, relevant)
    answers = [np.unique(np.fromiter(found, np.int64)) for found in relevant]
    alike = _near_duplicates(np.unique(np.concatenate(answers)), chunks)
    start, fold_of = whitening(chunks), _folds(answers, settings.folds, seed)
    last, matrices = settings.folds * settings.epochs, []
    for fold in range(settings.folds):
        rng = np.random.default_rng([seed, fold])
        validation = rng.permutation(np.flatnonzero(fold_of == fold))
        train = np.flatnonzero(fold_of != fold)
        job = _Fit(queries, chunks, answers, alike, train, start, settings, rng)

        def report(epoch: int, recall: float, fold: int = fold) -> None:
            if on_progress:
                on_progress(fold * settings.epochs + epoch, last, recall)

        matrices.append(job.run(validation[: settings.validation_questions], report, should_stop))
    logger.info("query_map_trained pairs=%d chunks=%d seed=%d", len(queries), len(chunks), seed)
    return FoldedFit(np.stack(matrices), fold_of)


class _Fit:
    """One map, fitted with Adam (Kingma and Ba, 2015) to some of the pairs."""

    def __init__(
        self,
        queries: np.ndarray,
        chunks: np.ndarray,
        relevant: Sequence[np.ndarray],
        alike: dict[int, np.ndarray],
        train: np.ndarray,
        start: np.ndarray,
        settings: TrainerSettings,
        rng: np.random.Generator,
    ) -> None:
        self.queries, self.chunks, self.train = queries, chunks, train
        self.relevant, self.alike = relevant, alike
        self.settings, self.rng = settings, rng
        self.start = start
        self.matrix = start
        self.mean = np.zeros_like(self.matrix)
        self.square = np.zeros_like(self.matrix)
        self.steps = 0

    def run(
        self,
        validation: np.ndarray,
        report: Callable[[int, float], None],
        should_stop: StopCheck | None,
    ) -> np.ndarray:
        """Train until the validation result stops improving; return the best map seen."""
        best, best_epoch = np.eye(len(self.matrix), dtype=np.float32), 0
        best_quality, best_recall = self._validate(validation, best)
        batches = self._batches()
        for epoch in range(1, self.settings.epochs + 1):
            for _ in range(self._batches_per_epoch):
                if should_stop and should_stop():
                    raise TrainingStopped
                self._step(next(batches))
            quality, recall = self._validate(validation, self.matrix)
            if quality > best_quality:
                best, best_epoch, best_quality = self.matrix, epoch, quality
                best_recall = recall
            report(epoch, best_recall)
            if epoch - best_epoch >= self.settings.patience:
                break
        report(self.settings.epochs, best_recall)
        return best

    @property
    def _batches_per_epoch(self) -> int:
        batches = -(-len(self.train) // self.settings.batch_size)
        return min(batches, self.settings.batches_per_epoch)

    def _batches(self) -> Iterator[np.ndarray]:
        size = self.settings.batch_size
        while True:
            order = self.rng.permutation(self.train)
            yield from (order[start : start + size] for start in range(0, len(order), size))

    def _validate(self, questions: np.ndarray, matrix: np.ndarray) -> tuple[float, float]:
        """The sum of all metrics, less noisy than any single one, to choose by; and recall@10."""
        metrics = evaluate_embeddings(
            self.queries[questions] @ matrix,
            self.chunks,
            [self.relevant[question] for question in questions],
        ).as_metrics()
        return sum(metrics.values()), metrics["recall@10"]

    def _step(self, batch: np.ndarray) -> None:
        queries = self.queries[batch]
        gradient = queries.T @ self._pull_on_queries(queries, batch) / len(batch)
        gradient += self.settings.pull_to_start * (self.matrix - self.start)
        self.steps += 1
        self.mean = 0.9 * self.mean + 0.1 * gradient
        self.square = 0.999 * self.square + 0.001 * gradient**2
        mean = self.mean / (1 - 0.9**self.steps)
        square = self.square / (1 - 0.999**self.steps)
        self.matrix = self.matrix - self.settings.learning_rate * mean / (np.sqrt(square) + 1e-8)

    def _pull_on_queries(self, queries: np.ndarray, batch: np.ndarray) -> np.ndarray:
        """The gradient of the loss with respect to the mapped queries: (batch, width)."""
        positives = [self.relevant[question] for question in batch]
        rows = np.repeat(np.arange(len(batch)), [len(found) for found in positives])
        answers = np.concatenate(positives)
        candidates = self._candidates(np.unique(answers))
        columns = np.searchsorted(candidates, answers)
        others = self.chunks[candidates]

        logits = queries @ self.matrix @ others.T / self.settings.temperature
        kept = logits[rows, columns]
        for row, answer in zip(rows, answers, strict=True):
            if answer in self.alike:
                logits[row, np.isin(candidates, self.alike[answer])] = -np.inf
        logits[rows, columns] = kept

        logits -= logits.max(axis=1, keepdims=True)
        share = np.exp(logits, out=logits)
        share /= share.sum(axis=1, keepdims=True)
        share[rows, columns] -= 1 / np.array([len(found) for found in positives])[rows]
        return share @ others / self.settings.temperature

    def _candidates(self, answers: np.ndarray) -> np.ndarray:
        """The batch's own answers and random others, sorted; all chunks if there are few."""
        if len(self.chunks) <= self.settings.candidates:
            return np.arange(len(self.chunks))
        others = self.rng.integers(0, len(self.chunks), self.settings.candidates)
        return np.union1d(answers, others)


def _check(queries: np.ndarray, chunks: np.ndarray, relevant: Sequence[Collection[int]]) -> None:
    if len(queries) < 4:
        raise TrainingError(
            f"{len(queries)} questions to train on, besides those held out, are too few.",
            next_step="Remove this run, and generate questions for more chunks.",
        )
    fits = len(queries) == len(relevant) and queries.shape[1:] == chunks.shape[1:]
    if not fits or not all(len(found) for found in relevant):
        raise TrainingError("The pairs do not fit the chunks. Nothing was trained.")
    if not (np.isfinite(queries).all() and np.isfinite(chunks).all()):
        raise TrainingError("Some embeddings are not numbers. Nothing was trained.")


def _near_duplicates(rows: np.ndarray, chunks: np.ndarray) -> dict[int, np.ndarray]:
    """Row -> its near-duplicates, itself included, for those of `rows` that have any."""
    alike: dict[int, np.ndarray] = {}
    for start in range(0, len(rows), 512):
        block = rows[start : start + 512]
        for row, near in zip(block, chunks[block] @ chunks.T >= NEAR_DUPLICATE, strict=True):
            if np.count_nonzero(near) > 1:
                alike[int(row)] = np.flatnonzero(near)
    return alike


def _folds(relevant: Sequence[Collection[int]], folds: int, seed: int) -> np.ndarray:
    """Give each question a fold; questions that share a first chunk stay together."""
    first = np.array([min(found) for found in relevant])
    groups, group_of = np.unique(first, return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(groups))
    return order[group_of] % min(folds, len(groups))
