"""Training questions as people would ask them, where a writer repeated the words of the chunk."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from services.ranking.index import RankingIndex
from services.ranking.words import words_of
from services.retrieval.nearest import best_rows

# People's questions have 21 to 67% of their words, by rarity, in common with their answer, those of
# the offline writer 84 to 92% (docs/retrieval.md).
_REPEATS_WORDS = 0.75
_LOOKED_AT = 300  # questions
_CHANGED = 0.2, 0.8  # of the words of a question, at least and at most
_REPLACED = 0.6  # of the words that are changed; the others are left out
_POOL = 20_000  # words among which a replacement is looked for
_NEAREST = 8
_RELATED, _SAME = 0.4, 0.95  # cosines between which a word can stand for another


def repeat_words(
    texts: Sequence[str], relevant: Sequence[Sequence[int]], index: RankingIndex
) -> bool:
    """Whether the questions repeat the words of their answers, as those written by rule do."""
    looked_at = list(zip(texts, relevant, strict=True))[:_LOOKED_AT]
    shares = [_share_in_answer(text, answers, index) for text, answers in looked_at]
    return float(np.mean(shares)) >= _REPEATS_WORDS


def _share_in_answer(text: str, answers: Sequence[int], index: RankingIndex) -> float:
    """The share of a question's words, weighted by rarity, that its answer has; 0 of no words."""
    numbers = index.numbers(dict.fromkeys(words_of(text)))
    worth = index.chunks.worth(numbers)
    found = index.chunks.gains(numbers, np.array(answers)) > 0
    return float((worth @ found).max() / max(float(worth.sum()), 1e-6))


def harder(texts: Sequence[str], index: RankingIndex, seed: int = 0) -> list[str]:
    """Written questions in other words, or fewer.

    In each question a share of the words that chunks have is changed: most become a related word of
    the knowledge base by their vectors (compare thesaurus augmentation, Zhang et al., 2015), the
    others are left out (word dropout, Iyyer et al., 2015). The results are for the trainer, not for
    people: they are not good English.
    """
    rng = np.random.default_rng(seed)
    pool = rng.permutation(index.near_words.words)[:_POOL]
    vectors = index.near_words.vectors[index.near_words.place[pool]]
    made = []
    for text in texts:
        share, words = rng.uniform(*_CHANGED), []
        for word in text.rstrip("?").split():
            [number] = index.numbers(words_of(word)[:1] or [""])
            if number < 0 or rng.random() >= share:
                words.append(word)
            elif index.near_words.place[number] >= 0 and rng.random() < _REPLACED:
                near = vectors @ index.near_words.vectors[index.near_words.place[number]]
                best = best_rows(near, _NEAREST + 1)
                related = best[(near[best] > _RELATED) & (near[best] < _SAME)]
                if len(related):
                    words.append(index.vocabulary[pool[rng.choice(related)]])
        made.append(" ".join(words) + "?")
    return made
