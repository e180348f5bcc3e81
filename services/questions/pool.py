"""Which chunks to judge, and in which order: those that a judgement of changes most come first.

As in TREC's pooling, the chunks to judge are the first ten of each ranking (Spärck Jones and van
Rijsbergen, 1975). A chunk is worth what it would gain in nDCG@10 if it answered, in both lists
together, as judgements are aimed by Moffat, Webber and Zobel (2007), and more if a neighbour of it
answers, because answers run across the borders of chunks, and if the question counts as lost.
docs/retrieval.md says how many planted answers this finds. Everything is a pure function.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import log2

from services.pairs.rules import question_key

POOL_DEPTH = 10  # the same as in the measures
_BESIDE = 2.0  # as much as to be first in both lists
_LOST = 0.5
_IN_A_ROUND = 20  # of these, the chunks of one question are judged together

Judged = Mapping[str, Mapping[str, bool]]  # question key -> chunk id -> whether it answers


@dataclass(frozen=True, slots=True)
class RankedQuestion:
    """One question with its first ten chunks, best first, by id, and those that the set names."""

    text: str
    without: tuple[str, ...]  # without training
    with_: tuple[str, ...]  # with the trained model
    answers: frozenset[str]

    @property
    def key(self) -> str:
        return question_key(self.text)

    @property
    def pool(self) -> list[str]:
        """All chunks of both lists, once each."""
        return list(dict.fromkeys(self.without + self.with_))


@dataclass(frozen=True, slots=True)
class Unjudged:
    """A chunk that nobody judged for this question; ranks are None beyond the first ten."""

    question: str
    chunk_id: str
    rank_without: int | None
    rank_with: int | None
    worth: float


def unjudged(
    questions: Sequence[RankedQuestion],
    judged: Judged,
    places: Mapping[str, tuple[str, int]],
    latest: str = "",
) -> list[Unjudged]:
    """All chunks to judge, the most worthwhile first.

    `places` has the document and the position of each chunk. Of the first twenty, those of one
    question stand together, so that a question is read once: first those of the question `latest`,
    which the person has just read.
    """
    found = [one for question in questions for one in _of(question, judged, places)]
    found.sort(key=lambda one: (-one.worth, one.question, one.chunk_id))
    first, later = found[:_IN_A_ROUND], found[_IN_A_ROUND:]
    turns = list(dict.fromkeys(one.question for one in first))
    if latest in turns:
        turns.insert(0, latest)
    return sorted(first, key=lambda one: turns.index(one.question)) + later


def _of(
    question: RankedQuestion, judged: Judged, places: Mapping[str, tuple[str, int]]
) -> list[Unjudged]:
    said = judged.get(question.key, {})
    answers = question.answers | {chunk_id for chunk_id, is_one in said.items() if is_one}
    beside = {
        (document, position + step)
        for document, position in (places[id_] for id_ in answers if id_ in places)
        for step in (-1, 1)
    }
    lost = 1 - max((max(_gains(question, id_)) for id_ in answers), default=0.0)
    return [
        Unjudged(
            question.text,
            chunk_id,
            _rank(question.without, chunk_id),
            _rank(question.with_, chunk_id),
            sum(_gains(question, chunk_id))
            + _BESIDE * (places.get(chunk_id) in beside)
            + _LOST * lost,
        )
        for chunk_id in question.pool
        if chunk_id not in said and chunk_id not in question.answers
    ]


def _gains(question: RankedQuestion, chunk_id: str) -> tuple[float, float]:
    """What nDCG counts for the chunk in each list, from 1 at rank 1 to 0 beyond the first ten."""
    ranks = _rank(question.without, chunk_id), _rank(question.with_, chunk_id)
    without, with_ = (1 / log2(rank + 1) if rank else 0.0 for rank in ranks)
    return without, with_


def _rank(ids: Sequence[str], chunk_id: str) -> int | None:
    return ids.index(chunk_id) + 1 if chunk_id in ids else None


def count_judged(questions: Collection[RankedQuestion], judged: Judged) -> tuple[int, int]:
    """How many chunks of these questions were judged, and how many of them answer."""
    said = [is_one for one in questions for is_one in judged.get(one.key, {}).values()]
    return len(said), sum(said)
