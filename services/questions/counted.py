"""Which judgements count in a set of questions: the person's, and a model's if the person says so.

Those of another application's users do not count: they are for the person to review.
"""

from __future__ import annotations

from services.accounts.database import Database, ReturnMethod, storable
from services.questions.judgements import Judge, JudgementStore, by_question
from services.questions.pool import Judged

_COUNTS = "deep_memory_model_counts"


class CountedJudgements:
    """As the identity of `database` sees them; the service names a `user_id`."""

    def __init__(self, database: Database, user_id: str) -> None:
        self._database = database
        self._user_id = user_id
        self._store = JudgementStore(database, user_id)

    def of(self, test_set: str) -> Judged:
        """Those that count in this set; what the person says goes before what a model says."""
        own = by_question(self._store.all())
        if not self.counts_model(test_set):
            return own
        of_model = by_question(self._store.all([Judge.MODEL]))
        return {key: {**of_model.get(key, {}), **own.get(key, {})} for key in of_model.keys() | own}

    def counts_model(self, test_set: str) -> bool:
        rows = self._database.execute(
            lambda c: (
                c.table(_COUNTS)
                .select("test_set")
                .eq("user_id", self._user_id)
                .eq("test_set", storable(test_set))
            )
        ).data
        return bool(rows)

    def let_model_count(self, test_set: str, counts: bool) -> None:
        """Have a model's judgements count in this set, or no longer; safe to repeat."""
        row = {"user_id": self._user_id, "test_set": storable(test_set)}
        if counts:
            self._database.execute(
                lambda c: c.table(_COUNTS).upsert(
                    row, on_conflict="user_id,test_set", returning=ReturnMethod.minimal
                )
            )
        else:
            self._database.execute(lambda c: c.table(_COUNTS).delete().match(row))
