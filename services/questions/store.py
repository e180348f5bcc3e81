"""People's questions: each stands once, and either measures search or teaches it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from services.accounts.database import Database, ReturnMethod, every_row, storable

_QUESTIONS = "deep_memory_questions"
_COLUMNS = "question, purpose, origin, is_unanswerable"


class Purpose(StrEnum):
    """What a question is for. It has one purpose, so none measures what it taught."""

    OPEN = "open"  # not decided
    TEST = "test"
    TRAINING = "training"


class Origin(StrEnum):
    SEARCH = "search"
    APPLICATION = "application"
    LOG = "log"
    FORM = "form"


@dataclass(frozen=True, slots=True)
class PersonsQuestion:
    question: str
    purpose: Purpose
    origin: Origin
    is_unanswerable: bool = False  # a person says that the documents have no answer


class QuestionStore:
    """Questions as the identity of `database` sees them; the service names a `user_id`."""

    def __init__(self, database: Database, user_id: str) -> None:
        self._database = database
        self._user_id = user_id

    def save(self, questions: Sequence[PersonsQuestion]) -> None:
        """Store questions; one that is there takes the new purpose."""
        rows = [
            {
                "user_id": self._user_id,
                "question": storable(asked.question),
                "purpose": asked.purpose.value,
                "origin": asked.origin.value,
                "is_unanswerable": asked.is_unanswerable,
            }
            for asked in questions
        ]
        self._database.execute(
            lambda c: c.table(_QUESTIONS).upsert(
                rows, on_conflict="user_id,question_key", returning=ReturnMethod.minimal
            )
        )

    def all(self, purpose: Purpose | None = None) -> list[PersonsQuestion]:
        """All questions, or those with this purpose, in a stable order."""

        def page(first: int, last: int) -> list[Any]:
            return self._database.execute(
                lambda c: (
                    _with(
                        purpose,
                        c.table(_QUESTIONS).select(_COLUMNS).eq("user_id", self._user_id),
                    )
                    .order("created_at")
                    .order("question_key")
                    .range(first, last)
                )
            ).data

        return [
            PersonsQuestion(
                row["question"],
                Purpose(row["purpose"]),
                Origin(row["origin"]),
                row["is_unanswerable"],
            )
            for row in every_row(page)
        ]


def _with(purpose: Purpose | None, query: Any) -> Any:
    return query if purpose is None else query.eq("purpose", purpose.value)
