"""What a person does with the pairs of a run: read, check, decide, correct, import, export."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from services.errors import NotAllowed, RunMoved
from services.models import Review, TrainingPair, TrainingRun
from services.pairs.background import Checking
from services.pairs.checking import PairCheck, RememberingEmbedder, check_pairs, estimate_check
from services.pairs.doubt import Progress
from services.pairs.exchange import read_pairs, write_pairs
from services.pairs.selection import ALL, ReviewCounts, Selection
from services.pairs.store import AddedPairs, PairStore
from services.person import Person
from services.runs.states import RunStatus

Change = tuple[TrainingPair, TrainingPair]  # a pair before a decision, and after


class Pairs:
    """The pairs of one person's runs. They change only while their run is in review."""

    def __init__(self, person: Person) -> None:
        self._settings = person.studio.settings
        self._places = person.studio.places
        self._user_id = person.identity.user_id
        self._store = person.store
        self._runs = person.runs
        self._pairs = PairStore(person.database)
        self._embedder = RememberingEmbedder(person.studio.places.embedder)
        self._checks = person.studio.pair_checks

    # Reading

    def page(
        self, run_id: str, *, limit: int, offset: int = 0, selection: Selection = ALL
    ) -> list[TrainingPair]:
        """A page of the selected pairs, in their stable order."""
        return self._pairs.page(run_id, limit=limit, offset=offset, selection=selection)

    def some(self, run_id: str, pair_ids: Sequence[str]) -> list[TrainingPair]:
        """Those of a few pairs that the run has, in the order of the ids."""
        return self._pairs.some(run_id, pair_ids) if pair_ids else []

    def all(self, run_id: str, selection: Selection) -> list[TrainingPair]:
        """Every selected pair, however many there are."""
        return self._pairs.all(run_id, selection)

    def count(self, run_id: str, selection: Selection = ALL) -> int:
        """How many pairs are selected."""
        return self._pairs.count(run_id, selection)

    def counts(self, run_id: str) -> ReviewCounts:
        """How many pairs are in each state, and how many are not checked."""
        return self._pairs.counts(run_id, self._store.snapshot().version)

    def about(self, chunk_ids: Sequence[str]) -> dict[str, list[TrainingPair]]:
        """The pairs of each of some chunks, in all runs, the newest run first. At most 1,000."""
        return self._pairs.about(chunk_ids) if chunk_ids else {}

    # Deciding

    def edit(self, run_id: str, pair: TrainingPair, question: str) -> TrainingPair:
        """Change the question of a pair as the person saw it, and so keep the pair.

        Raises:
            RunMoved: the run is not in review, or somebody else decided about the pair since.
            NotAllowed: the question is empty, or its chunk has it already.
        """
        changed = self._pairs.decide(
            run_id, [pair.id], Review.KEPT, seen=[pair.reviewed_at], question=question
        )
        return changed[0] if changed else self._unchanged(run_id, pair)

    def put(
        self, run_id: str, pair_id: str, review: Review, question: str | None = None
    ) -> TrainingPair:
        """Set what a pair is, whatever it was.

        Raises:
            NotFound: the run has no such pair.
            RunMoved: the run is not in review.
            NotAllowed: the question is empty, or its chunk has it already.
        """
        changed = self._pairs.decide(run_id, [pair_id], review, question=question)
        if not changed:
            self._pairs.get(run_id, pair_id)
            self._require_in_review(run_id)
        return changed[0] if changed else self._pairs.get(run_id, pair_id)

    def decide(self, run_id: str, pairs: Sequence[TrainingPair], review: Review) -> list[Change]:
        """Decide about pairs as the person saw them; those about which somebody else decided since
        stay as they are. Returns what changed, for `undo`.

        Raises:
            RunMoved: the run is not in review.
        """
        before = {pair.id: pair for pair in pairs}
        seen = [pair.reviewed_at for pair in pairs]
        after = self._pairs.decide(run_id, list(before), review, seen=seen)
        if not after:
            self._require_in_review(run_id)
        return [(before[pair.id], pair) for pair in after]

    def undo(
        self, run_id: str, steps: Sequence[Sequence[Change]]
    ) -> tuple[list[Sequence[Change]], list[TrainingPair]]:
        """Make the pairs of the last step what they were before it; those about which somebody
        decided since stay as they are. Returns the steps that are left, and the pairs that changed.

        Raises:
            RunMoved: the run is not in review.
        """
        *earlier, last = steps
        undone: list[TrainingPair] = []
        edits = [change for change in last if change[0].question_text != change[1].question_text]
        for before, after in edits:
            undone += self._pairs.decide(
                run_id,
                [before.id],
                before.review,
                seen=[after.reviewed_at],
                question=before.question_text,
            )
        others = sorted((c for c in last if c not in edits), key=lambda change: change[0].review)
        for review, group in groupby(others, key=lambda change: change[0].review):
            together = [after for _, after in group]
            undone += self._pairs.decide(
                run_id,
                [pair.id for pair in together],
                review,
                seen=[pair.reviewed_at for pair in together],
            )
        if not undone:
            self._require_in_review(run_id)
        # What an earlier step led to is there again, decided about at another moment.
        now = {pair.id: pair for pair in undone}
        again = {(b.id, b.reviewed_at): now[b.id] for b, _ in last if b.id in now}
        left: list[Sequence[Change]] = [
            [(before, again.get((after.id, after.reviewed_at), after)) for before, after in step]
            for step in earlier
        ]
        return left, undone

    def drop(self, run_id: str, pair_ids: Sequence[str]) -> int:
        """Drop pairs, whatever they were; returns how many of them the run had.

        Raises:
            RunMoved: the run is not in review.
        """
        dropped = self._pairs.decide(run_id, pair_ids, Review.DROPPED)
        if pair_ids and not dropped and self._pairs.some(run_id, pair_ids[:1]):
            self._require_in_review(run_id)
        return len(dropped)

    # Checking

    def check_cost(self, run: TrainingRun, pair_count: int | None = None) -> float | None:
        """The cost of a check of so many pairs, by default all of the run's, in US dollars; None
        if it is not known."""
        return estimate_check(run.pair_count if pair_count is None else pair_count, self._settings)

    def check(
        self, run: TrainingRun, on_progress: Progress | None = None, *, cost_agreed: bool = False
    ) -> PairCheck:
        """Look for doubtful pairs of a run, and note what was found while it is in review.

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
        return self._check(run.id, self._pairs.all(run.id), on_progress)

    def check_in_background(self, run: TrainingRun) -> Checking:
        """Check what was not checked yet, in a thread; one that is at work is returned as it is.

        It costs `check_cost` of that many pairs: ask before.
        """
        return self._checks.begin(run.id, lambda note: self._check_what_is_new(run.id, note))

    def _check_what_is_new(self, run_id: str, on_progress: Progress) -> None:
        version = self._store.snapshot().version
        self._check(run_id, self._pairs.unchecked(run_id, version), on_progress)

    def _check(
        self, run_id: str, pairs: Sequence[TrainingPair], on_progress: Progress | None
    ) -> PairCheck:
        snapshot = self._store.snapshot()
        index = self._places.ranking_index(self._user_id, snapshot)
        check = check_pairs(pairs, snapshot, index, self._embedder, on_progress)
        self._pairs.note_checks(run_id, snapshot.version, check.as_rows())
        return check

    # Files

    def add_file(self, run_id: str, file_name: str, data: bytes) -> AddedPairs:
        """Add the pairs of a file to a run in review; dropped ones that it has come back.

        Raises:
            DocumentRejected: the file is wrong; nothing was added.
            NotAllowed: the run is not in review.
        """
        chunks = {chunk.id: chunk for chunk in self._store.snapshot().chunks}
        return self._pairs.add(run_id, read_pairs(file_name, data), chunks)

    def export(self, run_id: str, ending: str) -> bytes:
        """All pairs of a run but dropped ones, as a file: "jsonl", "csv", or "zip" for BEIR.

        Raises:
            DocumentRejected: the ending is none of these.
        """
        chunks = {chunk.id: chunk for chunk in self._store.snapshot().chunks}
        return write_pairs(ending, self._pairs.all(run_id), chunks)

    def _unchanged(self, run_id: str, seen: TrainingPair) -> TrainingPair:
        """The pair that an edit left as it was, because it was that already."""
        self._require_in_review(run_id)
        pair = self._pairs.get(run_id, seen.id)
        if pair.reviewed_at != seen.reviewed_at:
            raise RunMoved(
                "Somebody else decided about this pair meanwhile. Nothing was changed.",
                next_step="Look at what it is now.",
            )
        return pair

    def _require_in_review(self, run_id: str) -> None:
        status = self._runs.get(run_id).status
        if status is not RunStatus.GENERATED:
            raise RunMoved(f"The run is {status.value.replace('_', ' ')} now. Nothing was changed.")
