"""What one signed-in person works with, over everything that the sessions share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from services.accounts.auth import BearerUser, SignedInUser
from services.deep_memory.deep_memory_service import DeepMemory
from services.deep_memory.model_in_cloud import REPLACED_IN_CLOUD
from services.deep_memory.test_set_store import TestSetStore
from services.deep_memory.test_sets import (
    measure_in_cloud,
    measure_test_set,
    read_test_set,
    sample_set,
)
from services.deep_memory.training import SAMPLE_TEST_SET
from services.errors import ConfigurationError, NotAllowed, StoreUnavailable, TrainingError
from services.knowledge.ingestion import Ingestion
from services.knowledge.knowledge_base import File, IngestReport, KnowledgeBase, OnProgress
from services.knowledge.sample import sample_questions
from services.models import TrainingRun
from services.pairs.checking import (
    MOST_REMEMBERED,
    MOST_UNASKED_COMPARISONS,
    PairCheck,
    Progress,
    RememberingEmbedder,
    check_pairs,
    estimate_check,
)
from services.pairs.exchange import read_pairs
from services.pairs.store import AddedPairs
from services.retrieval.cloud_store import CloudVectorStore
from services.retrieval.nearest import MOST_CHUNKS
from services.retrieval.search import Comparison, Ranking, compare, compare_in_cloud
from services.studio import Studio


class Workspace:
    """It lives as long as the session, or the access token, that it was opened for."""

    def __init__(self, studio: Studio, user: SignedInUser | BearerUser) -> None:
        user_id = user.identity.user_id
        self.user = user
        self.store = studio.store_of(user_id)
        self.models = studio.models_of(user_id)
        self.knowledge = KnowledgeBase(self.store, studio.embedder)
        self.deep_memory = DeepMemory(
            studio.settings,
            user.identity,
            user.database,
            self.store,
            self.models,
            studio.jobs,
            studio.batch_mode,
        )
        self._embedder = studio.embedder
        self._test_sets = TestSetStore(user.database)
        self._checking_embedder = RememberingEmbedder(studio.embedder)
        self._settings = studio.settings
        store = self.store if studio.settings.trains_in_cloud else None
        # Where search and the models are when they are in DeepLake Cloud, else None.
        self._cloud_store = store if isinstance(store, CloudVectorStore) else None
        self._ingestions = studio.ingestions
        self._indexes = studio.indexes

    @property
    def ingestion(self) -> Ingestion | None:
        """The import that runs, or is done and not acknowledged yet."""
        return self._ingestions.of(self.user.identity.user_id)

    def add_files(self, files: Sequence[File]) -> None:
        """Begin to add files, in a thread of their own."""
        self._ingest(lambda on_progress: self.knowledge.add_files(files, on_progress))

    def load_sample(self) -> None:
        self._ingest(self.knowledge.load_sample)

    def acknowledge_ingestion(self) -> None:
        self._ingestions.forget(self.user.identity.user_id)

    def _ingest(self, work: Callable[[OnProgress], IngestReport]) -> None:
        self._ingestions.start(self.user.identity.user_id, work)

    def check_cost(self, run: TrainingRun) -> float | None:
        """US dollars for one check of the run's pairs, None when no price is known."""
        return estimate_check(run.pair_count, self._settings)

    def checks_unasked(self, run: TrainingRun, asked_before: bool = False) -> bool:
        """Whether checking the run's pairs costs nothing and takes a moment only.

        A second check does, as long as all the questions of the first are remembered.
        """
        if asked_before and run.pair_count <= MOST_REMEMBERED:
            return True
        comparisons = run.pair_count * self.knowledge.chunk_count()
        return self.check_cost(run) == 0 and comparisons <= MOST_UNASKED_COMPARISONS

    def check_pairs(self, run: TrainingRun, on_progress: Progress | None = None) -> PairCheck:
        """Look for doubtful pairs of a run."""
        pairs = self.deep_memory.pairs.all(run.id)
        return check_pairs(pairs, self.store.snapshot(), self._checking_embedder, on_progress)

    def import_pairs(self, run_id: str, file_name: str, data: bytes) -> AddedPairs:
        """Add the pairs of a file to a run in review.

        Raises:
            DocumentRejected: the file is wrong; nothing was added.
            NotAllowed: the run is not in review.
        """
        chunks = {chunk.id: chunk for chunk in self.store.snapshot().chunks}
        return self.deep_memory.pairs.add(run_id, read_pairs(file_name, data), chunks)

    def test_sets(self) -> dict[str, int]:
        """The number of questions in each test set by name: the sample's first, if it is loaded."""
        documents = {chunk.document for chunk in self.store.snapshot().chunks}
        answered = sum(question.document in documents for question in sample_questions())
        first = {SAMPLE_TEST_SET: answered} if answered else {}
        return first | {n: c for n, c in self._test_sets.names() if n != SAMPLE_TEST_SET}

    def is_own_test_set(self, name: str) -> bool:
        """Whether the person brought it."""
        return name != SAMPLE_TEST_SET

    def add_test_set(self, name: str, file_name: str, data: bytes) -> int:
        """Keep the test questions of a file; returns how many there are.

        Raises:
            DocumentRejected: the file is wrong; nothing was changed.
            NotAllowed: the name is empty or the sample's.
        """
        if not self.is_own_test_set(name.strip()):
            raise NotAllowed("That is the name of the sample's questions.")
        questions = read_test_set(file_name, data)
        self._test_sets.save(name, questions)
        return len(questions)

    def remove_test_set(self, name: str) -> int:
        return self._test_sets.remove(name)

    def measure(self, run: TrainingRun, test_set: str) -> dict[str, Any]:
        """The figures of a completed run's model on a test set, as `compared` keeps them.

        Raises:
            NotAllowed: search can not use this model, or the knowledge base answers none of the
                questions.
            TrainingError: the model can not be read.
            StoreUnavailable: DeepLake Cloud, where the model is, does not answer.
        """
        self._require_usable(run)
        own = self.is_own_test_set(test_set)
        questions = self._test_sets.load(test_set) if own else sample_set()
        snapshot = self.store.snapshot()
        if self._cloud_store is not None:
            return measure_in_cloud(
                test_set, questions, snapshot, self._embedder, self._cloud_store
            )
        return measure_test_set(
            test_set,
            questions,
            snapshot,
            self._indexes.of(self.user.identity.user_id, snapshot),
            self._embedder,
            self.models.load(run),
        )

    @property
    def _searches_in_cloud(self) -> bool:
        return self._cloud_store is not None

    def belongs_on_cloud(self, chunk_count: int) -> bool:
        """Whether so many chunks are more than this machine is meant to search and train on."""
        return chunk_count > MOST_CHUNKS and not self._searches_in_cloud

    @property
    def ranks_words(self) -> bool:
        """Whether a model here ranks by words too. DeepLake Cloud's does not."""
        return not self._searches_in_cloud

    def unusable_models(self, runs: Sequence[TrainingRun]) -> dict[str, str]:
        """By id, those of completed `runs` whose models search can not use now, and why."""
        in_cloud, otherwise = None, REPLACED_IN_CLOUD
        if self._searches_in_cloud:
            try:
                in_cloud = self.deep_memory.model_in_cloud()
            except (StoreUnavailable, ConfigurationError) as error:
                otherwise = str(error)
        why = {run.id: self._why_unusable(run, in_cloud, otherwise) for run in runs}
        return {run_id: reason for run_id, reason in why.items() if reason}

    def models_no_longer_kept(self, runs: Sequence[TrainingRun]) -> set[str]:
        """The ids of those of `runs` whose model was deleted because there are newer ones."""
        return {run.id for run in runs if self.models.was_given_up(run)}

    def _why_unusable(self, run: TrainingRun, in_cloud: str | None, otherwise: str) -> str:
        of_the_cloud = run.metrics.get("trainer") == "cloud"
        if of_the_cloud != self._searches_in_cloud:
            return (
                "This model is in DeepLake Cloud, and search is not."
                if of_the_cloud
                else "This model is not in DeepLake Cloud, where search is now."
            )
        if of_the_cloud:
            return "" if run.id == in_cloud else otherwise
        trained_for = run.metrics.get("embedder", self._embedder.name)
        if trained_for != self._embedder.name:
            return f"This model is for embeddings by {trained_for}, not by {self._embedder.name}."
        return self.models.problem(run)

    def _require_usable(self, run: TrainingRun) -> None:
        if reason := self.unusable_models([run]).get(run.id):
            raise NotAllowed(reason, next_step="Use another model, or train again.")

    def use_model(self, run: TrainingRun) -> TrainingRun:
        """Make search use the model of a completed run, and switch Deep Memory on.

        Raises:
            NotAllowed: search can not use it.
        """
        self._require_usable(run)
        return self.deep_memory.use_model(run.id)

    def search(
        self, query: str, k: int, run: TrainingRun | None, *, with_words: bool = True
    ) -> Comparison:
        """The same query by plain cosine, and with the model of `run` unless that is None.

        Where that model can not rank, the plain list comes alone and `problem` says why. Without
        words only the trained map ranks; see `ranks_words`.

        Raises:
            NotAllowed: the query is empty.
            StoreUnavailable: the knowledge base can not be read.
        """
        problem = self.unusable_models([run]).get(run.id, "") if run else ""
        usable = None if problem else run
        try:
            comparison = self._compared(query, k, usable, with_words)
        except TrainingError as error:  # its file changed a moment ago, or it has another width
            problem, usable = str(error), None
            comparison = self._compared(query, k, None, with_words)
        ranked = usable is not None and not comparison.is_indexing and not comparison.problem
        return replace(
            comparison,
            run_id=usable.id if usable and ranked else None,
            problem=problem or comparison.problem,
        )

    def _compared(
        self, query: str, k: int, run: TrainingRun | None, with_words: bool
    ) -> Comparison:
        if self._cloud_store is not None:
            return compare_in_cloud(
                query, self._embedder, self._cloud_store, is_trained=run is not None, k=k
            )
        return self._compare(query, k, run, with_words)

    def _compare(self, query: str, k: int, run: TrainingRun | None, with_words: bool) -> Comparison:
        """Both lists on this machine; the plain one alone while the index for models is made."""
        owner, snapshot = self.user.identity.user_id, self.store.snapshot()
        model = None if run is None else self.models.load(run)
        index = None if model is None else self._indexes.soon(owner, snapshot)
        ranking: Ranking | None = None
        if model is not None and index is not None:
            model = model if with_words else model.without_words()
            ranking = partial(model.search, index=index)
        plain = self._indexes.plain(owner, snapshot)
        comparison = compare(query, self._embedder, snapshot, plain, ranking, k)
        return replace(comparison, is_indexing=model is not None and index is None)
