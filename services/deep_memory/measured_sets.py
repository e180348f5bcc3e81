"""The sets of questions that a run was measured on, and which of them makes the headline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.deep_memory.test_sets import FROM_SEARCHES, SAMPLE_TEST_SET
from services.deep_memory.verdicts import FEWEST_TO_PROVE

HELD_OUT = "Held-out questions"


@dataclass(frozen=True, slots=True)
class MeasuredSet:
    """One set of questions, with what `compared` says of it."""

    name: str
    questions: int
    figures: Mapping[str, Any]

    @property
    def is_by_people(self) -> bool:
        if self.name != HELD_OUT:
            return True
        return 0 < self.questions == self.figures.get("held_out_imported", 0)

    @property
    def is_enough(self) -> bool:
        """Whether there are enough questions to say anything."""
        return self.questions >= FEWEST_TO_PROVE

    @property
    def described(self) -> str:
        """How many questions, and who wrote them: to follow "on"."""
        count = f"{self.questions:,} "
        match self.name:
            case _ if self.name == HELD_OUT and self.is_by_people:
                return f"{count}held-out questions that people brought"
            case _ if self.name == HELD_OUT:
                imported = self.figures.get("held_out_imported", 0)
                but = f" but for {imported:,}" if imported else ""
                return f"{count}held-out questions that the app wrote itself{but}"
            case name if name == SAMPLE_TEST_SET:
                return f"{count}hand-written questions of the sample"
            case name if name == FROM_SEARCHES:
                return f"{count}questions that people searched for"
        return f"{count}questions of people, “{self.name}”"


def measured_sets(metrics: Mapping[str, Any]) -> list[MeasuredSet]:
    """The sets in a completed run's `metrics`, the best kind first; of one kind, the largest first.

    Questions that people brought or asked, the sample's, then the held-out ones. None for a run
    that was not measured.
    """
    if "verdict" not in metrics:
        return []
    held_out = MeasuredSet(HELD_OUT, metrics["held_out_questions"], metrics)
    sets = [
        MeasuredSet(kept["name"], kept["questions"], kept) for kept in metrics.get("test_sets", [])
    ]
    of_people = sorted(sets, key=lambda one: (one.name == SAMPLE_TEST_SET, -one.questions))
    return [*of_people, held_out]


def headline(sets: Sequence[MeasuredSet]) -> MeasuredSet:
    """The first of `measured_sets` that has enough questions; of none, the last."""
    return next((one for one in sets if one.is_enough), sets[-1])
