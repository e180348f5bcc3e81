"""What a person does with training runs."""

from __future__ import annotations

import time
from collections.abc import Sequence

from services.config import MOST_QUESTIONS_PER_CHUNK, OFFLINE_WRITER
from services.errors import GenerationError, NotAllowed, TrainingError
from services.generation.batch_mode import (
    WaitingChunks,
    batches_of,
    cancel_batches,
    is_batch_mode,
    waiting,
)
from services.generation.pair_generator import usage_so_far
from services.generation.pricing import Estimate, cost_usd, estimate_generation
from services.models import RememberedBatch, RunEvent, TokenUsage, TrainingRun
from services.person import Person
from services.runs.states import RunStatus

_LAST_ANSWERS_S = 5.0


class Runs:
    """The training runs of one person."""

    def __init__(self, person: Person) -> None:
        self._settings = person.studio.settings
        self._batch_mode = person.studio.batch_mode
        self._jobs = person.studio.jobs
        self._identity = person.identity
        self._database = person.database
        self._store = person.store
        self._models = person.models
        self._backend = person.backend
        self._runs = person.runs

    @property
    def are_available(self) -> bool:
        """False if DeepLake Cloud is to train but does not hold the store (API contract)."""
        return self._settings.deep_memory_trainer == "local" or self._settings.is_cloud

    # Reading

    def get(self, run_id: str) -> TrainingRun:
        """Raises NotFound, also for a run that is someone else's."""
        return self._runs.get(run_id)

    def page(
        self, *, limit: int, offset: int = 0, status: RunStatus | None = None
    ) -> tuple[list[TrainingRun], int]:
        """A page of runs, newest first, and how many runs there are in all."""
        return self._runs.page(limit=limit, offset=offset, status=status)

    def events(self, run_id: str) -> list[RunEvent]:
        """The newest lines of a run's timeline, oldest first."""
        return self._runs.events(run_id)

    def problems(self, run_id: str) -> dict[str, int]:
        """Problem -> number of chunks that yielded fewer pairs than asked; most frequent first."""
        return self._runs.problems(run_id)

    def chunks_with_problem(self, run_id: str, *, limit: int) -> list[tuple[str, str]]:
        """(chunk id, problem) of at most `limit` chunks that yielded fewer pairs than asked."""
        return self._runs.chunks_with_problem(run_id, limit=limit)

    def waiting_at_openai(self, run: TrainingRun) -> WaitingChunks:
        """How many chunks of a batch-mode run wait for an answer, and how many have one ready."""
        return waiting(run, self._database)

    def spent(self, run: TrainingRun) -> tuple[TokenUsage, float | None]:
        """The tokens that a run has taken so far, and US dollars, None when no price is known."""
        usage = usage_so_far(run.usage)
        model = run.settings.get("question_model", "")
        prices = self._settings.model_prices
        return usage, cost_usd(usage, model, prices, batch_mode=is_batch_mode(run))

    # Generating

    def estimate(
        self, questions_per_chunk: int | None = None, *, batch_mode: bool = False
    ) -> Estimate:
        """What generating for the whole knowledge base would ask and cost."""
        return estimate_generation(
            self._store.snapshot().chunks,
            questions_per_chunk or self._settings.questions_per_chunk,
            model=self._settings.question_model,
            own_prices=self._settings.model_prices,
            batch_mode=batch_mode,
        )

    @property
    def offer_batch_mode(self) -> bool:
        """Whether a run may use the batch mode: half the price, and up to a day of waiting."""
        return self._batch_mode.is_offered(self._settings, self._store.count())

    @property
    def offer_asking_again(self) -> bool:
        """Whether asking chunks again may give other questions; the offline writer's are the same
        each time."""
        return self._settings.question_model != OFFLINE_WRITER

    def generate(
        self, questions_per_chunk: int | None = None, *, batch_mode: bool = False
    ) -> TrainingRun:
        """Start a run that generates questions for every chunk of the knowledge base.

        Raises:
            RunBlocked: there is an unfinished run.
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
        if batch_mode and not self.offer_batch_mode:
            raise NotAllowed(
                "The batch mode is for OpenAI's own models, and for knowledge bases of more than "
                f"{self._batch_mode.more_chunks_than:,} chunks."
            )
        run = self._runs.start(
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

    def retry_problems(self, run_id: str) -> TrainingRun:
        """Retry only the chunks that yielded fewer pairs than asked; existing pairs stay.

        Raises:
            NotFound: there is no such run.
            RunMoved: the run is not in review.
            NotAllowed: no chunk had a problem.
        """
        self._require_available()
        if not self._runs.problems(run_id):
            self._runs.get(run_id)
            raise NotAllowed("No chunk of this run had a problem.")
        run = self._runs.retry_problems(run_id)
        self._jobs.launch(run)
        return run

    # Training, proceeding, stopping, removing

    def train(self, run_id: str) -> TrainingRun:
        """Start training on the pairs of a reviewed run."""
        self._require_available()
        if self._runs.get(run_id).pair_count == 0:
            raise NotAllowed(
                "There is no pair to train on.", next_step="Discard this run and start a new one."
            )
        run = self._runs.start_training(run_id)
        self._jobs.launch(run)
        return run

    def proceed(self, run_id: str) -> tuple[TrainingRun, str]:
        """Resume a failed run where it stopped; returns it and a sentence that says where."""
        self._require_available()
        stopped = self._runs.get(run_id)
        if stopped.status is RunStatus.GENERATING_FAILED and not self._store.count():
            raise NotAllowed(
                "The knowledge base is empty, so this run would lose its pairs. They are kept.",
                next_step="Add its documents again, then proceed; or remove the run.",
            )
        self._await_last_answers(stopped)
        run = self._runs.proceed(run_id)
        self._jobs.launch(run)
        if run.status is RunStatus.TRAINING:
            return run, f"Resuming training with {run.pair_count} pairs"
        total = max(self._store.count(), run.processed_chunks)
        return run, f"Resuming generation from chunk {run.processed_chunks}/{total}"

    def _await_last_answers(self, run: TrainingRun) -> None:
        """Give the worker of a stopped run, in whichever process, time to store its last answers.

        The new attempt locks it out, and would ask and pay for the same again.
        """
        deadline = time.monotonic() + _LAST_ANSWERS_S
        while run.status.is_failed and run.worker_id and time.monotonic() < deadline:
            time.sleep(0.2)
            run = self._runs.get(run.id)

    def stop(self, run_id: str) -> TrainingRun:
        """Stop an active run or discard one in review. What it made is kept.

        Raises:
            TrainingError: the run was stopped, but its job in DeepLake Cloud may continue.
            GenerationError: the run was stopped, but a batch at OpenAI may continue.
        """
        run = self._runs.stop(run_id, by=self._identity.email)
        self._jobs.stop_here(run)
        try:
            self._cancel_outside(run, batches_of(run, self._database))
        except TrainingError as error:
            self._runs.say_job_goes_on(run_id, str(error))
            raise TrainingError(
                f"The run was stopped. {error}", next_step=error.next_step
            ) from error
        return run

    def remove(self, run_id: str) -> str:
        """Delete a failed run, its pairs and its files; returns a sentence that says how many."""
        run = self._runs.get(run_id)
        batches = batches_of(run, self._database)
        message = f"Training run and {self._runs.remove(run_id)} associated pairs deleted"
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
        pairs = self._runs.remove_completed(run_id)
        self._models.remove(run_id)
        return f"Training run, its model and {pairs} associated pairs deleted"

    def _cancel_outside(self, run: TrainingRun, batches: Sequence[RememberedBatch]) -> None:
        """Cancel the external work of a run that was given up, so that it costs nothing more."""
        self._backend.cancel(run)
        cancel_batches(self._settings, batches)

    def _require_available(self) -> None:
        if not self.are_available:
            raise NotAllowed(
                "Deep Memory needs a vector store in DeepLake Cloud.",
                next_step="Set DEEPLAKE_PATH to hub://..., or DEEP_MEMORY_TRAINER to local.",
            )
