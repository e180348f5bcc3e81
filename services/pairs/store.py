"""The question-chunk pairs of a run: read in pages, changed in review."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.accounts.database import PAGE_ROWS, CountMethod, Database, every_row, storable
from services.errors import NotAllowed, NotFound
from services.models import Chunk, Review, TrainingPair
from services.pairs.exchange import NewPair
from services.pairs.selection import ALL, Order, ReviewCounts, Selection

_PAIRS = "deep_memory_training_pairs"
_COLUMNS = (
    "id, training_run_id, question_text, chunk_id, chunk_preview, relevance_score, review, "
    "original_question, reviewed_at, flags, is_imported"
)
PREVIEW_CHARACTERS = 200
_ADDED_AT_ONCE = 1000
_CHECKS_AT_ONCE = 2000


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
        self, run_id: str, *, limit: int, offset: int = 0, selection: Selection = ALL
    ) -> list[TrainingPair]:
        """A page of the selected pairs, in their stable order."""

        def statement(c: Any) -> Any:
            query = _matching(c.table(_PAIRS).select(_COLUMNS), run_id, selection)
            if selection.order is Order.DOUBT:
                query = query.order("doubt", desc=True, nullsfirst=False)
            ordered = query.order("created_at").order("chunk_id").order("id")
            return ordered.range(offset, offset + limit - 1)

        return [_pair(row) for row in self._database.execute(statement).data]

    def some(self, run_id: str, pair_ids: Sequence[str]) -> list[TrainingPair]:
        """Those of a few pairs that the run has, in the order of the ids."""
        rows = self._database.execute(
            lambda c: (
                c.table(_PAIRS)
                .select(_COLUMNS)
                .eq("training_run_id", run_id)
                .in_("id", list(pair_ids))
            )
        ).data
        found = {row["id"]: _pair(row) for row in rows}
        return [found[pair_id] for pair_id in pair_ids if pair_id in found]

    def get(self, run_id: str, pair_id: str) -> TrainingPair:
        """Raises NotFound, also for a pair of another run."""
        rows = self._database.execute(
            lambda c: (
                c.table(_PAIRS).select(_COLUMNS).eq("training_run_id", run_id).eq("id", pair_id)
            )
        ).data
        if not rows:
            raise NotFound("There is no such pair in this run.")
        return _pair(rows[0])

    def count(self, run_id: str, selection: Selection = ALL) -> int:
        """How many pairs are selected."""
        return self._database.execute(
            lambda c: _matching(
                c.table(_PAIRS).select("id", count=CountMethod.exact, head=True), run_id, selection
            )
        ).count

    def counts(self, run_id: str, version: str) -> ReviewCounts:
        """How far the review is, with checks on this version of the knowledge base."""
        return ReviewCounts(**self._database.rpc("review_counts", p_run=run_id, p_version=version))

    def all(self, run_id: str, selection: Selection = ALL) -> list[TrainingPair]:
        """Every selected pair of the run, however many there are, by id."""

        def page(first: int, last: int) -> list[Any]:
            return self._database.execute(
                lambda c: (
                    _matching(c.table(_PAIRS).select(_COLUMNS), run_id, selection)
                    .order("id")
                    .range(first, last)
                )
            ).data

        return [_pair(row) for row in every_row(page)]

    def unchecked(self, run_id: str, version: str) -> list[TrainingPair]:
        """The pairs, also dropped ones, of every chunk with a pair that was not checked on this
        version of the knowledge base."""

        def page(first: int, last: int) -> list[Any]:
            return self._database.execute(
                lambda c: (
                    c.rpc("unchecked_pairs", {"p_run": run_id, "p_version": version})
                    .select(_COLUMNS)
                    .range(first, last)
                )
            ).data

        return [_pair(row) for row in every_row(page)]

    def note_checks(self, run_id: str, version: str, checks: Sequence[dict[str, Any]]) -> int:
        """Store what a check on this version found; returns how many pairs took it.

        Each check has `id`, `reviewed_at`, `doubt` and `flags`. A pair about which somebody decided
        since `reviewed_at` keeps what it has.
        """
        return sum(
            self._database.rpc(
                "note_checks",
                p_run=run_id,
                p_version=version,
                p_checks=checks[first : first + _CHECKS_AT_ONCE],
            )
            for first in range(0, len(checks), _CHECKS_AT_ONCE)
        )

    def about(self, chunk_ids: Sequence[str]) -> dict[str, list[TrainingPair]]:
        """The pairs of each of some chunks, in all runs, the newest run first. At most 1,000."""
        rows = self._database.execute(
            lambda c: (
                c.table(_PAIRS)
                .select(_COLUMNS)
                .in_("chunk_id", list(chunk_ids))
                .neq("review", Review.DROPPED.value)
                .order("created_at", desc=True)
                .order("id")
                .limit(PAGE_ROWS)
            )
        ).data
        found: dict[str, list[TrainingPair]] = {}
        for row in rows:
            found.setdefault(row["chunk_id"], []).append(_pair(row))
        return found

    def decide(
        self,
        run_id: str,
        pair_ids: Sequence[str],
        review: Review,
        *,
        seen: Sequence[str | None] | None = None,
        question: str | None = None,
    ) -> list[TrainingPair]:
        """Decide about pairs of a run in review, and return those that this changed, in the order
        of the ids.

        With `seen`, the `reviewed_at` of each as the person saw it, a pair about which somebody
        decided since stays as it is. `question` is for a single pair: its new text.

        Raises:
            NotAllowed: the question is empty, or its chunk already has it.
        """
        if question is not None:
            question = " ".join(storable(question).split())
            if not question:
                raise NotAllowed("A question cannot be empty.", next_step="Drop the pair instead.")
        changed: list[TrainingPair] = []
        for first in range(0, len(pair_ids), PAGE_ROWS):
            batch = slice(first, first + PAGE_ROWS)
            rows = self._database.rpc(
                "review_pairs",
                p_run=run_id,
                p_ids=list(pair_ids[batch]),
                p_seen=None if seen is None else list(seen[batch]),
                p_review=review.value,
                p_question=question,
            )
            found = {row["id"]: _pair(row) for row in rows}
            changed += [found[pair_id] for pair_id in pair_ids[batch] if pair_id in found]
        return changed

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


def _pair(row: Mapping[str, Any]) -> TrainingPair:
    return TrainingPair(
        **{
            **{name: row[name] for name in _COLUMNS.split(", ")},
            "review": Review(row["review"]),
            "flags": tuple(row["flags"]),
        }
    )


def _matching(query: Any, run_id: str, selection: Selection) -> Any:
    query = query.eq("training_run_id", run_id)
    if selection.review is None:
        query = query.neq("review", Review.DROPPED.value)
    else:
        query = query.eq("review", selection.review.value)
    if selection.is_edited:
        query = query.not_.is_("original_question", "null")
    if selection.flag is not None:
        query = query.contains("flags", [selection.flag.value])
    elif selection.is_flagged:
        query = query.neq("flags", "{}")
    if words := selection.search.strip():
        query = query.ilike("question_text", f"%{_literally(words)}%")
    return query


def _literally(text: str) -> str:
    """`text` with LIKE's wildcards escaped. PostgREST treats * as a wildcard too."""
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped.replace("*", "_")
