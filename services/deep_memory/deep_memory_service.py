"""What a person does with Deep Memory: the one place that the screens and the HTTP routes share."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from services.accounts.auth import Identity
from services.accounts.database import Database
from services.config import MOST_QUESTIONS_PER_CHUNK, Settings
from services.deep_memory.cloud_jobs import Submission, cancel_job
from services.deep_memory.model_in_cloud import REPLACED_IN_CLOUD, model_in_cloud
from services.deep_memory.model_store import ModelStore
from services.errors import GenerationError, NotAllowed, NotFound, RunMoved, TrainingError
from services.generation.batch_mode import BatchMode, batches_of, cancel_batches
from services.generation.pricing import Estimate, estimate_generation
from services.models import DeepMemorySettings, RememberedBatch, TrainingPair, TrainingRun
from services.pairs.store import PairStore
from services.retrieval.cloud_store import CloudVectorStore
from services.retrieval.vector_store import VectorStore
from services.runs.states import RunStatus
from services.runs.store import RunStore, run_from_row
from services.runs.worker import JobRunner

_SETTINGS = "deep_memory_settings"
_LAST_ANSWERS_S = 5.0


class DeepMemory:
    """Deep Memory of one signed-in user. `database` is as that user sees it."""

    def __init__(
        self,
        settings: Settings,
        identity: Identity,
        database: Database,
        store: VectorStore,
        models: ModelStore,
        jobs: JobRunner,
        batch_mode: BatchMode = BatchMode(),
    ) -> None:
        self._settings = settings
        self._identity = identity
        self._database = database
        self._store = store
        self._models = models
        self._jobs = jobs
        self._batch_mode = batch_mode
        self.runs = RunStore(database, jobs.waiting)
        self.pairs = PairStore(database)

    @property
    def is_available(self) -> bool:
        """False where DeepLake Cloud must train but does not hold the store (ZIP-005, phase 11)."""
        return self._settings.deep_memory_trainer == "local" or self._settings.is_cloud

    def settings(self) -> DeepMemorySettings:
        state = self._state()
        row = state["settings"] or {}
        blocking = run_from_row(state["blocking"]) if state["blocking"] else None
        active = run_from_row(state["active"]) if state["active"] else None
        return DeepMemorySettings(
            enabled=bool(row.get("enabled")) and active is not None,
            last_trained_at=(
                datetime.fromisoformat(row["last_trained_at"])
                if row.get("last_trained_at")
                else None
            ),
            last_training_run_id=row.get("last_training_run_id"),
            can_enable=active is not None,
            total_chunks=self._store.count(),
            trained_chunk_count=active.metrics.get("trained_chunks", 0) if active else 0,
            has_blocking_run=blocking is not None,
            blocking_run_id=blocking.id if blocking else None,
            blocking_run_status=blocking.status.value if blocking else None,
            is_cloud=self._settings.is_cloud,
            model_was_replaced=bool(row.get("active_run_id")) and active is None,
        )

    def set_enabled(self, enabled: bool) -> DeepMemorySettings:
        """Make search use Deep Memory, or not.

        Raises:
            NotAllowed: no training has completed yet, or none whose model was put to use.
        """
        if enabled and self.active_run() is None:
            raise NotAllowed(
                "Deep Memory can not be switched on before a training has completed.",
                next_step="Generate training data, review it and start training.",
            )
        self._save_settings(enabled=enabled)
        return self.settings()

    def use_model(self, run_id: str) -> TrainingRun:
        """Make search use the model of a completed run: the newest, or an older one again.

        Raises:
            NotAllowed: the run is not completed, or DeepLake Cloud keeps its model no more.
        """
        rows = self._database.rpc("use_model", p_run=run_id)
        if rows:
            return run_from_row(rows[0])
        if self.runs.get(run_id).status is not RunStatus.COMPLETED:
            raise NotAllowed("Only a completed run has a model to use.")
        raise NotAllowed(REPLACED_IN_CLOUD)

    def model_in_cloud(self) -> str | None:
        """The run whose model DeepLake Cloud holds, or None. Raises StoreUnavailable."""
        return model_in_cloud(self._database, self._store)

    def run_in_use(self) -> TrainingRun | None:
        """The run whose model search uses now; None while Deep Memory is off."""
        state = self._state()
        is_on = bool((state["settings"] or {}).get("enabled"))
        return run_from_row(state["active"]) if is_on and state["active"] else None

    def active_run(self) -> TrainingRun | None:
        """The run whose model search uses when Deep Memory is on."""
        active = self._state()["active"]
        return run_from_row(active) if active else None

    def estimate(self, questions_per_chunk: int) -> Estimate:
        """What generating for the whole knowledge base would ask and cost."""
        return estimate_generation(
            self._store.snapshot().chunks,
            questions_per_chunk,
            model=self._settings.question_model,
            own_prices=self._settings.model_prices,
        )

    @property
    def offers_batch_mode(self) -> bool:
        """Whether a run over the knowledge base may be written at half the price, in a day."""
        return self._batch_mode.is_offered(self._settings, self._store.count())

    def generate(
        self, questions_per_chunk: int | None = None, *, batch_mode: bool = False
    ) -> TrainingRun:
        """Start a run: questions for every chunk of the knowledge base.

        Raises:
            RunBlocked: an unfinished run is in the way.
            NotAllowed: the knowledge base is empty, the number is out of bounds, or the batch
                mode is not offered for it.
        """
        self._require_available()
        count = questions_per_chunk or self._settings.questions_per_chunk
        if not 1 <= count <= MOST_QUESTIONS_PER_CHUNK:
            raise NotAllowed(f"Ask for 1 to {MOST_QUESTIONS_PER_CHUNK} questions for each chunk.")
        chunks = self._store.count()
        if not chunks:
            raise NotAllowed("The knowledge base is empty.", next_step="Add documents to it first.")
        if batch_mode and not self.offers_batch_mode:
            raise NotAllowed(
                "The batch mode is for OpenAI's own models, and for knowledge bases of more than "
                f"{self._batch_mode.more_chunks_than:,} chunks."
            )
        run = self.runs.start(
            total_chunks=chunks,
            settings={
                "question_model": self._settings.question_model,
                "embedding_model": self._settings.embedding_model,
                "trainer": self._settings.deep_memory_trainer,
                "questions_per_chunk": count,
                **({"batch_mode": True} if batch_mode else {}),
            },
        )
        self._jobs.launch(run)
        return run

    def edit_pair(self, run_id: str, pair_id: str, question: str) -> TrainingPair:
        """Change one question of a run in review.

        Raises:
            RunMoved: the run is not in review.
            NotAllowed: the question is empty, or its chunk has it already.
        """
        self._require_in_review(run_id, pair_id)
        return self.pairs.edit(pair_id, question)

    def drop_pair(self, run_id: str, pair_id: str) -> None:
        """Drop one pair of a run in review.

        Raises:
            RunMoved: the run is not in review.
        """
        self._require_in_review(run_id, pair_id)
        if not self.pairs.drop([pair_id]):
            raise NotFound("The pair is gone, or its run is no longer in review.")

    def retry_problems(self, run_id: str) -> TrainingRun:
        """Ask again only the chunks that yielded nothing or less; the pairs that are there stay.

        Raises:
            RunMoved: the run is not in review.
            NotAllowed: no chunk had a problem.
        """
        self._require_available()
        if not self.runs.problems(run_id):
            raise NotAllowed("No chunk of this run had a problem.")
        run = self.runs.retry_problems(run_id)
        self._jobs.launch(run)
        return run

    def train(self, run_id: str) -> TrainingRun:
        """Start training on the pairs of a reviewed run."""
        self._require_available()
        if self.runs.get(run_id).pair_count == 0:
            raise NotAllowed(
                "There is no pair to train on.", next_step="Discard this run and start a new one."
            )
        run = self.runs.start_training(run_id)
        self._jobs.launch(run)
        return run

    def proceed(self, run_id: str) -> tuple[TrainingRun, str]:
        """Go on with a failed run where it stopped; returns it and a sentence that says where."""
        self._require_available()
        stopped = self.runs.get(run_id)
        if stopped.status is RunStatus.GENERATING_FAILED and not self._store.count():
            raise NotAllowed(
                "The knowledge base is empty, so this run would lose its pairs. They are kept.",
                next_step="Add its documents again, then proceed; or remove the run.",
            )
        self._await_last_answers(stopped)
        run = self.runs.proceed(run_id)
        self._jobs.launch(run)
        if run.status is RunStatus.TRAINING:
            return run, f"Resuming training with {run.pair_count} pairs"
        total = max(self._store.count(), run.processed_chunks)
        return run, f"Resuming generation from chunk {run.processed_chunks}/{total}"

    def _await_last_answers(self, run: TrainingRun) -> None:
        """Give the worker of a stopped run, wherever it is, time to store what it had asked for.

        The new attempt locks it out, and would ask and pay for the same again.
        """
        deadline = time.monotonic() + _LAST_ANSWERS_S
        while run.status.is_failed and run.worker_id and time.monotonic() < deadline:
            time.sleep(0.2)
            run = self.runs.get(run.id)

    def stop(self, run_id: str) -> TrainingRun:
        """Stop an active run or discard one in review. What it made is kept.

        Raises:
            TrainingError: the run was stopped, but its job in DeepLake Cloud may go on.
            GenerationError: the run was stopped, but a batch at OpenAI may go on.
        """
        run = self.runs.stop(run_id, by=self._identity.email)
        self._jobs.stop_here(run)
        try:
            self._cancel_outside(run, batches_of(run, self._database))
        except TrainingError as error:
            self.runs.say_job_goes_on(run_id, str(error))
            raise TrainingError(
                f"The run was stopped. {error}", next_step=error.next_step
            ) from error
        return run

    def remove(self, run_id: str) -> str:
        """Delete a failed run, its pairs and its files; returns a sentence that says how many."""
        run = self.runs.get(run_id)
        batches = batches_of(run, self._database)
        message = f"Training run and {self.runs.remove(run_id)} associated pairs deleted"
        self._models.remove(run_id)
        try:
            self._cancel_outside(run, batches)
        except (GenerationError, TrainingError) as error:  # the run is gone all the same
            return f"{message}. {error}"
        return message

    def remove_completed(self, run_id: str) -> str:
        """Delete a completed run, its pairs and its model; returns a sentence that says how many.

        Raises:
            RunMoved: it is not completed.
            NotAllowed: search uses its model.
        """
        pairs = self.runs.remove_completed(run_id)
        self._models.remove(run_id)
        return f"Training run, its model and {pairs} associated pairs deleted"

    def _cancel_outside(self, run: TrainingRun, batches: Sequence[RememberedBatch]) -> None:
        """Cancel what a person gives up where it runs, so that it costs nothing more."""
        if (submission := Submission.of(run)) and isinstance(self._store, CloudVectorStore):
            cancel_job(self._store, submission)
        cancel_batches(self._settings, batches)

    def _require_in_review(self, run_id: str, pair_id: str) -> None:
        self.pairs.get(run_id, pair_id)
        status = self.runs.get(run_id).status
        if status is not RunStatus.GENERATED:
            raise RunMoved(f"The run is {status.value.replace('_', ' ')} now. Nothing was changed.")

    def _require_available(self) -> None:
        if not self.is_available:
            raise NotAllowed(
                "Deep Memory needs a vector store in DeepLake Cloud.",
                next_step="Set DEEPLAKE_PATH to hub://..., or DEEP_MEMORY_TRAINER to local.",
            )

    def _state(self) -> dict[str, Any]:
        """The rows of `settings`, `active` run and `blocking` run, each None where there is none.

        One statement, because screens and clients poll it.
        """
        return self._database.rpc("deep_memory_state")

    def _save_settings(self, **columns: Any) -> None:
        row = {
            "user_id": self._identity.user_id,
            "updated_at": datetime.now(UTC).isoformat(),
            **columns,
        }
        self._database.execute(lambda c: c.table(_SETTINGS).upsert(row, on_conflict="user_id"))
