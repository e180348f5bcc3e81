"""The app put together: one per process, started and ended by streamlit_app.py."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

from pydantic import SecretStr

from services.accounts.auth import Accounts, BearerUser, SignedInUser
from services.accounts.database import Database, SupabaseEndpoint
from services.config import Settings, load_settings
from services.deep_memory.cloud_training import train_in_cloud
from services.deep_memory.deep_memory_service import DeepMemory
from services.deep_memory.model_store import ModelStore, SearchIndexes
from services.deep_memory.question_set_store import QuestionSetStore
from services.deep_memory.question_sets import (
    measure_question_set,
    read_question_set,
    sample_set,
)
from services.deep_memory.training import SAMPLE_TEST_SET, train_deep_memory
from services.errors import ConfigurationError, NotAllowed
from services.knowledge.ingestion import Ingestion, Ingestions
from services.knowledge.knowledge_base import File, IngestReport, KnowledgeBase, OnProgress
from services.knowledge.sample import sample_questions
from services.local_supabase.stack import LocalSupabase, start_local_supabase
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
from services.pairs.question_writers import QuestionWriter, make_question_writer
from services.pairs.store import AddedPairs, PairStore
from services.pairs.training_generator import generate_pairs, usage_so_far
from services.retrieval.cloud_store import CloudVectorStore
from services.retrieval.embeddings import Embedder, make_embedder
from services.retrieval.search import Comparison, Scoring, compare, compare_in_cloud
from services.retrieval.vector_store import VectorStore, models_folder, open_store
from services.runs.lease import RunLease
from services.runs.states import RunStatus
from services.runs.worker import JobRunner

log = logging.getLogger(__name__)

_TICKET_S = 60.0
_NOBODY = "nobody"  # whose store is empty


class Studio:
    """Everything that all sessions share: settings, the way to Supabase, the worker threads."""

    def __init__(self, settings: Settings, on_status: Callable[[str], None] = log.info) -> None:
        """Start it: bring up the embedded Supabase when no other is set, and look for lost runs.

        Raises:
            AppError: in words what is missing.
        """
        self.settings = settings
        self.local_supabase: LocalSupabase | None = None
        if settings.is_embedded:
            self.local_supabase = start_local_supabase(settings.data_dir, on_status=on_status)
        self.endpoint = self._endpoint()
        self._service = Database(self.endpoint.url, self.endpoint.secret_key)
        self.accounts = Accounts(self.endpoint, self._service)
        self.jobs = JobRunner(
            self._service,
            {RunStatus.GENERATING: self._generate, RunStatus.TRAINING: self._train},
        )
        self.jobs.start_sweeping()
        self.ingestions = Ingestions()
        self.indexes = SearchIndexes()
        self._tickets: dict[str, tuple[str, float]] = {}
        self._ticket_lock = threading.Lock()

    def stop(self) -> None:
        """Stop the work of this process, saying so in its runs, then the embedded Supabase."""
        self.jobs.drain()
        if self.local_supabase is not None:
            self.local_supabase.stop()

    def workspace(self, user: SignedInUser | BearerUser) -> Workspace:
        return Workspace(self, user)

    def check(self) -> None:
        """Ask the database and the vector store for an answer.

        Raises:
            AppError: which of them gave none.
        """
        self._service.execute(lambda c: c.table("deep_memory_settings").select("id").limit(1))
        self.store_of(_NOBODY).count()

    @cached_property
    def embedder(self) -> Embedder:
        return make_embedder(self.settings)

    @cached_property
    def writer(self) -> QuestionWriter:
        return make_question_writer(self.settings)

    def store_of(self, user_id: str) -> VectorStore:
        return open_store(self.settings, user_id, self.embedder.name, self.embedder.width)

    def models_of(self, user_id: str) -> ModelStore:
        return ModelStore(models_folder(self.settings, user_id))

    def sign_in_as_demo(self) -> SignedInUser:
        """The demo analyst, on the embedded Supabase only."""
        if self.local_supabase is None:
            raise ConfigurationError("There is no demo account on a hosted Supabase.")
        return self.accounts.sign_in_or_up(
            self.local_supabase.demo_email, self.local_supabase.demo_password
        )

    def new_ticket(self, cookie: str) -> str:
        """A single-use stand-in for `cookie`, good for a minute, that page code may see."""
        ticket = secrets.token_urlsafe(32)
        with self._ticket_lock:
            now = time.monotonic()
            self._tickets = {t: c for t, c in self._tickets.items() if c[1] > now}
            self._tickets[ticket] = (cookie, now + _TICKET_S)
        return ticket

    def redeem_ticket(self, ticket: str) -> str | None:
        with self._ticket_lock:
            cookie, until = self._tickets.pop(ticket, ("", 0.0))
        return cookie if until > time.monotonic() else None

    def _endpoint(self) -> SupabaseEndpoint:
        if self.local_supabase is not None:
            local = self.local_supabase
            return SupabaseEndpoint(
                local.url, _secret(local.publishable_key), _secret(local.secret_key)
            )
        settings = self.settings
        assert settings.supabase_url  # for the type checker: Settings refuses it half set
        assert settings.supabase_publishable_key and settings.supabase_secret_key
        return SupabaseEndpoint(
            settings.supabase_url, settings.supabase_publishable_key, settings.supabase_secret_key
        )

    def _generate(self, lease: RunLease, run: TrainingRun) -> None:
        generate_pairs(
            lease,
            self.store_of(run.user_id).snapshot().chunks,
            make_question_writer(self.settings),  # its own: it stops with the run
            questions_per_chunk=run.settings.get(
                "questions_per_chunk", self.settings.questions_per_chunk
            ),
            concurrency=self.settings.generation_concurrency,
            usage=usage_so_far(run.usage),
        )

    def _train(self, lease: RunLease, run: TrainingRun) -> None:
        store = self.store_of(run.user_id)
        pairs = lease.patiently(lambda: PairStore(self._service).all(run.id))
        if self.settings.trains_in_cloud and isinstance(store, CloudVectorStore):
            train_in_cloud(lease, run, pairs=pairs, store=store, embedder=self.embedder)
            return
        snapshot = store.snapshot()
        train_deep_memory(
            lease,
            run,
            pairs=pairs,
            snapshot=snapshot,
            index=self.indexes.of(snapshot),
            embedder=self.embedder,
            models=self.models_of(run.user_id),
        )


class Workspace:
    """What one signed-in person works with."""

    def __init__(self, studio: Studio, user: SignedInUser | BearerUser) -> None:
        user_id = user.identity.user_id
        self.user = user
        self.store = studio.store_of(user_id)
        self.models = studio.models_of(user_id)
        self.knowledge = KnowledgeBase(self.store, studio.embedder)
        self.deep_memory = DeepMemory(
            studio.settings, user.identity, user.database, self.store, studio.jobs
        )
        self._embedder = studio.embedder
        self._question_sets = QuestionSetStore(user.database)
        self._checking_embedder = RememberingEmbedder(studio.embedder)
        self._settings = studio.settings
        self._trains_in_cloud = studio.settings.trains_in_cloud
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

    def remove_run(self, run_id: str) -> str:
        """Delete a failed run, its pairs and its model; returns a sentence that says how many."""
        message = self.deep_memory.remove(run_id)
        self.models.remove(run_id)
        return message

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
        return first | {n: c for n, c in self._question_sets.names() if n != SAMPLE_TEST_SET}

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
        questions = read_question_set(file_name, data)
        self._question_sets.save(name, questions)
        return len(questions)

    def remove_test_set(self, name: str) -> int:
        return self._question_sets.remove(name)

    def measure(self, run: TrainingRun, test_set: str) -> dict[str, Any]:
        """The figures of a completed run's model on a test set, as `compared` keeps them.

        Raises:
            NotAllowed: the knowledge base answers none of its questions.
            TrainingError: the model can not be read.
        """
        own = self.is_own_test_set(test_set)
        questions = self._question_sets.load(test_set) if own else sample_set()
        snapshot = self.store.snapshot()
        return measure_question_set(
            test_set,
            questions,
            snapshot,
            self._indexes.of(snapshot),
            self._embedder,
            self.models.load(run),
        )

    def search(self, query: str, k: int) -> Comparison:
        """The same query without and with the active Deep Memory model."""
        active = self.deep_memory.active_run()
        if self._trains_in_cloud and isinstance(self.store, CloudVectorStore):
            is_trained = active is not None and active.metrics.get("trainer") == "cloud"
            comparison = compare_in_cloud(
                query, self._embedder, self.store, is_trained=is_trained, k=k
            )
            return replace(comparison, run_id=active.id if active and is_trained else None)
        snapshot = self.store.snapshot()
        scoring: Scoring | None = None
        if active is not None:
            model, index = self.models.load(active), self._indexes.of(snapshot)
            scoring = partial(model.scores, index=index)
        comparison = compare(query, self._embedder, snapshot, scoring, k)
        return replace(comparison, run_id=active.id if active is not None else None)


def _secret(value: str | SecretStr) -> SecretStr:
    return value if isinstance(value, SecretStr) else SecretStr(value)


_current: Studio | None = None


def start_studio(on_status: Callable[[str], None]) -> Studio:
    """Start the studio of this process. Call it once, before the first session."""
    global _current
    _current = Studio(load_settings(), on_status)
    return _current


def current_studio() -> Studio:
    assert _current is not None, "streamlit_app.py starts the studio"
    return _current
