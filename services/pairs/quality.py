"""Pairs that a person should review before training: repeated, leaking or unanswered questions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum

import numpy as np

from services.pairs.rules import question_key

NEAR_DUPLICATE_QUESTION = 0.95  # cosine above which two questions ask the same
ROUND_TRIP_DEPTH = 10
_BLOCK_SCORES = 16_000_000  # similarities held at once: 64 MB of float32

_PLACE = (
    r"passages?|paragraphs?|excerpts?|extracts?|snippets?|chunks?|texts?|contexts?|documents?|"
    r"articles?|sections?"
)
_SAID = r"mentioned|described|stated|discussed|explained|outlined|presented|listed|shown"
_SAYS = (
    r"say|state|mention|describe|discuss|explain|outline|present|tell|talk|suggest|indicate|define"
)
# Not "the text of the treaty" or "the section on returns", which say which one they mean.
_UNNAMED = rf"the (?:{_PLACE})\b(?! (?:of|on|about|for|that|which)\b)"
_GIVES_ITSELF_AWAY = re.compile(
    rf"\b(?:in|from|by|to|of|on|does|do|is|are) (?:this|the (?:given|above|provided|following|"
    rf"preceding)) (?:{_PLACE})\b"
    rf"|\b(?:according to|based on|(?:{_SAID}|covered|defined|given|provided) (?:in|by)) "
    rf"(?:{_UNNAMED}|this (?:{_PLACE})\b|(?:the|this) authors?\b)"
    rf"|^in {_UNNAMED}"
    rf"|\b(?:does|do|did) {_UNNAMED} (?:{_SAYS})\b"
    rf"|\bis {_UNNAMED} (?:mainly |mostly |primarily )?about\b"
    rf"|\b(?:(?:main|central|primary|key|overall) \w+|topic|theme|gist) of {_UNNAMED}"
    r"|\bthe (?:passage|excerpt|snippet|chunk|author|authors)\b"
    rf"|\b(?:{_SAID}) (?:above|below|here)\b"
    r"|\b(?:information|details|facts|advice|instructions) (?:is|are) (?:given|provided) "
    r"(?:above|below|here)\b",
    re.IGNORECASE,
)
_ASKS_LITTLE = re.compile(
    r"^(?:what (?:is|are) (?:known|said) about|how (?:is|are) .+ related to|when it comes to)\b",
    re.IGNORECASE,
)


class Flag(StrEnum):
    DUPLICATE = "duplicate"  # the same words as an earlier question about the same chunk
    NEAR_DUPLICATE = "near duplicate"  # asks the same as an earlier pair of the same chunk
    GIVES_ITSELF_AWAY = "gives itself away"  # speaks of "this passage" or "the author"
    ASKS_LITTLE = "asks little"  # names a topic only, as the offline writer did before 2026-11
    NOT_ANSWERED = "not answered"  # searching for the question does not find its own chunk


def flag_pairs(
    questions: Sequence[str],
    chunk_rows: Sequence[int],
    question_vectors: np.ndarray,
    chunk_vectors: np.ndarray,
) -> list[frozenset[Flag]]:
    """Return the flags of each pair; an empty set means that nothing is doubtful.

    Pair i asks `questions[i]`, embedded in row i of `question_vectors` (n, width), of the chunk in
    row `chunk_rows[i]` of `chunk_vectors` (m, width). All vectors are normalised.
    """
    flagged = {
        Flag.DUPLICATE: duplicates(questions, chunk_rows),
        Flag.NEAR_DUPLICATE: near_duplicates(question_vectors, chunk_rows),
        Flag.GIVES_ITSELF_AWAY: {
            row for row, question in enumerate(questions) if gives_itself_away(question)
        },
        Flag.ASKS_LITTLE: {row for row, question in enumerate(questions) if asks_little(question)},
        Flag.NOT_ANSWERED: not_answered(question_vectors, chunk_vectors, chunk_rows),
    }
    flagged[Flag.NEAR_DUPLICATE] -= flagged[Flag.DUPLICATE]
    return [
        frozenset(flag for flag, rows in flagged.items() if row in rows)
        for row in range(len(questions))
    ]


def duplicates(questions: Sequence[str], chunk_rows: Sequence[int]) -> set[int]:
    """The questions that repeat an earlier one about the same chunk, except for case, spaces and
    punctuation. About another chunk they are allowed: several chunks may answer a question."""
    asked: set[tuple[int, str]] = set()
    repeated = set()
    for row, (question, chunk) in enumerate(zip(questions, chunk_rows, strict=True)):
        words = " ".join(re.findall(r"\w+", question_key(question)))
        if (chunk, words) in asked:
            repeated.add(row)
        asked.add((chunk, words))
    return repeated


def near_duplicates(
    question_vectors: np.ndarray,
    chunk_rows: Sequence[int],
    threshold: float = NEAR_DUPLICATE_QUESTION,
) -> set[int]:
    """The questions that say nearly the same as an earlier one about the same chunk.

    Similar questions about different chunks are allowed: reports repeat the same for each year.
    """
    rows_of: dict[int, list[int]] = {}
    repeated = set()
    for row, chunk in enumerate(chunk_rows):
        earlier = rows_of.setdefault(chunk, [])
        if earlier and (question_vectors[earlier] @ question_vectors[row]).max() >= threshold:
            repeated.add(row)
        earlier.append(row)
    return repeated


def gives_itself_away(question: str) -> bool:
    """Whether the question refers to its source, as only somebody who has read it would."""
    return _GIVES_ITSELF_AWAY.search(question) is not None


def asks_little(question: str) -> bool:
    """Whether the question names a topic and asks nothing of it: "What is said about fees?"."""
    return _ASKS_LITTLE.search(question) is not None


def not_answered(
    question_vectors: np.ndarray,
    chunk_vectors: np.ndarray,
    chunk_rows: Sequence[int],
    depth: int = ROUND_TRIP_DEPTH,
) -> set[int]:
    """The questions that do not find their own chunk among the first `depth` results.

    Round-trip consistency (Alberti et al., 2019), with search in place of the reader.
    """
    rows = np.asarray(chunk_rows, np.int64)
    lost: set[int] = set()
    step = max(1, _BLOCK_SCORES // max(1, len(chunk_vectors)))
    for start in range(0, len(rows), step):
        own = rows[start : start + step]
        scores = question_vectors[start : start + step] @ chunk_vectors.T
        better = np.count_nonzero(scores > scores[np.arange(len(own)), own][:, None], axis=1)
        lost.update((start + np.flatnonzero(better >= depth)).tolist())
    return lost
