"""The signals about a question and each of its candidates, 26 of them.

Vectors: cosine of the plain and of the trained query, with the chunk alone and in its context.
Words: BM25 of the chunk, its sentences, its neighbours and its document (Callan, 1994), pairs of
adjacent words, and how much of the question they cover, each word weighted by its rarity. Between
the two: for each word of the question the nearest word of the chunk. All are on scales that do not
depend on the knowledge base, except raw BM25, so that weights can be carried from one to another.
docs/retrieval.md says what else was tried.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from services.ranking.index import RankingIndex, spans
from services.ranking.occurrences import ABSENT
from services.ranking.words import words_of
from services.retrieval.embeddings import normalised
from services.retrieval.nearest import best_rows

NAMES = (
    "cosine in context, whitened", "cosine in context, trained", "cosine", "cosine, trained",
    "best cosine in document", "best cosine beside", "bm25", "bm25 around", "bm25 of document",
    "bm25, share", "bm25 around, share", "bm25 of document, share", "bm25 beside, share",
    "pairs of words", "best sentence, bm25 share", "best sentence, covered", "covered",
    "covered with neighbours", "covered by document", "words found", "rarest found",
    "numbers found", "near words", "very near words", "near words for those missing", "length",
)  # fmt: skip
WORD_WEIGHT = np.float32(0.05)  # cosine per BM25 point in the mixture that selects candidates
_BESTS, _MIXED = 30, 60  # candidates of each list, and of the mixture of both
_POOL = 400  # rows of each list that are mixed
_RELATED = 0.3  # cosine from which two words begin to be related
_SATURATION, _LENGTH = 0.9, 0.4  # of BM25, for pairs as for words
_NUMBER = re.compile(r"\b\w*\d[\w.,/-]*\b")


@dataclass(frozen=True, slots=True)
class Candidates:
    """The chunks worth a closer look, and what is known about each."""

    rows: np.ndarray  # (c,) ascending
    signals: np.ndarray  # (c, len(NAMES)) float32


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question's words as they stand, and each one once with its rarity."""

    all: list[int]  # numbers in the vocabulary, or ABSENT
    words: list[str]
    numbers: list[int]
    worth: np.ndarray  # (words,): inverse document frequencies

    @property
    def total(self) -> float:
        return max(float(self.worth.sum()), 1e-6)


def candidates(
    text: str, query: np.ndarray, matrix: np.ndarray, index: RankingIndex, k: int = 10
) -> Candidates:
    """The best chunks by vectors, by words and by both, with their signals; at least `k` if there
    are as many. `query` (width,) embeds `text`; `matrix` (width, width) is the trained map."""
    if not len(index):
        return Candidates(np.zeros(0, np.int64), np.zeros((0, len(NAMES)), np.float32))
    asked = _asked(text, index)
    whitened, mapped = normalised(np.stack([query @ index.whitening, query @ matrix]))
    bm25 = index.chunks.bm25(asked.all)
    around = index.neighbours.mean(bm25)
    nearest, _ = index.context.top(whitened, max(_POOL, 4 * k))
    by_words = bm25 + around
    pool = np.unique(
        np.concatenate([nearest, best_rows(by_words, max(_POOL, 4 * k)), best_rows(bm25, _BESTS)])
    )
    cosines = index.context.vectors[pool] @ whitened
    mixed = cosines + WORD_WEIGHT * by_words[pool]
    of_pool = np.unique(
        np.concatenate(
            [
                best_rows(cosines, _BESTS),
                best_rows(bm25[pool], _BESTS),
                best_rows(mixed, max(_MIXED, k)),
            ]
        )
    )
    rows = pool[of_pool]
    document = index.neighbours.document
    before, after = index.neighbours.beside(rows)
    here = _has(asked, rows, index)
    places, counts = index.words_in(rows)
    words = index.words[places]
    columns = (
        cosines[of_pool], index.context.vectors[rows] @ mapped,
        index.plain.vectors[rows] @ query, index.plain.vectors[rows] @ mapped,
        _best_of_each(cosines, document[pool])[of_pool],
        np.maximum(index.plain.vectors[before] @ whitened, index.plain.vectors[after] @ whitened),
        *_bm25_signals(asked, rows, before, after, bm25, around, index),
        _pairs(asked, words, counts, index),
        *_sentence_signals(asked, rows, index),
        *_coverage_signals(asked, here, rows, before, after, index),
        _numbers(text, rows, index),
        *_nearness_signals(asked, here, words, counts, index),
        index.length[rows],
    )  # fmt: skip
    return Candidates(rows, np.stack(columns, axis=1).astype(np.float32))


def _asked(text: str, index: RankingIndex) -> _Asked:
    everything = words_of(text)
    words = list(dict.fromkeys(everything))
    numbers = index.numbers(words)
    return _Asked(index.numbers(everything), words, numbers, index.chunks.worth(numbers))


def _best_of_each(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """For each value the highest of its group; `groups` is ascending."""
    first = np.flatnonzero(np.diff(groups, prepend=-1))
    sizes = np.diff(np.append(first, len(groups)))
    return np.repeat(np.maximum.reduceat(values, first), sizes)


def _bm25_signals(
    asked: _Asked,
    rows: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    bm25: np.ndarray,
    around: np.ndarray,
    index: RankingIndex,
) -> tuple[np.ndarray, ...]:
    of_document = index.documents.bm25(asked.all)[index.neighbours.document[rows]]
    return (
        bm25[rows], around[rows], of_document,
        bm25[rows] / asked.total, around[rows] / asked.total, of_document / asked.total,
        np.maximum(bm25[before], bm25[after]) / asked.total,
    )  # fmt: skip


def _pairs(asked: _Asked, words: np.ndarray, counts: np.ndarray, index: RankingIndex) -> np.ndarray:
    """BM25 of the question's pairs of adjacent words, (c,); `counts` (c,) of `words` are each
    chunk's."""
    chunk = np.repeat(np.arange(len(counts)), counts)
    within = chunk[1:] == chunk[:-1]
    relative = np.maximum(counts - 1, 0) / index.pairs.mean_count
    dampened = _SATURATION * (1 - _LENGTH + _LENGTH * relative)
    score = np.zeros(len(counts), np.float32)
    for first, second in pairwise(asked.all):
        if ABSENT not in (first, second):
            stands = within & (words[:-1] == first) & (words[1:] == second)
            if stands.any():
                times = np.bincount(chunk[1:][stands], minlength=len(counts))
                score += index.pairs.idf(first, second) * times / (times + dampened)
    return score


def _sentence_signals(
    asked: _Asked, rows: np.ndarray, index: RankingIndex
) -> tuple[np.ndarray, np.ndarray]:
    """The highest BM25 and the largest covered share of the sentences of each row."""
    sentences, counts = spans(index.first_sentence[rows], index.first_sentence[rows + 1])
    first = np.append(0, np.cumsum(counts)[:-1])
    gains = index.sentences.gains(asked.numbers, sentences)
    times = np.array([asked.all.count(number) for number in asked.numbers], np.float32)
    bm25, covered = times @ gains, asked.worth @ (gains > 0)
    return (
        np.maximum.reduceat(bm25, first) / asked.total,
        np.maximum.reduceat(covered, first) / asked.total,
    )


def _coverage_signals(
    asked: _Asked,
    here: np.ndarray,
    rows: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    index: RankingIndex,
) -> tuple[np.ndarray, ...]:
    """How much of the question's worth, of its words, and how rare a word is found.

    `here` (words, c) says which words each chunk has."""
    if not asked.words:
        return (np.zeros(len(rows), np.float32),) * 5
    nearby = here | _has(asked, before, index) | _has(asked, after, index)
    in_document = index.documents.gains(asked.numbers, index.neighbours.document[rows]) > 0
    rarity = asked.worth / max(float(asked.worth.max()), 1e-6)
    return (
        asked.worth @ here / asked.total,
        asked.worth @ nearby / asked.total,
        asked.worth @ in_document / asked.total,
        here.mean(axis=0),
        (rarity[:, None] * here).max(axis=0),
    )


def _has(asked: _Asked, rows: np.ndarray, index: RankingIndex) -> np.ndarray:
    return index.chunks.gains(asked.numbers, rows) > 0


def _nearness_signals(
    asked: _Asked, here: np.ndarray, words: np.ndarray, counts: np.ndarray, index: RankingIndex
) -> tuple[np.ndarray, ...]:
    """How near the chunk's words come to the question's, and to those it does not have."""
    near = index.near_words.nearness(asked.words, asked.numbers, words, counts)
    near[here] = 1
    above = np.maximum(near - _RELATED, 0) / (1 - _RELATED)
    missing = asked.worth[:, None] * ~here
    return (
        asked.worth @ above / asked.total,
        asked.worth @ near**3 / asked.total,
        (missing * above).sum(axis=0) / np.maximum(missing.sum(axis=0), 0.1),
    )


def _numbers(text: str, rows: np.ndarray, index: RankingIndex) -> np.ndarray:
    """The share of the question's numbers and identifiers with a digit that the chunk has."""
    wanted = frozenset(_NUMBER.findall(text.lower()))
    if not wanted:
        return np.zeros(len(rows), np.float32)
    found: Sequence[int] = [
        len(wanted.intersection(_NUMBER.findall(index.texts[row].lower()))) for row in rows
    ]
    return np.array(found, np.float32) / len(wanted)
