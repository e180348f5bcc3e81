"""The app put together: one per process, started and ended by streamlit_app.py."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable
from functools import cached_property

from pydantic import SecretStr

from services.accounts.auth import Accounts, SignedInUser
from services.accounts.database import Database, SupabaseEndpoint
from services.config import MOST_QUESTIONS_PER_CHUNK, Settings, load_settings
from services.deep_memory.cloud_jobs import Watching
from services.deep_memory.cloud_training import train_in_cloud
from services.deep_memory.kept_models import tidy_all_models, tidy_models
from services.deep_memory.model_store import ModelStore, SearchIndexes
from services.deep_memory.training import train_deep_memory
from services.disk import require_room
from services.errors import AppError, ConfigurationError, DatabaseUnavailable
from services.generation.batch_mode import BatchMode, is_batch_mode
from services.generation.pair_generator import generate_pairs, usage_so_far
from services.generation.question_writers import make_question_writer
from services.generation.written_questions import QuestionWriter
from services.knowledge.ingestion import Ingestions
from services.local_supabase.stack import LocalSupabase, start_local_supabase
from services.models import TrainingRun
from services.pairs.store import PairStore
from services.retrieval.cloud_store import CloudVectorStore
from services.retrieval.embedders import make_embedder
from services.retrieval.embeddings import Embedder
from services.retrieval.stores import models_folder, open_store, sweep_stores
from services.retrieval.vector_store import VectorStore
from services.runs.lease import RunLease
from services.runs.states import RunStatus
from services.runs.worker import JobRunner
from services.schema import require_known_schema

log = logging.getLogger(__name__)

_TICKET_S = 60.0
_NOBODY = "nobody"  # whose store is empty


class Studio:
    """Everything that all sessions share: settings, the way to Supabase, the worker threads."""

    def __init__(
        self,
        settings: Settings,
        on_status: Callable[[str], None] = log.info,
        batch_mode: BatchMode = BatchMode(),
        watching: Watching = Watching(),
    ) -> None:
        """Start it: bring up the embedded Supabase when no other is set, and look for lost runs.

        Raises:
            AppError: in words what is missing.
        """
        self.settings = settings
        self.batch_mode = batch_mode
        self._watching = watching
        self.local_supabase: LocalSupabase | None = None
        if settings.is_embedded:
            self.local_supabase = start_local_supabase(settings.data_dir, on_status=on_status)
        self.endpoint = self._endpoint()
        self._service = Database(self.endpoint.url, self.endpoint.secret_key)
        self._refuse_another_schema()
        self.accounts = Accounts(self.endpoint, self._service)
        self.jobs = JobRunner(
            self._service,
            {RunStatus.GENERATING: self._generate, RunStatus.TRAINING: self._train},
        )
        self.jobs.start_sweeping()
        self.ingestions = Ingestions()
        self.indexes = SearchIndexes()
        # Daemon: what it does not finish, the next start does.
        threading.Thread(target=self._tidy, name="tidy", daemon=True).start()
        self._tickets: dict[str, tuple[str, float]] = {}
        self._ticket_lock = threading.Lock()

    def _refuse_another_schema(self) -> None:
        try:
            require_known_schema(self._service)
        except DatabaseUnavailable:  # the screens say so, and `check` asks again
            log.warning("schema_not_known")

    def stop(self) -> None:
        """Stop the work of this process, saying so in its runs, then the embedded Supabase."""
        self.jobs.drain()
        if self.local_supabase is not None:
            self.local_supabase.stop()

    def check(self) -> None:
        """Look for room on the disk, and ask the database and the vector store for an answer.

        Raises:
            AppError: what is missing, or which of them gave none.
        """
        require_room(self.settings.data_dir)
        require_known_schema(self._service)
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
        return self.accounts.sign_in(
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

    def _tidy(self) -> None:
        """Delete what crashes left on this machine of what people removed."""
        sweep_stores(self.settings)
        tidy_all_models(self.settings, self._service)

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
        settings = self.settings
        chunks = self.store_of(run.user_id).snapshot().chunks
        wanted = run.settings.get("questions_per_chunk", settings.questions_per_chunk)
        count = min(wanted, MOST_QUESTIONS_PER_CHUNK)  # a row may begin without our own check
        usage = usage_so_far(run.usage)
        if is_batch_mode(run):
            # Here, because importing openai takes a second that the offline default need not wait.
            from services.generation.batch_generator import generate_in_batches

            generate_in_batches(
                lease,
                chunks,
                settings,
                questions_per_chunk=count,
                mode=self.batch_mode,
                usage=usage,
            )
            return
        generate_pairs(
            lease,
            chunks,
            make_question_writer(settings),  # its own: it stops with the run
            questions_per_chunk=count,
            concurrency=settings.generation_concurrency,
            usage=usage,
        )

    def _train(self, lease: RunLease, run: TrainingRun) -> None:
        store = self.store_of(run.user_id)
        pairs = lease.retrying(lambda: PairStore(self._service).all(run.id))
        models = self.models_of(run.user_id)
        if self.settings.trains_in_cloud and isinstance(store, CloudVectorStore):
            train_in_cloud(
                lease,
                run,
                pairs=pairs,
                store=store,
                embedder=self.embedder,
                watching=self._watching,
                models=models,
            )
            return
        snapshot = store.snapshot()
        train_deep_memory(
            lease,
            run,
            pairs=pairs,
            snapshot=snapshot,
            index=self.indexes.of(run.user_id, snapshot),
            embedder=self.embedder,
            models=models,
        )
        try:
            tidy_models(self._service, run.user_id, models, self.settings.models_kept)
        except (AppError, OSError):  # the run is completed all the same
            log.warning("models_not_tidied user=%s", run.user_id, exc_info=True)


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
