"""Searches that are kept with the person's consent, for as long as this person says."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from services.accounts.database import CountMethod, storable
from services.errors import AppError
from services.pairs.rules import LONGEST_QUESTION
from services.person import Person

log = logging.getLogger(__name__)

_SEARCHES, _SETTINGS = "deep_memory_searches", "deep_memory_settings"
KEPT_DAYS = 90  # unless the person says otherwise
MOST_DAYS = 3650


class Source(StrEnum):
    """Where a search was made."""

    PAGE = "page"
    APPLICATION = "application"  # over HTTP
    LOG = "log"  # brought as a file


@dataclass(frozen=True, slots=True)
class Consent:
    """Whether searches are kept, for how many days, and how many are there now."""

    is_given: bool
    days: int
    kept: int


class KeptSearches:
    """The kept searches of one person. Those of a log are the log's: see `missed_questions`."""

    def __init__(self, person: Person) -> None:
        self._database = person.database
        self._user_id = person.identity.user_id

    def consent(self) -> Consent:
        rows = self._database.execute(
            lambda c: c.table(_SETTINGS).select("keeps_searches, searches_kept_days")
        ).data
        row = rows[0] if rows else {}
        kept = self._database.execute(
            lambda c: (
                c.table(_SEARCHES)
                .select("id", count=CountMethod.exact, head=True)
                .neq("source", Source.LOG.value)
            )
        ).count
        return Consent(
            bool(row.get("keeps_searches")), row.get("searches_kept_days", KEPT_DAYS), kept or 0
        )

    def set_consent(self, is_given: bool, days: int | None = None) -> None:
        """Keep searches from now on, or no longer. What was kept stays until `forget`, or until it
        is older than `days`; None leaves these as they are.

        Raises:
            NotAllowed: the days are not from 1 to 3,650.
        """
        row = {"user_id": self._user_id, "keeps_searches": is_given}
        row |= {} if days is None else {"searches_kept_days": days}
        self._database.execute(lambda c: c.table(_SETTINGS).upsert(row, on_conflict="user_id"))

    def keep(self, question: str, source: Source, shown: Sequence[str], run_id: str | None) -> None:
        """Keep a search, if the person has consented, and delete those that are too old.

        `shown` are the chunks, best first; `run_id` is the run whose model ranked them. A search
        that cannot be kept is only noted in the log: it has answered all the same.
        """
        text = storable(question.strip())
        if not text or len(text) > LONGEST_QUESTION:
            return
        try:
            self._database.rpc(
                "keep_search",
                p_question=text,
                p_source=source.value,
                p_shown=list(shown),
                p_run=run_id,
            )
        except AppError as error:
            log.warning("search_not_kept code=%s", error.code)

    def forget(self) -> int:
        """Delete all that were kept; returns how many. Marks and logs stay."""
        deleted = self._database.execute(
            lambda c: (
                c.table(_SEARCHES)
                .delete(count=CountMethod.exact)
                .eq("user_id", self._user_id)
                .neq("source", Source.LOG.value)
            )
        )
        return deleted.count or 0
