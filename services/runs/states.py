"""The states of a training run and the moves between them: the one place that names them.

    generating -> generated -> training -> completed
         |                        |
    generating_failed        training_failed
         |                        |
    generating (proceed)     training (proceed)

The database holds the same list and guards the moves (supabase/schema.sql);
tests/test_migrations.py fails if it differs from this module or from tests/moves.py.
"""

from __future__ import annotations

from enum import StrEnum


class RunStatus(StrEnum):
    GENERATING = "generating"  # a worker is writing questions for the chunks
    GENERATED = "generated"  # every chunk is done; the pairs await review
    TRAINING = "training"  # a worker is training Deep Memory on the pairs
    COMPLETED = "completed"  # trained and measured
    GENERATING_FAILED = "generating_failed"  # stopped while generating; the pairs are kept
    TRAINING_FAILED = "training_failed"  # stopped while training; the pairs are kept

    @property
    def is_active(self) -> bool:
        """A worker holds the run."""
        return self in (RunStatus.GENERATING, RunStatus.TRAINING)

    @property
    def is_failed(self) -> bool:
        return self in (RunStatus.GENERATING_FAILED, RunStatus.TRAINING_FAILED)
