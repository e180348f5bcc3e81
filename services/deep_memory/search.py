"""Search without and with a trained model."""

from __future__ import annotations

from dataclasses import replace

from services.deep_memory.models import Models
from services.errors import TrainingError
from services.models import TrainingRun
from services.person import Person
from services.ranking.untrained import Untrained
from services.retrieval.search import Comparison

NO_MODEL = "No trained model is in use yet."


class Search:
    """Search through one person's documents."""

    def __init__(self, person: Person, models: Models) -> None:
        self._backend = person.backend
        self._models = models

    def compare(
        self,
        query: str,
        k: int,
        run: TrainingRun | None,
        *,
        untrained: Untrained = Untrained.RANKER,
    ) -> Comparison:
        """The same query without training, and with the model of `run` unless `run` is None.

        If that model cannot rank, there is only the first list, and `problem` says why. It is
        ranked as `untrained` says; in DeepLake Cloud always by cosine.

        Raises:
            NotAllowed: the query is empty.
            StoreUnavailable: the knowledge base cannot be read.
        """
        problem = self._models.unusable([run]).get(run.id, "") if run else ""
        usable = None if problem else run
        try:
            comparison = self._backend.compare(query, k, usable, untrained)
        except TrainingError as error:  # its file has just changed, or its width differs
            problem, usable = str(error), None
            comparison = self._backend.compare(query, k, None, untrained)
        ranked = usable is not None and not comparison.is_indexing and not comparison.problem
        return replace(
            comparison,
            run_id=usable.id if usable and ranked else None,
            problem=problem or comparison.problem,
        )

    def as_chosen(
        self,
        query: str,
        k: int,
        *,
        deep_memory: bool | None = None,
        untrained: Untrained = Untrained.RANKER,
    ) -> Comparison:
        """`compare` with the model that search uses; `deep_memory` overrules the settings.

        `problem` says so if Deep Memory was to rank but there is no model for it.

        Raises:
            The same errors as `compare`.
        """
        if deep_memory is False:
            return self.compare(query, k, None, untrained=untrained)
        chosen = self._models.chosen()
        if not (deep_memory or chosen.is_wanted):
            return self.compare(query, k, None, untrained=untrained)
        found = self.compare(query, k, chosen.active, untrained=untrained)
        if chosen.active is not None:
            return found
        return replace(found, problem=self._models.problem(chosen) or NO_MODEL)
