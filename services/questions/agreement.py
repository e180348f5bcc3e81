"""How far two judges agree, beyond what they would by chance. A pure function."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

FEWEST_TO_TRUST = 20  # chunks that both judged; below, kappa says little


@dataclass(frozen=True, slots=True)
class Agreement:
    """`kappa` is 1 for full agreement and 0 for that of chance; None where it is not defined:
    nothing was judged by both, or both always said the same one thing."""

    judged_by_both: int
    agreed: int
    kappa: float | None

    @property
    def is_enough(self) -> bool:
        return self.judged_by_both >= FEWEST_TO_TRUST


def agreement(both: Sequence[tuple[bool, bool]]) -> Agreement:
    """Cohen's kappa (1960) of what two judges said about the same chunks: (p - c) / (1 - c), where
    p is the share on which they agree, and c the share on which they would if each said yes as
    often as they did, but by chance."""
    if not both:
        return Agreement(0, 0, None)
    agreed = sum(first == second for first, second in both)
    yes, other_yes = (sum(column) / len(both) for column in zip(*both, strict=True))
    by_chance = yes * other_yes + (1 - yes) * (1 - other_yes)
    if by_chance == 1:
        return Agreement(len(both), agreed, None)
    return Agreement(len(both), agreed, (agreed / len(both) - by_chance) / (1 - by_chance))
