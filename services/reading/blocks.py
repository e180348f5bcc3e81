"""What every reader makes of a file: a stream of blocks in reading order. No I/O here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Literal

Kind = Literal["heading", "text", "code", "row"]


@dataclass(frozen=True, slots=True)
class Block:
    """One piece of a document.

    `text` is as a person would read it; nothing in it is escaped.

    - heading: one line, without `#`; `level` runs from 1 to 6.
    - text: a paragraph, or a whole list with an item on each line ("- ", "1. ").
    - code: the lines of a code block, without its fence; `language` if it is known.
    - row: one row of a table. The consecutive rows of a table have the same `header`, the line or
      lines to show above them ("" if each row names its columns itself, as "column: value" lines).
    """

    kind: Kind
    text: str
    level: int = 0
    page: int | None = None  # the page, slide or sheet on which it begins, from 1
    header: str = ""
    language: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """A document as it was read."""

    name: str
    blocks: tuple[Block, ...]
    notes: tuple[str, ...] = ()  # what a person should know: "9 of 10 pages hold no text: 2-10"


@dataclass(slots=True)
class Source:
    """A file to be read, and what its reader may say meanwhile."""

    name: str
    content: bytes
    kind: str = ""  # the extension that says how it is read, where the name does not
    notes: list[str] = field(default_factory=list)
    on_progress: Callable[[float], None] = lambda share: None

    @property
    def extension(self) -> str:
        """In small letters, with its dot."""
        return self.kind or PurePath(self.name).suffix.lower()

    def note(self, text: str) -> None:
        """Tell the person what was left out, or what else is worth knowing. A short clause."""
        self.notes.append(text)

    def progress(self, share: float) -> None:
        """Say how much of the file is read, from 0 to 1. Call it often: it also shows that
        reading goes on, and a reader that shows nothing for 7 seconds of CPU time is ended."""
        self.on_progress(share)
