"""What the body of a Word document refers to, and a paragraph of it while it is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from services.reading.blocks import Block
from services.reading.docx_styles import Numbering, Style


@dataclass(slots=True)
class Surroundings:
    """What a body refers to."""

    styles: Mapping[str, Style] = field(default_factory=dict)
    numbering: Numbering = field(default_factory=Numbering)
    footnotes: Mapping[str, str] = field(default_factory=dict)
    endnotes: Mapping[str, str] = field(default_factory=dict)
    diagrams: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Paragraph:
    parts: list[str] = field(default_factory=list)
    style: str = ""
    outline: int | None = None
    numbering: str | None = None
    depth: int | None = None
    is_joined: bool = False  # its end was deleted: the next one goes on from here
    has_page_number: bool = False
    boxes: list[Block] = field(default_factory=list)
    notes: list[Block] = field(default_factory=list)
