"""The assembled app: one per process, started and stopped by streamlit_app.py."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cached_property

from pydantic import SecretStr

from services.accounts.auth import Accounts, SignedInUser
from services.accounts.database import Database, SupabaseEndpoint
from services.accounts.tickets import Tickets
from services.config import Settings, load_settings
from services.deep_memory.cloud_jobs import Watching
from services.errors import ConfigurationError
from services.generation.batch_mode import BatchMode
from services.generation.question_writers import make_question_writer
from services.generation.written_questions import QuestionWriter
from services.jobs import jobs_of
from services.knowledge.importer import Importer
from services.knowledge.kept_files import KeptFiles
from services.local_supabase.stack import LocalSupabase, start_local_supabase
from services.pairs.background import Checks
from services.places import Places
from services.reading.readers import Readers
from services.retrieval.embedders import require_embedder
from services.runs.worker import JobRunner
from services.upkeep import refuse_another_schema, require_ready, start_tidying

log = logging.getLogger(__name__)

_NOBODY = "nobody"  # whose store is empty


class Studio:
    """Everything that all sessions share: settings, access to Supabase, the worker threads."""

    def __init__(
        self,
        settings: Settings,
        on_status: Callable[[str], None] = log.info,
        batch_mode: BatchMode = BatchMode(),
        watching: Watching = Watching(),
    ) -> None:
        """Start the embedded Supabase unless another is set, and the sweep for lost runs.

        Raises:
            AppError: something is missing; the message says what.
        """
        require_embedder(settings)
        self.settings = settings
        self.batch_mode = batch_mode
        self.local_supabase: LocalSupabase | None = None
        if settings.is_embedded:
            self.local_supabase = start_local_supabase(settings.data_dir, on_status=on_status)
            self.endpoint = _endpoint_of(self.local_supabase)
        else:
            self.endpoint = SupabaseEndpoint.of_settings(settings)
        self._service = Database(self.endpoint.url, self.endpoint.secret_key)
        refuse_another_schema(self._service)
        self.accounts = Accounts(self.endpoint, self._service)
        self.tickets = Tickets()
        self.places = Places(settings, watching)
        self.pair_checks = Checks()
        self.kept_files = KeptFiles(settings.data_dir / "imports")
        self.importer = Importer(
            self._service, self.kept_files, Readers(), self.places.knowledge_base_of
        )
        self.jobs = JobRunner(
            self._service, jobs_of(settings, self._service, self.places, batch_mode)
        )
        self.jobs.start_sweeping()
        start_tidying(settings, self._service, self.kept_files)

    def stop(self) -> None:
        """Stop the work of this process, noting it in its runs, then the embedded Supabase."""
        self.importer.drain()
        self.jobs.drain()
        if self.local_supabase is not None:
            self.local_supabase.stop()

    def check(self) -> None:
        """Check that all parts answer.

        Raises:
            AppError: something is missing or does not answer; the message says what.
        """
        require_ready(self.settings, self._service, self.places.store_of(_NOBODY))

    @property
    def embedder_name(self) -> str:
        return self.places.embedder.name

    @cached_property
    def writer(self) -> QuestionWriter:
        return make_question_writer(self.settings)

    def sign_in_as_demo(self) -> SignedInUser:
        """Sign in as the demo analyst, who exists on the embedded Supabase only."""
        if self.local_supabase is None:
            raise ConfigurationError("There is no demo account on a hosted Supabase.")
        return self.accounts.sign_in(
            self.local_supabase.demo_email, self.local_supabase.demo_password
        )


def _endpoint_of(local: LocalSupabase) -> SupabaseEndpoint:
    return SupabaseEndpoint(
        local.url, SecretStr(local.publishable_key), SecretStr(local.secret_key)
    )


_current: Studio | None = None


def start_studio(on_status: Callable[[str], None]) -> Studio:
    """Start the studio of this process. Call it once, before the first session."""
    global _current
    _current = Studio(load_settings(), on_status)
    return _current


def current_studio() -> Studio:
    assert _current is not None, "streamlit_app.py starts the studio"
    return _current
