"""What the areas of one person's workspace are built on. Pages and routes see only the areas."""

from __future__ import annotations

from dataclasses import dataclass

from services.accounts.auth import BearerUser, Identity, SignedInUser
from services.accounts.database import Database
from services.deep_memory.backend import Backend
from services.deep_memory.model_store import ModelStore
from services.retrieval.vector_store import VectorStore
from services.runs.store import RunStore
from services.studio import Studio


@dataclass(frozen=True, slots=True)
class Person:
    """One signed-in person with their stores; `database` acts with that person's rights."""

    studio: Studio
    identity: Identity
    database: Database
    store: VectorStore
    models: ModelStore
    backend: Backend
    runs: RunStore


def person_of(studio: Studio, user: SignedInUser | BearerUser) -> Person:
    user_id, database = user.identity.user_id, user.database
    places = studio.places
    models = places.models_of(user_id)
    return Person(
        studio,
        user.identity,
        database,
        store=places.store_of(user_id),
        models=models,
        backend=places.backend_of(user_id, database, models),
        runs=RunStore(database, studio.jobs.waiting),
    )
