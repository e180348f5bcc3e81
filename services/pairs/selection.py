"""Which pairs of a run a person wants to see, in which order, and how many are in each state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from services.models import Review
from services.pairs.quality import Flag


class Order(StrEnum):
    DOUBT = "doubt"  # what matters most to the model first, see doubt.py; unchecked pairs last
    CHUNK = "chunk"  # those of a chunk together


@dataclass(frozen=True, slots=True)
class Selection:
    """Every condition must hold. Without a `review`, all but dropped pairs."""

    review: Review | None = None
    is_edited: bool = False
    flag: Flag | None = None
    is_flagged: bool = False  # with any flag
    search: str = ""  # in the question
    order: Order = Order.CHUNK


ALL = Selection()


@dataclass(frozen=True, slots=True)
class ReviewCounts:
    """How many pairs of a run are in each state. `flagged` and `flags` are of those to review."""

    to_review: int
    kept: int
    dropped: int
    edited: int  # of those that are not dropped
    flagged: int
    unchecked: int  # of all: no check, or one on another version of the knowledge base
    flags: Mapping[str, int]

    @property
    def total(self) -> int:
        return self.to_review + self.kept + self.dropped

    @property
    def reviewed(self) -> int:
        return self.kept + self.dropped
