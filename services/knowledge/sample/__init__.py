"""The sample knowledge base: documents of the fictional firm Tarnfell, and questions about them.

Both were written by hand. The questions are for measuring only: no generator sees them, and
nothing is trained on them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources

from services.knowledge.answers import chunks_that_hold
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
    own = (chunk for chunk in chunks if chunk.document == question.document)
    return chunks_that_hold(question.answer, own)
