"""Where in a chunk a question is answered, for a person who reads many of them."""

from __future__ import annotations

import re

import numpy as np

from services.ranking.words import numbered_words

_BETWEEN = re.compile(r"(?<=[.!?])\s+|\s*\n\s*")


def answering_sentence(question: str, text: str) -> tuple[int, int]:
    """Where in `text` the sentence begins and ends that shares most words with `question`.

    A word counts the more, the fewer sentences of the text have it; of equals the shortest is
    taken. Headings count only where no other sentence shares a word. (0, 0) if none does.
    """
    spans = _sentences(text)
    if not spans:
        return 0, 0
    vocabulary, words, counts = numbered_words([question, *(text[a:b] for a, b in spans)])
    has = np.zeros((len(counts), len(vocabulary)), bool)
    has[np.repeat(np.arange(len(counts)), counts), words] = True
    asked, sentences = has[0], has[1:]
    rarity = np.log1p(len(spans) / np.maximum(sentences.sum(axis=0), 1))
    shared = (sentences & asked) @ rarity
    is_heading = np.array([text[start] == "#" for start, _ in spans])
    shared[is_heading] *= 1e-3
    lengths = np.array([end - start for start, end in spans])
    best = np.lexsort((lengths, -shared))[0]
    return spans[best] if shared[best] > 0 else (0, 0)


def _sentences(text: str) -> list[tuple[int, int]]:
    """Where each sentence or line begins and ends, without the white space around it."""
    spans, start = [], 0
    for gap in [*_BETWEEN.finditer(text), None]:
        end = gap.start() if gap else len(text)
        if text[start:end].strip():
            own = text[start:end]
            spans.append((start + len(own) - len(own.lstrip()), start + len(own.rstrip())))
        start = gap.end() if gap else end
    return spans
