"""Search without and with a trained model."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from services.deep_memory.models import Models
from services.errors import TrainingError
from services.models import TrainingRun
from services.person import Person
from services.ranking.untrained import Untrained
from services.retrieval.reranking import DEPTH, reranked
from services.retrieval.search import Comparison

NO_MODEL = "No trained model is in use yet."


class Search:
    """Search through one person's documents."""

    def __init__(self, person: Person, models: Models) -> None:
        self._backend = person.backend
        self._models = models
        self._reranker = person.studio.places.reranker

    def compare(
        self,
        query: str,
        k: int,
        run: TrainingRun | None,
        *,
        untrained: Untrained = Untrained.RANKER,
        uses_trained: bool | None = None,
    ) -> Comparison:
        """The same query without training, and with the model of `run` unless `run` is None.

        If that model cannot rank, there is only the first list, and `problem` says why. It is
        ranked as `untrained` says; in DeepLake Cloud always by cosine.

        `uses_trained` says which of the lists search uses: the reranker, if one is set, orders that
        one anew. None: neither, because the lists are to show what training brings.

        Raises:
            NotAllowed: the query is empty.
            StoreUnavailable: the knowledge base cannot be read.
        """
        if uses_trained is None or self._reranker is None:
            return self._compare(query, k, run, untrained)
        found = self._compare(query, max(k, DEPTH), run, untrained)
        is_of_trained = uses_trained and found.run_id is not None
        return reranked(found, query, k, self._reranker, is_of_trained=is_of_trained)

    def _compare(
        self, query: str, k: int, run: TrainingRun | None, untrained: Untrained
    ) -> Comparison:
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
        is_to_rerank: bool = True,
    ) -> Comparison:
        """`compare` with the model that search uses; `deep_memory` overrules the settings.

        The list that search uses is reranked, if a reranker is set and `is_to_rerank`.
        `problem` says so if Deep Memory was to rank but there is no model for it.

        Raises:
            The same errors as `compare`.
        """
        compare = partial(
            self.compare, query, k, untrained=untrained, uses_trained=True if is_to_rerank else None
        )
        if deep_memory is False:
            return compare(None)
        chosen = self._models.chosen()
        if not (deep_memory or chosen.is_wanted):
            return compare(None)
        found = compare(chosen.active)
        if chosen.active is not None:
            return found
        return replace(found, problem=self._models.problem(chosen) or NO_MODEL)
