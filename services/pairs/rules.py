"""Rules about questions, defined only here: how long one is, which are the same, what answers."""

from __future__ import annotations

LONGEST_QUESTION = 2_000  # characters, as the database has it; people's longest have a few hundred


def question_key(question: str) -> str:
    """A key that is equal for the same question: case and white space make no difference.

    The database's function of this name ensures one such question per chunk of a run.
    """
    return " ".join(question.split()).casefold()


def is_relevant(score: float) -> bool:
    """Whether a chunk with this relevance answers its question: any above 0 does.

    Both trainers and all metrics treat relevance as binary: DeepLake's client accepts only whole
    numbers, and its service trains only on 1.
    """
    return score > 0
