"""The question-chunk pairs of a run: read in pages, edited and dropped in review."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.accounts.database import PAGE_ROWS, CountMethod, Database, every_row, storable
from services.errors import NotAllowed, NotFound
from services.models import Chunk, TrainingPair
from services.pairs.exchange import NewPair

_PAIRS = "deep_memory_training_pairs"
_COLUMNS = "id, training_run_id, question_text, chunk_id, chunk_preview, relevance_score"
PREVIEW_CHARACTERS = 200
_ADDED_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class AddedPairs:
    """How many pairs of an import were added, and how many were not."""

    added: int
    duplicates: int  # the run already has this question and chunk, or the file has them twice
    unknown: int  # their chunk is not in the knowledge base


class PairStore:
    """Pairs as the identity of `database` sees them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def page(
        self, run_id: str, *, limit: int, offset: int = 0, search: str = ""
    ) -> list[TrainingPair]:
        """A page of pairs in a stable order, those of a chunk together."""
        rows = self._database.execute(
            lambda c: (
                _matching(c.table(_PAIRS).select(_COLUMNS), run_id, search)
                .order("created_at")
                .order("chunk_id")
                .order("id")
                .range(offset, offset + limit - 1)
            )
        ).data
        return [TrainingPair(**row) for row in rows]

    def get(self, run_id: str, pair_id: str) -> TrainingPair:
        """Raises NotFound, also for a pair of another run."""
        rows = self._database.execute(
            lambda c: (
                c.table(_PAIRS).select(_COLUMNS).eq("training_run_id", run_id).eq("id", pair_id)
            )
        ).data
        if not rows:
            raise NotFound("There is no such pair in this run.")
        return TrainingPair(**rows[0])

    def count(self, run_id: str, *, search: str = "") -> int:
        """How many pairs there are, with `search` in their question."""
        return self._database.execute(
            lambda c: _matching(
                c.table(_PAIRS).select("id", count=CountMethod.exact, head=True), run_id, search
            )
        ).count

    def all(self, run_id: str) -> list[TrainingPair]:
        """Every pair of the run, however many there are."""

        def page(first: int, last: int) -> list[Any]:
            return self._database.execute(
                lambda c: (
                    c.table(_PAIRS)
                    .select(_COLUMNS)
                    .eq("training_run_id", run_id)
                    .order("id")
                    .range(first, last)
                )
            ).data

        return [TrainingPair(**row) for row in every_row(page)]

    def about(self, chunk_ids: Sequence[str]) -> dict[str, list[TrainingPair]]:
        """The pairs of each of some chunks, in all runs, the newest run first. At most 1,000."""
        rows = self._database.execute(
            lambda c: (
                c.table(_PAIRS)
                .select(_COLUMNS)
                .in_("chunk_id", list(chunk_ids))
                .order("created_at", desc=True)
                .order("id")
                .limit(PAGE_ROWS)
            )
        ).data
        found: dict[str, list[TrainingPair]] = {}
        for row in rows:
            found.setdefault(row["chunk_id"], []).append(TrainingPair(**row))
        return found

    def edit(self, run_id: str, pair_id: str, question: str) -> TrainingPair:
        """Change a question of a run while that is in review.

        Raises:
            NotAllowed: the question is empty, or its chunk already has it.
            NotFound: the pair is gone, or its run is not in review.
        """
        question = " ".join(question.split())
        if not question:
            raise NotAllowed("A question cannot be empty. Drop the pair instead.")
        rows = self._database.execute(
            lambda c: (
                c.table(_PAIRS)
                .update({"question_text": question})
                .eq("training_run_id", run_id)
                .eq("id", pair_id)
            )
        ).data
        if not rows:
            raise NotFound("The pair is gone, or its run is no longer in review.")
        return TrainingPair(**{name: rows[0][name] for name in _COLUMNS.split(", ")})

    def add(self, run_id: str, pairs: Sequence[NewPair], chunks: Mapping[str, Chunk]) -> AddedPairs:
        """Add pairs to a run in review, in batches; existing pairs are left unchanged.

        Safe to repeat after a failure: pairs already added then count as duplicates. `chunks` are
        those of the knowledge base by id; pairs of other chunks are left out.

        Raises:
            NotAllowed: the run is not in review, or not the caller's.
        """
        rows = [
            {
                "question_text": storable(pair.question_text),
                "chunk_id": pair.chunk_id,
                "chunk_preview": storable(chunks[pair.chunk_id].text[:PREVIEW_CHARACTERS]),
                "relevance_score": pair.relevance_score,
            }
            for pair in pairs
            if pair.chunk_id in chunks
        ]
        added = sum(
            self._database.rpc(
                "add_pairs", p_run=run_id, p_pairs=rows[first : first + _ADDED_AT_ONCE]
            )
            for first in range(0, len(rows), _ADDED_AT_ONCE)
        )
        return AddedPairs(added, len(rows) - added, len(pairs) - len(rows))

    def drop(self, run_id: str, pair_ids: Sequence[str]) -> int:
        """Drop pairs of a run while that is in review; returns how many were dropped."""
        dropped = 0
        for first in range(0, len(pair_ids), 100):  # ids travel in the URL
            dropped += self._drop(run_id, pair_ids[first : first + 100])
        return dropped

    def _drop(self, run_id: str, pair_ids: Sequence[str]) -> int:
        deleted = self._database.execute(
            lambda c: c.table(_PAIRS).delete().eq("training_run_id", run_id).in_("id", pair_ids)
        )
        return len(deleted.data)


def _matching(query: Any, run_id: str, search: str) -> Any:
    query = query.eq("training_run_id", run_id)
    return query.ilike("question_text", f"%{_literally(search.strip())}%") if search else query


def _literally(text: str) -> str:
    """`text` with LIKE's wildcards escaped. PostgREST treats * as a wildcard too."""
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped.replace("*", "_")
