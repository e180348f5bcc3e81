"""Plain text: paragraphs between empty lines, as they are written."""

from __future__ import annotations

import re
from collections.abc import Iterator

from services.reading.blocks import Block, Source
from services.reading.decoding import stream_of

_HEADING = re.compile(r"(#{1,6})\s+(\S.*?)\s*#*\s*")
_LINES_BETWEEN_PROGRESS = 1_000


def read(source: Source) -> Iterator[Block]:
    """A line that begins with `#` is a heading only between empty lines: else it is a comment.

    Raises:
        DocumentRejected: it is no text.
    """
    lines: list[str] = []
    done = 0
    for number, line in enumerate(stream_of(source.name, source.content, newline=None)):
        done += len(line)
        if number % _LINES_BETWEEN_PROGRESS == 0:
            source.progress(min(1.0, done / len(source.content)))
        for page, part in enumerate(line.split("\f")):
            if lines and (page or not part.strip()):
                yield paragraph(lines)
                lines = []
            if part.strip():
                lines.append(part.rstrip())
    if lines:
        yield paragraph(lines)


def paragraph(lines: list[str]) -> Block:
    """Lines without an empty one between them: a heading, or text."""
    if len(lines) == 1 and (match := _HEADING.fullmatch(lines[0])):
        return Block("heading", match[2], level=len(match[1]))
    return Block("text", "\n".join(lines))
