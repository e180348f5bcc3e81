"""Blocks to chunks: passages that can be understood alone.

semantic-text-splitter (Rust, no dependencies of its own) cuts what is longer than a chunk, at the
highest level of structure that fits (paragraph, line, sentence, word), so a word is cut only if it
alone is longer than a chunk.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import takewhile
from uuid import NAMESPACE_URL, uuid5

from semantic_text_splitter import TextSplitter

from services.models import Chunk
from services.reading.blocks import Block

CHUNK_CHARACTERS = 800
CODE_CHARACTERS = 4_000  # cut, code says little; longer listings are cut between lines
_LONGEST_HEADING = 300
_WINDOW = 20 * CHUNK_CHARACTERS  # of a long text, cut at once
_LEAST_ROOM = CHUNK_CHARACTERS // 2  # a paragraph is not cut to fill less
_NAMESPACE = uuid5(NAMESPACE_URL, "deep-memory-studio/chunk")

Path = tuple[tuple[int, str], ...]  # (level, title) of the headings above a passage


def split_into_chunks(blocks: Iterable[Block], document_id: str, document: str) -> list[Chunk]:
    """Return the chunks of a document, in order and without overlap.

    - A chunk has at most 800 characters of text, preceded by the headings that begin with it.
      Sections that fit into one chunk share it, unless one of them is above the first.
    - A heading is a chunk of its own only if the document has nothing else.
    - A code block stays whole, with its fence, up to 4,000 characters.
    - The header of a table is repeated in each chunk that has rows of it.
    - `heading_path` names the headings that all of a chunk is below; `page` is where it begins.

    The same blocks and document id give the same chunks with the same ids.
    """
    return [
        Chunk(
            id=str(uuid5(_NAMESPACE, f"{document_id}/{position}")),
            document_id=document_id,
            document=document,
            position=position,
            text="".join(passage.parts),
            heading_path=tuple(title for _, title in passage.path),
            page=passage.page,
        )
        for position, passage in enumerate(_passages(blocks))
    ]


@dataclass(slots=True)
class _Section:
    """Some text, and the headings that begin with it: its own, and any without text before it."""

    path: Path
    headings: list[Block] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)

    def fits(self, room: int) -> bool:
        size = 0
        for block in self.blocks:
            size += len(block.text) + len(block.header)
            if size > room:
                return False
        return True


@dataclass(slots=True)
class _Passage:
    """A chunk while it is filled."""

    path: Path
    page: int | None
    top: int  # the highest level of heading that it may go on with; 1 is the highest of all
    parts: list[str] = field(default_factory=list)
    size: int = 0  # characters of what is not a heading
    header: str | None = None  # of the table whose row comes last

    @property
    def room(self) -> int:
        return CHUNK_CHARACTERS - self.size

    def begin(self, heading: str) -> None:
        self.parts += ["\n\n", heading] if self.parts else [heading]

    def put(self, text: str, between: str = "\n\n") -> None:
        self.parts += [between, text] if self.parts else [text]
        self.size += len(text) + (len(between) if self.size else 0)


def _passages(blocks: Iterable[Block]) -> Iterator[_Passage]:
    current: _Passage | None = None
    for section in _sections(blocks):
        begins = section.headings[0] if section.headings else None
        if current is not None and section.blocks:
            if begins is None or begins.level < current.top or not section.fits(current.room):
                yield current
                current = None
            else:
                current.path = _shared(current.path, section.path)
        if current is None:
            page = (begins or section.blocks[0]).page
            current = _Passage(section.path, page, begins.level if begins else 1)
        for heading in section.headings:
            current.begin(f"{'#' * heading.level} {heading.text}")
        for block in section.blocks:
            for piece in _pieces(block, current.room):
                if current.size and len(piece) > current.room:
                    yield current
                    current = _Passage(section.path, block.page, _level(section.path) + 1)
                _add(current, block, piece)
    if current is not None:
        yield current


def _sections(blocks: Iterable[Block]) -> Iterator[_Section]:
    section = _Section(())
    for block in blocks:
        if block.kind != "heading" or len(block.text) > _LONGEST_HEADING:
            section.blocks.append(block)
            continue
        if section.blocks:
            yield section
            section = _Section(section.path)
        elif sum(len(heading.text) for heading in section.headings) > CHUNK_CHARACTERS:
            yield _Section(section.path, [], section.headings)  # a list of headings is a text
            section = _Section(section.path)
        section.path = (*_above(section.path, block.level), (block.level, block.text))
        section.headings.append(block)
    if section.blocks or section.headings:
        yield section


def _pieces(block: Block, room: int) -> Iterator[str]:
    """The text of a block, cut where it is longer than a chunk; the first piece fills `room`."""
    if block.kind == "heading":
        yield f"{'#' * block.level} {block.text}"
    elif block.kind == "code":
        fence = _fence(block.text)
        is_whole = len(block.text) + len(block.language) + 2 * len(fence) + 2 <= CODE_CHARACTERS
        lines = [block.text] if is_whole else _cut(block.text, trim=False)
        for part in lines:
            code = part.strip("\n")
            yield f"{fence}{block.language}\n{code}\n{fence}"
    elif len(block.text) <= CHUNK_CHARACTERS:
        yield block.text
    else:
        first = room if room >= _LEAST_ROOM else CHUNK_CHARACTERS
        [(_, piece), *more] = _splitter(first).chunk_indices(block.text[:_WINDOW])
        yield piece
        yield from _cut(block.text[more[0][0] if more else _WINDOW :])


def _cut(text: str, *, trim: bool = True) -> Iterator[str]:
    """A text in pieces of a chunk. It is cut window by window, because the time that the splitter
    takes grows with the square of a text's length."""
    splitter = _splitter(CHUNK_CHARACTERS, trim=trim)
    start = 0
    while start < len(text):
        found = splitter.chunk_indices(text[start : start + _WINDOW])
        start += _WINDOW
        if start < len(text) and found and found[-1][0] > 0:
            start += found[-1][0] - _WINDOW  # the last piece may go on beyond the window
            found.pop()
        yield from (piece for _, piece in found)


def _add(passage: _Passage, block: Block, piece: str) -> None:
    is_row = block.kind == "row"
    if is_row and block.header and block.header != passage.header:
        passage.put(block.header)
        passage.header = block.header
    goes_on = is_row and block.header == passage.header
    passage.put(piece, "\n" if goes_on and block.header else "\n\n")
    passage.header = block.header if is_row else None


def _fence(code: str) -> str:
    return "`" * max(3, 1 + max(map(len, re.findall("`{3,}", code)), default=0))


@cache
def _splitter(characters: int, *, trim: bool = True) -> TextSplitter:
    return TextSplitter(characters, trim=trim)


def _level(path: Path) -> int:
    return path[-1][0] if path else 0


def _above(path: Path, level: int) -> Path:
    return tuple(takewhile(lambda heading: heading[0] < level, path))


def _shared(one: Path, other: Path) -> Path:
    """The headings that both are below."""
    pairs = takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    return tuple(heading for heading, _ in pairs)
