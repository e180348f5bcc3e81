"""The work on runs that worker threads do: writing questions, and training on them."""

from __future__ import annotations

from services.accounts.database import Database
from services.config import MOST_QUESTIONS_PER_CHUNK, Settings
from services.deep_memory.run_questions import questions_of
from services.generation.batch_mode import BatchMode, is_batch_mode
from services.generation.pair_generator import generate_pairs, usage_so_far
from services.generation.question_writers import make_question_writer
from services.models import TrainingRun
from services.places import Places
from services.runs.lease import RunLease
from services.runs.states import RunStatus
from services.runs.worker import Job


def jobs_of(
    settings: Settings, service: Database, places: Places, batch_mode: BatchMode
) -> dict[RunStatus, Job]:
    """What a worker does with a run, by its status.

    Each job raises AppError if it cannot continue, and RunLost once the run was stopped or handed
    on. The pairs are kept.
    """

    def generate(lease: RunLease, run: TrainingRun) -> None:
        chunks = places.store_of(run.user_id).snapshot().chunks
        wanted = run.settings.get("questions_per_chunk", settings.questions_per_chunk)
        count = min(wanted, MOST_QUESTIONS_PER_CHUNK)  # a row may bypass Runs.generate's check
        usage = usage_so_far(run.usage)
        if is_batch_mode(run):
            # Here, because importing openai takes a second, which the offline default is spared.
            from services.generation.batch_generator import generate_in_batches

            generate_in_batches(
                lease,
                chunks,
                settings,
                questions_per_chunk=count,
                mode=batch_mode,
                usage=usage,
            )
            return
        generate_pairs(
            lease,
            chunks,
            make_question_writer(settings),  # one per run, because it stops with the run
            questions_per_chunk=count,
            concurrency=settings.generation_concurrency,
            usage=usage,
        )

    def train(lease: RunLease, run: TrainingRun) -> None:
        questions = lease.retrying(lambda: questions_of(run, service))
        models = places.models_of(run.user_id)
        places.backend_of(run.user_id, service, models).train(lease, run, questions)

    return {RunStatus.GENERATING: generate, RunStatus.TRAINING: train}
