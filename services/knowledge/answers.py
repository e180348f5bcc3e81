"""Finds the chunks that contain an answer, however the document was cut."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher

from services.models import Chunk


def chunks_that_hold(answer: str, chunks: Iterable[Chunk]) -> set[str]:
    """Return the ids of the chunks of one document that contain the whole answer.

    Where a chunk boundary runs through the answer, these are the chunks that contain at least half
    of it in one piece. Whitespace does not count.
    """
    answer = one_spaced(answer)
    texts = {chunk.id: one_spaced(chunk.text) for chunk in chunks}
    whole = {chunk_id for chunk_id, text in texts.items() if answer in text}
    return whole or {
        chunk_id
        for chunk_id, text in texts.items()
        if 2 * _longest_shared_run(answer, text) >= len(answer)
    }


def one_spaced(text: str) -> str:
    return " ".join(text.split())


def _longest_shared_run(answer: str, text: str) -> int:
    """Return the length in characters of the longest piece of `answer` found in `text`."""
    # autojunk would ignore characters that are common in a long text, which is nearly all of them.
    return SequenceMatcher(None, answer, text, autojunk=False).find_longest_match().size
