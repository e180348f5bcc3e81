"""The sample knowledge base: documents of the fictional firm Tarnfell, and questions about them.

Both were written by hand. The questions are for measuring only: no generator sees them, and
nothing is trained on them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import SequenceMatcher
from importlib import resources

from services.models import Chunk

_FOLDER = resources.files(__name__)


@dataclass(frozen=True, slots=True)
class SampleQuestion:
    """A question as an analyst asks it, and the words of `document` that answer it."""

    id: str
    question: str
    document: str  # the file's name, as `sample_documents` gives it
    answer: str  # verbatim, within one paragraph, and in no other document


def sample_documents() -> list[tuple[str, bytes]]:
    """Return (file name, Markdown as UTF-8) of every sample document, in order of name."""
    files = (file for file in (_FOLDER / "documents").iterdir() if file.name.endswith(".md"))
    return sorted((file.name, file.read_bytes()) for file in files)


def sample_questions() -> list[SampleQuestion]:
    """Return the questions in the order of their ids."""
    lines = (_FOLDER / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    return [SampleQuestion(**json.loads(line)) for line in lines]


def relevant_chunks(question: SampleQuestion, chunks: Iterable[Chunk]) -> set[str]:
    """Return the ids of the chunks that answer the question, however the document was cut.

    These are the chunks of its document that hold the whole answer. Where a boundary runs through
    the answer, they are the chunks that hold at least half of it in one piece. White space does not
    count. The set is empty when the document is not among the chunks.
    """
    answer = _one_spaced(question.answer)
    texts = {
        chunk.id: _one_spaced(chunk.text) for chunk in chunks if chunk.document == question.document
    }
    whole = {chunk_id for chunk_id, text in texts.items() if answer in text}
    return whole or {
        chunk_id
        for chunk_id, text in texts.items()
        if 2 * _longest_shared_run(answer, text) >= len(answer)
    }


def _one_spaced(text: str) -> str:
    return " ".join(text.split())


def _longest_shared_run(answer: str, text: str) -> int:
    """Return the length in characters of the longest piece of `answer` found in `text`."""
    # autojunk would drop every character that is common in a long text, which is all of them.
    return SequenceMatcher(None, answer, text, autojunk=False).find_longest_match().size
