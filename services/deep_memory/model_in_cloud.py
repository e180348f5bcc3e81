"""Which run's model DeepLake Cloud holds: that of the last job to complete there."""

from __future__ import annotations

from services.accounts.database import Database
from services.deep_memory.cloud_jobs import Submission, ended_jobs
from services.retrieval.cloud_failures import CloudFailure
from services.retrieval.cloud_store import CloudVectorStore, store_error

REPLACED_IN_CLOUD = (
    "DeepLake Cloud keeps the latest model only: a later training has replaced this one."
)
_MAY_BE_REPLACED = "A training that went on there may have replaced this model."


def model_in_cloud(database: Database, store: CloudVectorStore) -> str | None:
    """The id of the run whose model DeepLake Cloud holds for the caller: the last completed there.

    None if a job without a completed run has completed since: one that could not be cancelled, or
    whose run failed. DeepLake Cloud is asked only while such a job may be active.

    Raises:
        StoreUnavailable: the state of such a job could not be read.
    """
    _settle_jobs(database, store)
    return database.rpc("model_in_cloud")


def _settle_jobs(database: Database, store: CloudVectorStore) -> None:
    rows = database.execute(
        lambda c: (
            c.table("deep_memory_cloud_jobs")
            .select("id, job_id, submission")
            .eq("completed", False)
        )
    ).data
    if not rows:
        return
    recorded = {row["id"]: Submission.read(row["submission"], row["job_id"]) for row in rows}
    try:
        ended = ended_jobs(store, recorded)
    except CloudFailure as failure:
        raise store_error(failure, _MAY_BE_REPLACED) from failure
    for id_, completed in ended.items():
        database.rpc("settle_cloud_submission", p_id=id_, p_completed=completed)
