"""What a person does with test sets: add questions, see them, measure a trained model on them."""

from __future__ import annotations

from typing import Any

from services.deep_memory.measurement import first_changes
from services.deep_memory.models import Models
from services.deep_memory.test_set_store import TestSetStore, is_own
from services.deep_memory.test_sets import (
    SAMPLE_TEST_SET,
    OwnQuestion,
    read_test_set,
    with_judgements,
)
from services.errors import NotAllowed
from services.knowledge.sample import sample_questions
from services.person import Person
from services.questions.counted import CountedJudgements


class OwnTestSets:
    """The test sets of one person: the sample's, if it is loaded, and their own."""

    def __init__(self, person: Person, models: Models) -> None:
        self._store = person.store
        self._backend = person.backend
        self._database = person.database
        self._models = models
        self._model_store = person.models
        self._runs = person.runs
        self._test_sets = TestSetStore(person.database, person.identity.user_id)
        self._counted = CountedJudgements(person.database, person.identity.user_id)

    def all(self) -> dict[str, int]:
        """Name -> number of questions of each test set; the sample's first."""
        documents = {chunk.document for chunk in self._store.snapshot().chunks}
        answered = sum(question.document in documents for question in sample_questions())
        first = {SAMPLE_TEST_SET: answered} if answered else {}
        return first | dict(self._test_sets.names())

    def is_own(self, name: str) -> bool:
        """Whether the person brought it, and may remove it."""
        return is_own(name)

    def add_file(self, name: str, file_name: str, data: bytes) -> int:
        """Store the test questions of a file; returns how many there are.

        Raises:
            DocumentRejected: the file is wrong; nothing was changed.
            NotAllowed: the name is empty, or that of one of the app's sets.
        """
        questions = read_test_set(file_name, data)
        self._test_sets.save(name, questions)
        return len(questions)

    def remove(self, name: str) -> int:
        """Delete a set; returns how many there were, 0 or 1."""
        self._counted.let_model_count(name, False)  # another set may get this name
        return self._test_sets.remove(name)

    def questions(self, name: str) -> list[OwnQuestion]:
        """The questions of a set, without what was judged. Raises NotFound: there is none."""
        return self._test_sets.load(name)

    def measure(self, name: str, run_id: str) -> dict[str, Any]:
        """The figures of a completed run's model on a test set, as `figures_of` returns them.

        They are kept with the run, in place of earlier ones on this set. Questions that the model
        was trained on, before they became test questions, are left out: "trained_on" counts them.

        Raises:
            NotFound: there is no such set, or no such run.
            NotAllowed: search cannot use this model, it was trained on all of the questions, or
                the knowledge base answers none of the others.
            TrainingError: the model cannot be read.
            StoreUnavailable: DeepLake Cloud, where the model is, does not answer.
        """
        run = self._runs.get(run_id)
        self._models.require_usable(run)
        questions = with_judgements(self.questions(name), self._counted.of(name))
        known = self._model_store.trained_on(run, [one.question for one in questions])
        unseen = [one for one in questions if one.question not in known]
        if not unseen:
            raise NotAllowed(
                "This model was trained on all of these questions, so they cannot measure it.",
                next_step="Train again: test questions are left out of a training.",
            )
        figures = self._backend.measure(name, unseen, run)
        figures["trained_on"] = len(questions) - len(unseen)
        self._database.rpc("keep_measurement", p_run=run_id, p_figures=first_changes(figures))
        self._model_store.add_rank_changes(run, figures)
        return figures
