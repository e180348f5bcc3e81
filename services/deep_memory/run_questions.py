"""The questions that a training works with: the run's pairs, and what people asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from services.accounts.database import Database
from services.deep_memory.test_set_store import TestSetStore
from services.deep_memory.test_sets import SAMPLE_TEST_SET, OwnQuestion, with_judgements
from services.models import TrainingPair, TrainingRun
from services.pairs.rules import question_key
from services.pairs.store import PairStore
from services.questions.answered import answered
from services.questions.counted import CountedJudgements
from services.questions.store import Purpose


@dataclass(frozen=True, slots=True)
class RunQuestions:
    """`test_sets` are by people, the best known first; none of their questions is trained on."""

    pairs: Sequence[TrainingPair]
    of_people: Sequence[TrainingPair] = ()  # their training questions, with what answers them
    test_sets: Mapping[str, Sequence[OwnQuestion]] = field(default_factory=dict)

    def tested(self) -> set[str]:
        """The keys of all test questions."""
        return {question_key(one.question) for asked in self.test_sets.values() for one in asked}


def questions_of(run: TrainingRun, service: Database) -> RunQuestions:
    """Read them with the service's rights."""
    sets = TestSetStore(service, run.user_id)
    counted = CountedJudgements(service, run.user_id)
    names = [name for name, _ in sets.names()]
    of_people = [
        TrainingPair("", run.id, one.question, chunk_id, "", 1.0)
        for one in answered(service, run.user_id, Purpose.TRAINING)
        for chunk_id in one.chunk_ids
    ]
    return RunQuestions(
        PairStore(service).all(run.id),
        of_people,
        {
            name: with_judgements(sets.load(name), counted.of(name))
            for name in (*names, SAMPLE_TEST_SET)
        },
    )
