"""The test sets of a user: those they brought, each stored as a whole, and the app's own two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from services.accounts.database import Database, ReturnMethod, storable
from services.deep_memory.measured_sets import HELD_OUT
from services.deep_memory.test_sets import (
    FROM_SEARCHES,
    SAMPLE_TEST_SET,
    Expected,
    OwnQuestion,
    sample_set,
)
from services.errors import NotAllowed, NotFound
from services.questions.answered import answered
from services.questions.store import Purpose

_SETS = "deep_memory_test_sets"


class TestSetStore:
    """Test sets as the identity of `database` sees them; the service names a `user_id`."""

    def __init__(self, database: Database, user_id: str) -> None:
        self._database = database
        self._user_id = user_id

    def names(self) -> list[tuple[str, int]]:
        """Name and number of questions of each set but the sample's: by name, then searches'."""
        rows = self._database.execute(
            lambda c: (
                c.table(_SETS)
                .select("name, question_count")
                .eq("user_id", self._user_id)
                .order("name")
            )
        ).data
        brought = [(row["name"], row["question_count"]) for row in rows]
        found = len(self._from_searches())
        return [*brought, (FROM_SEARCHES, found)] if found else brought

    def save(self, name: str, questions: Sequence[OwnQuestion]) -> None:
        """Store a set, replacing one of the same name.

        Raises:
            NotAllowed: the name is empty, or that of one of the app's sets.
        """
        if not name.strip():
            raise NotAllowed("A test set needs a name.")
        if not is_own(name.strip()) or name.strip() == HELD_OUT:
            raise NotAllowed("That is the name of one of the app's own test sets.")
        kept = [
            {
                "question": storable(question.question),
                "expected": [
                    {field: storable(text) for field, text in asdict(expected).items()}
                    for expected in question.expected
                ],
            }
            for question in questions
        ]
        row = {"user_id": self._user_id, "name": storable(name.strip()), "questions": kept}
        self._database.execute(
            lambda c: c.table(_SETS).upsert(
                row, on_conflict="user_id,name", returning=ReturnMethod.minimal
            )
        )

    def load(self, name: str) -> list[OwnQuestion]:
        """The questions of a set. Raises NotFound if there is none of this name."""
        if name == SAMPLE_TEST_SET:
            return sample_set()
        if name == FROM_SEARCHES:
            return self._from_searches()
        rows = self._database.execute(
            lambda c: (
                c.table(_SETS).select("questions").eq("user_id", self._user_id).eq("name", name)
            )
        ).data
        if not rows:
            raise NotFound("There is no such test set.")
        return [
            OwnQuestion(kept["question"], tuple(Expected(**found) for found in kept["expected"]))
            for kept in rows[0]["questions"]
        ]

    def remove(self, name: str) -> int:
        """Delete a set; returns how many there were, 0 or 1."""
        deleted = self._database.execute(
            lambda c: c.table(_SETS).delete().eq("user_id", self._user_id).eq("name", name)
        )
        return len(deleted.data)

    def _from_searches(self) -> list[OwnQuestion]:
        return [
            OwnQuestion(
                one.question,
                tuple(Expected(chunk_id) for chunk_id in one.chunk_ids),
            )
            for one in answered(self._database, self._user_id, Purpose.TEST)
        ]


def is_own(name: str) -> bool:
    """Whether a set of this name is one that a person brought."""
    return name not in (SAMPLE_TEST_SET, FROM_SEARCHES)
