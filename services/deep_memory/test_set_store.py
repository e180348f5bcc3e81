"""The test sets of a user, each stored as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from services.accounts.database import Database, ReturnMethod, storable
from services.deep_memory.test_sets import Expected, OwnQuestion
from services.errors import NotAllowed, NotFound

_SETS = "deep_memory_test_sets"


class TestSetStore:
    """Test sets as the identity of `database` sees them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def names(self) -> list[tuple[str, int]]:
        """Name and number of questions of each set, ordered by name."""
        rows = self._database.execute(
            lambda c: c.table(_SETS).select("name, question_count").order("name")
        ).data
        return [(row["name"], row["question_count"]) for row in rows]

    def save(self, name: str, questions: Sequence[OwnQuestion]) -> None:
        """Store a set, replacing one of the same name.

        Raises:
            NotAllowed: the name is empty.
        """
        if not name.strip():
            raise NotAllowed("A test set needs a name.")
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
        row = {"name": storable(name.strip()), "questions": kept}
        self._database.execute(
            lambda c: c.table(_SETS).upsert(
                row, on_conflict="user_id,name", returning=ReturnMethod.minimal
            )
        )

    def load(self, name: str) -> list[OwnQuestion]:
        """The questions of a set. Raises NotFound if there is none of this name."""
        rows = self._database.execute(
            lambda c: c.table(_SETS).select("questions").eq("name", name)
        ).data
        if not rows:
            raise NotFound("There is no such test set.")
        return [
            OwnQuestion(kept["question"], tuple(Expected(**found) for found in kept["expected"]))
            for kept in rows[0]["questions"]
        ]

    def remove(self, name: str) -> int:
        """Delete a set; returns how many there were, 0 or 1."""
        return len(self._database.execute(lambda c: c.table(_SETS).delete().eq("name", name)).data)
