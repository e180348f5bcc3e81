"""Judgements: whether a chunk answers a question, who says so, and why."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from services.accounts.database import Database, ReturnMethod, every_row, storable
from services.pairs.rules import question_key

_JUDGEMENTS = "deep_memory_judgements"
_COLUMNS = "question, chunk_id, answers, judge, reason"
_SAVED_AT_ONCE = 500


class Judge(StrEnum):
    """Who judged. A person's judgements count; the others do only as this person lets them."""

    PERSON = "person"
    APPLICATION = "application"  # users of another application, over HTTP
    MODEL = "model"  # a language model


@dataclass(frozen=True, slots=True)
class Judgement:
    question: str
    chunk_id: str
    answers: bool
    judge: Judge = Judge.PERSON
    reason: str = ""


class JudgementStore:
    """Judgements as the identity of `database` sees them; the service names a `user_id`."""

    def __init__(self, database: Database, user_id: str) -> None:
        self._database = database
        self._user_id = user_id

    def save(self, judgements: Sequence[Judgement], *, replaces_earlier: bool = True) -> None:
        """Store judgements. An earlier one of the same judge on question and chunk is replaced, or
        stays as it is if not `replaces_earlier`; of two that are given, the last one counts."""
        of = {(one.judge, question_key(one.question), one.chunk_id): one for one in judgements}
        rows = [
            {
                "user_id": self._user_id,
                "question": storable(judged.question),
                "chunk_id": storable(judged.chunk_id),
                "answers": judged.answers,
                "judge": judged.judge.value,
                "reason": storable(judged.reason),
            }
            for judged in of.values()
        ]
        for first in range(0, len(rows), _SAVED_AT_ONCE):
            self._save(rows[first : first + _SAVED_AT_ONCE], replaces_earlier=replaces_earlier)

    def _save(self, rows: list[dict[str, Any]], *, replaces_earlier: bool) -> None:
        self._database.execute(
            lambda c: c.table(_JUDGEMENTS).upsert(
                rows,
                on_conflict="user_id,question_key,chunk_id,judge",
                ignore_duplicates=not replaces_earlier,
                returning=ReturnMethod.minimal,
            )
        )

    def take_back(self, question: str, chunk_id: str) -> None:
        """Forget the person's judgement; it does not matter whether there was one.

        A question without any answer left measures and teaches nothing any more.
        """
        self._database.rpc(
            "take_back_judgement", p_question=storable(question), p_chunk=storable(chunk_id)
        )

    def all(self, judges: Collection[Judge] = (Judge.PERSON,)) -> list[Judgement]:
        """Every judgement of these judges, those of a question together."""

        def page(first: int, last: int) -> list[Any]:
            return self._database.execute(
                lambda c: (
                    c.table(_JUDGEMENTS)
                    .select(_COLUMNS)
                    .eq("user_id", self._user_id)
                    .in_("judge", [judge.value for judge in judges])
                    .order("question_key")
                    .order("chunk_id")
                    .order("judge")
                    .range(first, last)
                )
            ).data

        return [Judgement(**row | {"judge": Judge(row["judge"])}) for row in every_row(page)]


def by_question(judgements: Iterable[Judgement]) -> dict[str, dict[str, bool]]:
    """Question key -> chunk id -> whether it answers. The judgements are of one judge."""
    found: dict[str, dict[str, bool]] = {}
    for judged in judgements:
        found.setdefault(question_key(judged.question), {})[judged.chunk_id] = judged.answers
    return found
