"""What a person does with the pairs of a run: read, check, correct, drop, import, export."""

from __future__ import annotations

from collections.abc import Sequence

from services.errors import NotAllowed, NotFound, RunMoved
from services.models import TrainingPair, TrainingRun
from services.pairs.checking import (
    MOST_REMEMBERED,
    MOST_UNASKED_COMPARISONS,
    PairCheck,
    Progress,
    RememberingEmbedder,
    check_pairs,
    estimate_check,
)
from services.pairs.exchange import read_pairs, write_pairs
from services.pairs.store import AddedPairs, PairStore
from services.person import Person
from services.runs.states import RunStatus


class Pairs:
    """The pairs of one person's runs. They change only while their run is in review."""

    def __init__(self, person: Person) -> None:
        self._settings = person.studio.settings
        self._store = person.store
        self._runs = person.runs
        self._pairs = PairStore(person.database)
        self._embedder = RememberingEmbedder(person.studio.places.embedder)

    def page(
        self, run_id: str, *, limit: int, offset: int = 0, search: str = ""
    ) -> list[TrainingPair]:
        """A page of pairs in a stable order, those of a chunk together."""
        return self._pairs.page(run_id, limit=limit, offset=offset, search=search)

    def count(self, run_id: str, *, search: str = "") -> int:
        """How many pairs there are, with `search` in their question."""
        return self._pairs.count(run_id, search=search)

    def about(self, chunk_ids: Sequence[str]) -> dict[str, list[TrainingPair]]:
        """The pairs of each of some chunks, in all runs, the newest run first. At most 1,000."""
        return self._pairs.about(chunk_ids) if chunk_ids else {}

    def edit(self, run_id: str, pair_id: str, question: str) -> TrainingPair:
        """Change one question.

        Raises:
            NotFound: the run has no such pair.
            RunMoved: the run is not in review.
            NotAllowed: the question is empty, or its chunk has it already.
        """
        try:
            return self._pairs.edit(run_id, pair_id, question)
        except NotFound:
            self._pairs.get(run_id, pair_id)
            self._require_in_review(run_id)
            raise

    def drop(self, run_id: str, pair_ids: Sequence[str]) -> int:
        """Drop pairs; returns how many of them the run had.

        Raises:
            RunMoved: the run is not in review.
        """
        dropped = self._pairs.drop(run_id, pair_ids)
        if pair_ids and not dropped:
            try:
                self._pairs.get(run_id, pair_ids[0])
            except NotFound:
                return 0
            self._require_in_review(run_id)
        return dropped

    def check_cost(self, run: TrainingRun) -> float | None:
        """The cost of one check of the run's pairs in US dollars; None if it is not known."""
        return estimate_check(run.pair_count, self._settings)

    def are_checked_unasked(self, run: TrainingRun, asked_before: bool = False) -> bool:
        """Whether checking the run's pairs is free and takes only a moment.

        A second check is, as long as all the vectors of the first are still cached.
        """
        if asked_before and run.pair_count <= MOST_REMEMBERED:
            return True
        comparisons = run.pair_count * self._store.count()
        return self.check_cost(run) == 0 and comparisons <= MOST_UNASKED_COMPARISONS

    def check(
        self, run: TrainingRun, on_progress: Progress | None = None, *, cost_agreed: bool = False
    ) -> PairCheck:
        """Look for doubtful pairs of a run.

        Raises:
            NotAllowed: it costs money, or may do so, and nobody agreed to that.
            AppError: the embedder does not answer.
        """
        if not cost_agreed and (cost := self.check_cost(run)) != 0:
            price = "has no known price" if cost is None else f"costs about ${cost:.4f}"
            raise NotAllowed(
                f"Checking {run.pair_count:,} pairs {price}.",
                next_step="Agree to the cost to have them checked.",
            )
        pairs = self._pairs.all(run.id)
        return check_pairs(pairs, self._store.snapshot(), self._embedder, on_progress)

    def add_file(self, run_id: str, file_name: str, data: bytes) -> AddedPairs:
        """Add the pairs of a file to a run in review.

        Raises:
            DocumentRejected: the file is wrong; nothing was added.
            NotAllowed: the run is not in review.
        """
        chunks = {chunk.id: chunk for chunk in self._store.snapshot().chunks}
        return self._pairs.add(run_id, read_pairs(file_name, data), chunks)

    def export(self, run_id: str, ending: str) -> bytes:
        """All pairs of a run as a file: "jsonl", "csv", or "zip" for BEIR.

        Raises:
            DocumentRejected: the ending is none of these.
        """
        chunks = {chunk.id: chunk for chunk in self._store.snapshot().chunks}
        return write_pairs(ending, self._pairs.all(run_id), chunks)

    def _require_in_review(self, run_id: str) -> None:
        status = self._runs.get(run_id).status
        if status is not RunStatus.GENERATED:
            raise RunMoved(f"The run is {status.value.replace('_', ' ')} now. Nothing was changed.")
