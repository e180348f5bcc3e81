"""Any number of chunks that read and embed like real ones, made from a few thousand real ones.

Random vectors would not do: they have no near neighbours, unlike any real knowledge base, and no
index searches them quickly. A synthetic document repeats the sentences of one real passage in each
of its chunks, every time in a different order and with a share of the words replaced: by words of
the whole collection at their natural frequency (Zipf's law), and by reference numbers that occur
once or twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np

CHUNKS_PER_DOCUMENT = 10
_REPLACED, _REFERENCES = 0.25, 0.02  # shares of the words
_WORDS_PER_CHUNK = 60


def varied_chunks(passages: Sequence[str], count: int, seed: int = 0) -> Iterator[str]:
    """Yield `count` texts; the same arguments give the same texts."""
    rng = np.random.default_rng(seed)
    sentences = [_sentences(passage) for passage in passages]
    words = np.array([word for passage in passages for word in passage.split()])
    for first in range(0, count, CHUNKS_PER_DOCUMENT):
        topic, aside = rng.integers(0, len(sentences), 2)
        told = sentences[topic] + sentences[aside][:2]
        for _ in range(min(CHUNKS_PER_DOCUMENT, count - first)):
            order = rng.permutation(len(told))
            text = np.array(" ".join(told[row] for row in order).split()[:_WORDS_PER_CHUNK])
            draw = rng.random(len(text))
            replaced = words[rng.integers(0, len(words), len(text))]
            text = np.where(draw < _REPLACED, replaced, text).tolist()
            for place in np.flatnonzero(draw < _REFERENCES):
                text[place] = f"R{rng.integers(0, count)}"
            yield " ".join(text)


def _sentences(passage: str) -> list[str]:
    return [sentence for sentence in re.split(r"(?<=[.!?])\s+", passage) if sentence]
