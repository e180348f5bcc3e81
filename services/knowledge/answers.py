"""Where an answer stands: the chunks that hold its words, however the document was cut."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher

from services.models import Chunk


def chunks_that_hold(answer: str, chunks: Iterable[Chunk]) -> set[str]:
    """Return the ids of the chunks of one document that hold the whole answer.

    Where a boundary runs through the answer, they are the chunks that hold at least half of it in
    one piece. White space does not count.
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
    # autojunk would drop every character that is common in a long text, which is all of them.
    return SequenceMatcher(None, answer, text, autojunk=False).find_longest_match().size
