"""How far two judges agree, beyond what they would by chance. A pure function."""

from __future__ import annotations

from dataclasses import dataclass

from services.questions.pool import Judged

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


def agreement(one: Judged, other: Judged) -> Agreement:
    """Cohen's kappa (1960) on the chunks that both judged: (p - c) / (1 - c), where p is the share
    on which they agree, and c the share on which they would if each gave as many yeses as they did,
    but by chance."""
    both = [
        (says, other[key][chunk_id])
        for key, of in one.items()
        for chunk_id, says in of.items()
        if chunk_id in other.get(key, {})
    ]
    if not both:
        return Agreement(0, 0, None)
    agreed = sum(first == second for first, second in both)
    yes, other_yes = (sum(column) / len(both) for column in zip(*both, strict=True))
    by_chance = yes * other_yes + (1 - yes) * (1 - other_yes)
    if by_chance == 1:
        return Agreement(len(both), agreed, None)
    return Agreement(len(both), agreed, (agreed / len(both) - by_chance) / (1 - by_chance))
