"""A trained ranker: one weight for each signal, learned from questions and the chunks they mean.

The loss is a listwise softmax: each chunk that answers a question against all of its candidates
that do not (ListNet, Cao et al., 2007; with several answers, each on its own). Candidates come from
the lists of vectors and of words, so the negatives are hard ones. Near-duplicates of an answer are
no negatives. Two dozen weights need few questions: boosted trees (LambdaMART) were no better.

Questions that were written about a chunk differ from people's in two ways, which would teach wrong
weights. They repeat the words of their chunk: `harder` leaves out or replaces some of them (word
dropout, Iyyer et al., 2015; thesaurus, Zhang et al., 2015, here the knowledge base's own words by
their vectors). And they know one right chunk only, though the chunks beside it often answer too:
those count as right with a quarter of the weight. The app does not use this; see
docs/retrieval.md.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.ranking_signals import NAMES, Candidates, RankingIndex
from services.deep_memory.evaluation import NEAR_DUPLICATE
from services.deep_memory.lexical import words_of
from services.deep_memory.local_trainer import FoldedFit
from services.errors import TrainingError

MOST_QUESTIONS = 1000  # more change nothing that can be measured
WRITTEN_BESIDE = 0.25  # for written questions: what a chunk beside the right one counts
WRITTEN_PULL = 0.5
_STEPS, _LEARNING_RATE = 120, 0.05
_PULL = 0.05  # weight of half the squared distance of the weights from 0
_POOL = 20_000  # words among which a replacement is looked for
_RELATED, _SAME = 0.4, 0.95  # cosines between which a word can stand for another
_REPLACED = 0.6  # of the words that are changed; the others are left out


@dataclass(frozen=True, slots=True)
class Reranker:
    """`score` orders candidates; `weights` (signals,) are on the scales of the signals."""

    matrix: np.ndarray  # (width, width): the trained query map
    weights: np.ndarray

    def score(self, candidates: Candidates) -> np.ndarray:
        """(c,): higher is better; only comparable within one question."""
        return candidates.signals @ self.weights

    def search(
        self, text: str, query: np.ndarray, k: int, index: RankingIndex
    ) -> tuple[np.ndarray, np.ndarray]:
        """The rows and scores of the `k` best chunks; equal scores keep the order of the rows.

        `query` (width,) embeds `text`.
        """
        candidates = index.candidates(text, query, self.matrix)
        scores = self.score(candidates)
        best = np.argsort(-scores, kind="stable")[:k]
        return candidates.rows[best], scores[best]

    def by_name(self) -> dict[str, float]:
        """What the ranker goes by, for a model card."""
        return dict(zip(NAMES, self.weights.tolist(), strict=True))


def train_reranker(
    queries: np.ndarray,
    texts: Sequence[str],
    relevant: Sequence[Collection[int]],
    fit: FoldedFit,
    index: RankingIndex,
    *,
    seed: int = 0,
    beside: float = 0.0,
    pull: float = _PULL,
    towards: np.ndarray | None = None,
) -> Reranker:
    """Learn the weights; `queries` (n, width) embed `texts`, `relevant[i]` holds the right rows.

    `fit` is the map, trained on the same questions in the same order: each question is seen through
    the map of the fold that left it out, or the ranker would trust the map too much. For written
    questions give `harder` ones, WRITTEN_BESIDE and WRITTEN_PULL; `towards`: see `fit_weights`.

    Raises:
        TrainingError: no question has an answer among its candidates.
    """
    order = np.random.default_rng(seed).permutation(len(texts))[:MOST_QUESTIONS]
    signals: list[np.ndarray] = []
    gains: list[np.ndarray] = []
    question: list[np.ndarray] = []
    for row in order:
        found = index.candidates(texts[row], queries[row], fit.matrices[fit.fold_of[row]])
        gain = _gains(found.rows, sorted(relevant[row]), index, beside)
        if (gain == 1).any() and (gain == 0).any():
            question.append(np.full(len(gain), len(signals)))
            signals.append(found.signals)
            gains.append(gain)
    if not signals:
        raise TrainingError("No question finds its chunk among the candidates. None was learned.")
    together = (np.concatenate(parts) for parts in (signals, question, gains))
    return Reranker(fit.averaged(), fit_weights(*together, pull=pull, towards=towards))


def _gains(
    rows: np.ndarray, answers: Sequence[int], index: RankingIndex, beside: float
) -> np.ndarray:
    """(c,): 1 for an answer, `beside` for a chunk next to one, 0 for a wrong chunk.

    -1 for what is neither right nor wrong: a near-duplicate of an answer.
    """
    alike = (index.plain[rows] @ index.plain[answers].T).max(axis=1) >= NEAR_DUPLICATE
    gains = np.where(alike, -1.0, 0.0)
    if beside:
        gains[np.isin(rows, np.concatenate(index.beside(np.array(answers))))] = beside
    gains[np.isin(rows, answers)] = 1.0
    return gains


def fit_weights(
    signals: np.ndarray,
    question: np.ndarray,
    gains: np.ndarray,
    *,
    pull: float = _PULL,
    towards: np.ndarray | None = None,
) -> np.ndarray:
    """Minimise the listwise loss with Adam: weights (s,) for `signals` (r, s) as they stand.

    `question` (r,) numbers the questions from 0, ascending; `gains` (r,) are above 0 for right
    rows, 0 for wrong ones and below for rows that do not count. Every question has a right one.
    The weights are pulled towards `towards` (s,), or 0.
    """
    scale = np.maximum(signals.std(axis=0), 1e-6)
    inputs = ((signals - signals.mean(axis=0)) / scale).astype(np.float32)
    count = int(question[-1]) + 1
    start = np.searchsorted(question, np.arange(count))
    right, wrong = np.flatnonzero(gains > 0), gains == 0
    asks = question[right]
    share = gains[right] / np.bincount(asks, gains[right], minlength=count)[asks]
    home = np.zeros(len(scale)) if towards is None else towards * scale
    weights = home = home.astype(np.float32)
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


def harder(
    texts: Sequence[str],
    index: RankingIndex,
    *,
    seed: int = 0,
    least: float = 0.2,
    most: float = 0.8,
) -> list[str]:
    """Written questions as people would ask them: in other words, or fewer.

    In each question a share between `least` and `most` of the words that chunks have is changed:
    most become a related word of the knowledge base, the others are left out. The results are for
    the trainer, not for people: they are not good English.
    """
    rng = np.random.default_rng(seed)
    pool = rng.permutation(len(index.vocabulary))[:_POOL]
    vectors = index.word_vectors[pool]
    made = []
    for text in texts:
        share, words = rng.uniform(least, most), []
        for word in text.rstrip("?").split():
            base = (words_of([word])[0] or [""])[0]
            if base not in index.chunks or rng.random() >= share:
                words.append(word)
            elif base in index.number and rng.random() < _REPLACED:
                near = vectors @ index.word_vectors[index.number[base]]
                best = np.argsort(-near)[:9]
                related = best[(near[best] > _RELATED) & (near[best] < _SAME)]
                if len(related):
                    words.append(index.vocabulary[pool[rng.choice(related)]])
        made.append(" ".join(words) + "?")
    return made
