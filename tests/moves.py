"""The moves between the states of a run, as the picture in `services.runs.states` has them."""

from __future__ import annotations

from services.runs.states import RunStatus

MOVES: frozenset[tuple[RunStatus, RunStatus]] = frozenset(
    {
        (RunStatus.GENERATING, RunStatus.GENERATED),
        (RunStatus.GENERATING, RunStatus.GENERATING_FAILED),
        (RunStatus.GENERATED, RunStatus.TRAINING),
        (RunStatus.GENERATED, RunStatus.GENERATING_FAILED),  # discarded in review
        (RunStatus.TRAINING, RunStatus.COMPLETED),
        (RunStatus.TRAINING, RunStatus.TRAINING_FAILED),
        (RunStatus.GENERATING_FAILED, RunStatus.GENERATING),
        (RunStatus.TRAINING_FAILED, RunStatus.TRAINING),
    }
)
