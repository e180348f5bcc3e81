"""Two rules about pairs, each said here alone: when questions are the same, and what counts."""

from __future__ import annotations


def question_key(question: str) -> str:
    """Equal for questions that are the same: case and white space make no difference.

    The database's function of this name keeps one such question for each chunk of a run.
    """
    return " ".join(question.split()).casefold()


def is_relevant(score: float) -> bool:
    """Whether a chunk with this relevance answers its question: any above 0 does.

    Both trainers and all measures take a chunk as an answer or not: DeepLake's client takes whole
    numbers only, and its service trains on 1 alone.
    """
    return score > 0
