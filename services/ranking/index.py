"""What a ranker looks at, built once for each version of a knowledge base."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cached_property
from hashlib import sha256
from typing import Any

import numpy as np

from services.ranking.context import Neighbours, in_context
from services.ranking.near_words import Embed, NearWords
from services.ranking.occurrences import ABSENT, Occurrences
from services.ranking.whitening import whitening
from services.ranking.words import numbered_words, words_of
from services.retrieval.nearest import VectorIndex

_SENTENCE_END = re.compile(r"(?<=[.!?;:])\s+|\n+")
_SHORT = 40  # characters: a shorter sentence is joined to the one before


class RankingIndex:
    """The chunks' vectors, alone and in context, and their words; see `signals`."""

    def __init__(
        self,
        plain: VectorIndex,
        texts: Sequence[str],
        documents: Sequence[Any],
        embed_words: Embed,
    ) -> None:
        """Row i of each argument is chunk i, in the order of its document: its vector, what is
        searched by words, and what names its document. `embed_words` embeds single words."""
        self.texts, self.document_of = texts, documents
        self.plain = plain
        self.context = VectorIndex(in_context(plain.vectors, documents))
        self.whitening = whitening(self.context.vectors)
        self.neighbours = Neighbours(documents)

        sentences = [_sentences(text) for text in texts]
        self.vocabulary, self.words, counts = numbered_words(
            [one for found in sentences for one in found]
        )
        self._number = {word: place for place, word in enumerate(self.vocabulary)}
        per_chunk = np.array([len(found) for found in sentences], np.int64)
        self.first_sentence = np.append(0, np.cumsum(per_chunk))  # (m + 1,)
        first_word = np.append(0, np.cumsum(counts))
        self.first_word = first_word[self.first_sentence]  # (m + 1,): into `words`
        sentence = np.repeat(np.arange(len(counts)), counts)
        chunk = np.repeat(np.arange(len(texts)), np.diff(self.first_word))
        size = len(self.vocabulary)
        self.sentences = Occurrences(self.words, sentence, size, len(counts))
        self.chunks = Occurrences(self.words, chunk, size, len(texts))
        self.documents = Occurrences(
            self.words, self.neighbours.document[chunk], size, self.neighbours.count
        )
        self.pairs = Pairs(self.words, chunk, size, len(texts))
        lengths = np.log1p(np.diff(self.first_word)).astype(np.float32)
        if len(lengths):
            lengths = (lengths - lengths.mean()) / max(float(lengths.std()), 1e-6)
        self.length = lengths  # (m,): of the logarithm of the words, how many deviations from usual
        self.near_words = NearWords(self.vocabulary, self.chunks.frequency, embed_words)

    def __len__(self) -> int:
        return len(self.texts)

    def key_of(self, row: int) -> str:
        """A key that chunk `row` has in every version of a knowledge base: its text decides."""
        return sha256(self.texts[row].encode()).hexdigest()

    @cached_property
    def row_of(self) -> dict[str, int]:
        """Key -> row. Of chunks with the same text, the first."""
        return {self.key_of(row): row for row in reversed(range(len(self)))}

    def numbers(self, words: Iterable[str]) -> list[int]:
        """The numbers of words in the vocabulary, or ABSENT."""
        return [self._number.get(word, ABSENT) for word in words]

    def bm25(self, text: str) -> np.ndarray:
        """BM25 of every chunk for a question, (m,) float32; 0: no word in common."""
        return self.chunks.bm25(self.numbers(words_of(text)))

    def words_in(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where the words of the chunks `rows` stand in `words`, and how many each has."""
        return spans(self.first_word[rows], self.first_word[rows + 1])


class Pairs:
    """How many chunks have each pair of adjacent words; pairs of a single chunk are not kept."""

    def __init__(self, words: np.ndarray, chunk: np.ndarray, vocabulary: int, chunks: int) -> None:
        self._vocabulary, self._chunks = vocabulary, chunks
        within = chunk[1:] == chunk[:-1]
        pairs = words[:-1].astype(np.int64)[within] * vocabulary + words[1:][within]
        both = np.unique(pairs * chunks + chunk[1:][within])
        self._pairs, frequency = np.unique(both // max(1, chunks), return_counts=True)
        several = frequency > 1
        self._pairs, self._frequency = self._pairs[several], frequency[several]
        self.mean_count = max(1.0, len(pairs) / max(1, chunks))

    def idf(self, first: int, second: int) -> float:
        """The inverse document frequency of a pair, at least that of a pair in one chunk."""
        pair = np.int64(first) * self._vocabulary + second
        place = np.searchsorted(self._pairs, pair)
        known = place < len(self._pairs) and self._pairs[place] == pair
        frequency = int(self._frequency[place]) if known else 1
        return float(np.log1p((self._chunks - frequency + 0.5) / (frequency + 0.5)))


def spans(starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All places from each start up to its end, one span after another, and each one's length."""
    counts = ends - starts
    shift = np.repeat(starts - np.append(0, np.cumsum(counts)[:-1]), counts)
    return shift + np.arange(len(shift)), counts


def _sentences(text: str) -> list[str]:
    """The sentences of a text, short ones joined to the one before; at least one."""
    found: list[str] = []
    for part in _SENTENCE_END.split(text):
        if found and min(len(part), len(found[-1])) < _SHORT:
            found[-1] += f" {part}"
        else:
            found.append(part)
    return found
