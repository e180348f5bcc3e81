"""What a ranker looks at: some two dozen signals about a question and each of its candidates.

Vectors: cosine of the plain and of the trained query, with the chunk alone and in its context.
Words: BM25 of the chunk, its sentences, its neighbours and its document, pairs of adjacent words,
and how much of the question they cover, each word weighted by its rarity. Between the two: for each
word of the question the nearest word of the chunk (soft matching with static word vectors: Kusner
et al., 2015; MaxSim: Khattab and Zaharia, ColBERT, 2020). All are on scales that do not depend on
the knowledge base, except raw BM25, so that weights can be carried from one to another.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, groupby, pairwise
from typing import Any

import numpy as np

from benchmarks.postings import Postings
from services.deep_memory.hybrid import in_context
from services.deep_memory.lexical import words_of
from services.deep_memory.local_trainer import starting_map

NAMES = (
    "cosine in context, whitened", "cosine in context, trained", "cosine", "cosine, trained",
    "best cosine in document", "best cosine beside", "bm25", "bm25 around", "bm25 of document",
    "bm25, share", "bm25 around, share", "bm25 of document, share", "bm25 beside, share",
    "pairs of words", "best sentence, bm25 share", "best sentence, covered", "covered",
    "covered with neighbours", "covered by document", "words found", "rarest found",
    "numbers found", "near words", "very near words", "near words for those missing", "length",
)  # fmt: skip
_BESTS, _MIXED = 30, 60  # candidates from each list, and from the untrained mixture of all
_WORD_WEIGHT = 0.05  # cosine per BM25 point in that mixture
_REACH = np.exp(-np.abs(np.arange(-8, 9)) / 2).astype(np.float32)  # as `hybrid.in_context`
_NUMBER = re.compile(r"\b\w*\d[\w.,/-]*\b")
_SENTENCE_END = re.compile(r"(?<=[.!?;:])\s+|\n+")

Embed = Callable[[Sequence[str]], np.ndarray]  # texts -> (n, any width) float32, normalised


@dataclass(frozen=True, slots=True)
class Candidates:
    """The chunks worth a closer look, and what is known about each."""

    rows: np.ndarray  # (c,) ascending
    signals: np.ndarray  # (c, len(NAMES)) float32
    untrained: np.ndarray  # (c,): whitened cosine in context + words of the chunk and around it


class RankingIndex:
    """Chunks indexed for `candidates`; row i of each argument is chunk i, in document order."""

    def __init__(
        self,
        embeddings: np.ndarray,
        texts: Sequence[str],
        documents: Sequence[Any],
        embed_words: Embed,
    ) -> None:
        self.plain = np.asarray(embeddings, np.float32)
        self.context = in_context(self.plain, documents).astype(np.float32)
        self.whitening = starting_map(self.context)
        sizes = [sum(1 for _ in rows) for _, rows in groupby(documents)]
        self._first = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
        self._document = np.repeat(np.arange(len(sizes)), sizes)
        self._padded = np.arange(len(texts)) + len(_REACH) * self._document
        self._around = 1.0 / self._spread(np.ones(len(texts), np.float32))

        words = words_of(texts)
        self.chunks = Postings(words)
        self._pairs = Postings([_pairs(line) for line in words])
        ends = np.append(self._first[1:], len(texts))
        spans = zip(self._first, ends, strict=True)
        self._documents = Postings(
            [list(chain.from_iterable(words[start:end])) for start, end in spans]
        )
        sentences = [_sentences(text) for text in texts]
        self._sentence = np.cumsum([0] + [len(found) for found in sentences])[:-1]
        self._sentences = Postings(words_of([one for found in sentences for one in found]))
        self._numbers = [frozenset(_NUMBER.findall(text.lower())) for text in texts]
        lengths = np.log1p([len(line) for line in words]).astype(np.float32)
        self._length = (lengths - lengths.mean()) / max(float(lengths.std()), 1e-6)

        self.embed_words = embed_words
        self.vocabulary = [word for word in self.chunks.idf if self.chunks.frequency(word) > 1]
        number = {word: place for place, word in enumerate(self.vocabulary)}
        self.number = number
        vectors = embed_words(self.vocabulary)
        self._word_mean = vectors.mean(axis=0) if len(vectors) else np.float32(0)
        self.word_vectors = _unit(vectors - self._word_mean)
        ids = [sorted({number[word] for word in line if word in number}) for line in words]
        self._word_ids = np.array([place for line in ids for place in line], np.int32)
        self._word_start = np.concatenate([[0], np.cumsum([len(line) for line in ids])])

    def candidates(self, text: str, query: np.ndarray, matrix: np.ndarray) -> Candidates:
        """The best chunks by vectors, by words and by both, with their signals.

        `query` (width,) embeds `text`; `matrix` (width, width) is the trained map.
        """
        asked = words_of([text])[0]
        words = list(dict.fromkeys(asked))
        whitened, mapped = _unit(np.stack([query @ self.whitening, query @ matrix]))
        # One row at a time, because BLAS is slower with two; the trained map looks at candidates
        # only, which costs a tenth of a point of nDCG.
        vectors = (whitened[None] @ self.context.T)[0]
        bm25 = self.chunks.bm25(asked)
        around = self._spread(bm25) * self._around
        mixed = vectors + _WORD_WEIGHT * (bm25 + around)
        lists = ((vectors, _BESTS), (bm25, _BESTS), (mixed, _MIXED))
        rows = np.unique(np.concatenate([_best(scores, count) for scores, count in lists]))

        worth = np.array([self.chunks.worth(word) for word in words], np.float32)
        total = max(float(worth.sum()), 1e-6)
        document = self._document[rows]
        of_document = self._documents.bm25(asked)[document]
        before, after = self.beside(rows)
        beside = np.maximum(bm25[before], bm25[after])
        has = self.chunks.present(words)
        here = has[:, rows]
        nearby = here | has[:, before] | has[:, after]
        in_document = self._documents.present(words)[:, document]
        rarity = worth / max(float(worth.max(initial=0)), 1e-6)
        best_bm25, best_covered = self._best_sentence(asked, words, worth, rows)
        near = self._near(words, here, rows)
        missing = worth[:, None] * ~here
        columns = (
            vectors[rows], self.context[rows] @ mapped,
            self.plain[rows] @ query, self.plain[rows] @ mapped,
            np.maximum.reduceat(vectors, self._first)[document],
            np.maximum(self.plain[before] @ whitened, self.plain[after] @ whitened),
            bm25[rows], around[rows], of_document,
            bm25[rows] / total, around[rows] / total, of_document / total, beside / total,
            self._pairs.bm25(_pairs(asked))[rows], best_bm25 / total, best_covered / total,
            worth @ here / total, worth @ nearby / total, worth @ in_document / total,
            here.mean(axis=0) if words else 0, (rarity[:, None] * here).max(axis=0, initial=0),
            self._shared_numbers(text, rows), worth @ _above(near) / total,
            worth @ near**3 / total,
            (missing * _above(near)).sum(axis=0) / np.maximum(missing.sum(axis=0), 0.1),
            self._length[rows],
        )  # fmt: skip
        signals = np.zeros((len(rows), len(NAMES)), np.float32)
        for place, column in enumerate(columns):
            signals[:, place] = column
        return Candidates(rows, signals, mixed[rows])

    def _spread(self, values: np.ndarray) -> np.ndarray:
        """The sum of each value and its neighbours in the document, weighted by nearness: (m,)."""
        reach = len(_REACH) // 2
        padded = np.zeros(int(self._padded[-1]) + 1 + 2 * reach, np.float32)
        padded[self._padded + reach] = values
        total = np.zeros(len(padded) - 2 * reach, np.float32)
        for shift, weight in enumerate(_REACH):
            total += weight * padded[shift : shift + len(total)]
        return total[self._padded]

    def beside(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The rows before and after each row; its own where the document begins or ends."""
        before, after = np.maximum(rows - 1, 0), np.minimum(rows + 1, len(self.plain) - 1)
        document = self._document[rows]
        return (
            np.where(self._document[before] == document, before, rows),
            np.where(self._document[after] == document, after, rows),
        )

    def _best_sentence(
        self, asked: Sequence[str], words: Sequence[str], worth: np.ndarray, rows: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The highest BM25 and the largest covered worth of the sentences of each row."""
        ends = np.append(self._sentence[1:], self._sentences.count)
        starts, counts = self._sentence[rows], ends[rows] - self._sentence[rows]
        places = np.repeat(starts - np.append(0, np.cumsum(counts)[:-1]), counts)
        places += np.arange(len(places))
        firsts = np.append(0, np.cumsum(counts)[:-1])
        covered = worth @ self._sentences.present(words)[:, places]
        bm25 = self._sentences.bm25(asked)[places]
        return np.maximum.reduceat(bm25, firsts), np.maximum.reduceat(covered, firsts)

    def _near(self, words: Sequence[str], here: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """For each word the cosine of the nearest word of each row, (words, c); 1 if it is there.

        Words that stand in one chunk only are left out: as words they match anyway."""
        near = here.astype(np.float32)
        starts, ends = self._word_start[rows], self._word_start[rows + 1]
        filled = np.flatnonzero(ends > starts)
        if not len(filled) or not words:
            return near
        ids = np.concatenate([self._word_ids[starts[i] : ends[i]] for i in filled])
        firsts = np.concatenate([[0], np.cumsum((ends - starts)[filled])[:-1]])
        known, place = np.unique(ids, return_inverse=True)
        asked = self._vectors_of(words)
        cosines = asked @ self.word_vectors[known].T
        found = np.maximum.reduceat(cosines[:, place], firsts, axis=1)
        near[:, filled] = np.maximum(near[:, filled], np.clip(found, 0, 1))
        return near

    def _vectors_of(self, words: Sequence[str]) -> np.ndarray:
        """(words, any width); only words that are not in the vocabulary are embedded now."""
        unknown = [word for word in words if word not in self.number]
        fresh = iter(_unit(self.embed_words(unknown) - self._word_mean) if unknown else ())
        return np.stack(
            [
                self.word_vectors[self.number[word]] if word in self.number else next(fresh)
                for word in words
            ]
        )

    def _shared_numbers(self, text: str, rows: np.ndarray) -> np.ndarray:
        wanted = frozenset(_NUMBER.findall(text.lower()))
        shared = [len(wanted & self._numbers[row]) for row in rows] if wanted else [0] * len(rows)
        return np.array(shared, np.float32) / max(1, len(wanted))


def _unit(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)


def _above(near: np.ndarray) -> np.ndarray:
    """How far cosines lie above 0.3, where words begin to be related; 0 to 1."""
    return np.maximum(near - 0.3, 0) / 0.7


def _best(scores: np.ndarray, count: int) -> np.ndarray:
    """The rows of the `count` highest; among equal ones at the end, the first."""
    if count >= len(scores):
        return np.arange(len(scores))
    threshold = np.partition(scores, -count)[-count]
    above = np.flatnonzero(scores > threshold)
    return np.append(above, np.flatnonzero(scores == threshold)[: count - len(above)])


def _pairs(words: Sequence[str]) -> list[str]:
    return [f"{one} {other}" for one, other in pairwise(words)]


def _sentences(text: str) -> list[str]:
    """The sentences of a text, short ones joined to the one before."""
    found: list[str] = []
    for part in _SENTENCE_END.split(text):
        if found and min(len(part), len(found[-1])) < 40:
            found[-1] += f" {part}"
        else:
            found.append(part)
    return found
