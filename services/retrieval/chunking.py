"""Text to chunks.

semantic-text-splitter (Rust, no dependencies of its own) does the cutting: it splits at the highest
level of structure that fits (heading, paragraph, list item, sentence, word), so a word is cut only
if it alone is longer than a chunk.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from uuid import NAMESPACE_URL, uuid5

from semantic_text_splitter import MarkdownSplitter

from services.models import Chunk

CHUNK_CHARACTERS = 800
_NAMESPACE = uuid5(NAMESPACE_URL, "deep-memory-studio/chunk")


def split_into_chunks(text: str, document_id: str, document: str) -> list[Chunk]:
    """Return the chunks of `text`, in order and without overlap.

    A chunk has at most 800 characters, preceded by those headings (lines that begin with `#`) that
    would otherwise be a chunk of their own. The same text and document id give the same chunks with
    the same ids.
    """
    passages = _headings_with_their_text(MarkdownSplitter(CHUNK_CHARACTERS).chunks(text))
    return [
        Chunk(
            id=str(uuid5(_NAMESPACE, f"{document_id}/{position}")),
            document_id=document_id,
            document=document,
            position=position,
            text=passage,
        )
        for position, passage in enumerate(passages)
    ]


def _headings_with_their_text(passages: Iterable[str]) -> Iterator[str]:
    headings = ""
    for passage in passages:
        if len(headings) + len(passage) < CHUNK_CHARACTERS and _is_only_headings(passage):
            headings += f"{passage}\n\n"
        else:
            yield headings + passage
            headings = ""
    if headings:
        yield headings.rstrip()


def _is_only_headings(passage: str) -> bool:
    return all(line.startswith("#") for line in passage.splitlines() if line.strip())
