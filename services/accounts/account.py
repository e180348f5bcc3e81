"""What a person may know about the app: which services are set, and whether OpenAI answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from services.person import Person

if TYPE_CHECKING:  # importing openai takes a second that the start need not wait for
    from services.openai_api.connection_check import ConnectionReport


@dataclass(frozen=True, slots=True)
class SetUp:
    """Which settings are present, never a secret's value, and what is in use because of them."""

    supabase_is_set: bool  # else the embedded one is used
    deeplake_cloud_is_set: bool  # else documents are in a folder of this machine
    openai_is_set: bool  # or a server that speaks like it; else all is written and embedded offline
    question_writer: str
    embedder: str
    reranker: str | None  # its model; None: search is not reranked
    trainer: str
    questions_per_chunk: int
    supabase_url: str  # where callers over HTTP sign in


class Account:
    """The account of one person."""

    def __init__(self, person: Person) -> None:
        self._studio = person.studio
        self._identity = person.identity

    @property
    def email(self) -> str:
        return self._identity.email

    def set_up(self) -> SetUp:
        """What this app was started with."""
        settings = self._studio.settings
        return SetUp(
            supabase_is_set=not settings.is_embedded,
            deeplake_cloud_is_set=settings.is_cloud,
            openai_is_set=bool(settings.openai_api_key or settings.openai_base_url),
            question_writer=self._studio.writer.name,
            embedder=self._studio.embedder_name,
            reranker=settings.rerank_model,
            trainer=settings.deep_memory_trainer,
            questions_per_chunk=settings.questions_per_chunk,
            supabase_url=self._studio.endpoint.url,
        )

    def check_connection(self) -> ConnectionReport:
        """Ask the set models for one question and one embedding; costs a few hundred tokens."""
        from services.openai_api.connection_check import check_connection

        return check_connection(self._studio.settings)
