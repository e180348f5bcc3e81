"""How doubtful each pair is: which of them a person should review first, as a wrong one harms.

A wrong pair teaches that a chunk answers what it does not. What shows it is that another chunk
suits the question better: by words, their BM25 as a share of what the question's words are worth,
and by meaning, the cosine in context. On people's questions with planted errors the words say most,
the cosine adds to them, and a whole ranker says little more for ten times the work: see
`python -m benchmarks.review` and docs/benchmarks.md.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import numpy as np

from services.pairs.quality import Flag
from services.pairs.rules import question_key
from services.ranking.index import RankingIndex
from services.ranking.words import numbered_words
from services.retrieval.embeddings import normalised

_OF_MEANING = np.float32(0.5)  # the weight of the cosine beside the share of the words
_OF_A_FLAG = 0.2  # about what lies between a right pair and a wrong one
_SAY_MORE = frozenset(
    {Flag.DUPLICATE, Flag.NEAR_DUPLICATE, Flag.GIVES_ITSELF_AWAY, Flag.ASKS_LITTLE}
)
_AT_ONCE = 256  # questions: 20 MB of scores for 20,000 chunks

Progress = Callable[[float], object]  # the share done, from 0 to 1


def doubts(
    questions: Sequence[str],
    chunk_rows: Sequence[int],
    question_vectors: np.ndarray,
    index: RankingIndex,
    on_progress: Progress | None = None,
) -> np.ndarray:
    """By how much the best other chunk suits each question better than its own, (n,); below 0 if
    its own suits it best.

    Pair i asks `questions[i]`, embedded in row i of `question_vectors` (n, width), of chunk
    `chunk_rows[i]` of `index`. Other chunks of which the same is asked are no rivals.
    """
    answers: dict[str, list[int]] = {}
    for question, row in zip(questions, chunk_rows, strict=True):
        answers.setdefault(question_key(question), []).append(row)
    found = np.zeros(len(questions), np.float32)
    for first in range(0, len(questions), _AT_ONCE):
        asked = questions[first : first + _AT_ONCE]
        scores = _scores(asked, question_vectors[first : first + _AT_ONCE], index)
        for line, question in enumerate(asked):
            own = scores[line, chunk_rows[first + line]]
            scores[line, answers[question_key(question)]] = -1  # less than any chunk has
            found[first + line] = scores[line].max() - own
        if on_progress is not None:
            on_progress((first + len(asked)) / len(questions))
    return found


def first_to_review(margin: float, flags: Collection[Flag]) -> float:
    """What pairs are ordered by, the highest first: the doubt, and more for each flag that says
    something else than that another chunk suits better."""
    return margin + _OF_A_FLAG * len(_SAY_MORE.intersection(flags))


def _scores(questions: Sequence[str], vectors: np.ndarray, index: RankingIndex) -> np.ndarray:
    """How well each chunk suits each question, (n, m)."""
    meaning = normalised(vectors @ index.whitening) @ index.context.vectors.T
    scores = _OF_MEANING * meaning
    vocabulary, words, counts = numbered_words(questions)
    numbers = np.array(index.numbers(vocabulary), np.int64)
    ends = np.cumsum(counts)
    for line, (end, count) in enumerate(zip(ends, counts, strict=True)):
        own = numbers[words[end - count : end]].tolist()
        worth = float(index.chunks.worth(own).sum())
        scores[line] += index.chunks.bm25(own) / max(worth, 1e-6)
    return scores
