"""What is on a reviewer's desk: a page of pairs, which one it is about, and what can be undone.

Held by ids in the session, so that a pair stays where it is after a decision, and the next page
brings others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import streamlit as st

from pages.ui.components import count_text
from services.errors import AppError, RunMoved
from services.models import Review, TrainingPair, TrainingRun
from services.pairs.review import Change
from services.pairs.selection import ALL, Selection
from services.workspace import Workspace

PAIRS_A_PAGE = 10
_DESK = "review_desk"
_DONE = {Review.KEPT: "Kept", Review.DROPPED: "Dropped"}
_ELSEWHERE = "Somebody else decided about this pair meanwhile. It is left as it is."

T = TypeVar("T")


class Said(NamedTuple):
    """What became of the last action."""

    pair_id: str | None  # None if it is about several pairs
    text: str
    is_good: bool


NOTHING = Said(None, "", True)


@dataclass
class Desk:
    """One session's review of one run. Every method saves at once and says so in `said`."""

    space: Workspace
    run_id: str
    selection: Selection = ALL
    offset: int = 0  # of the page among the selected pairs
    ids: list[str] | None = None  # of the pairs on it; None until they are fetched
    pairs: list[TrainingPair] = field(default_factory=list)  # as they were drawn last
    current: str | None = None  # the pair that the keys are about
    editing: str | None = None
    steps: list[Sequence[Change]] = field(default_factory=list)  # the last one is undone first
    said: Said = NOTHING
    has_moved: bool = False  # to another pair, or into its field: the browser is to follow

    def show(self, selection: Selection) -> None:
        """Fetch the pairs to draw: others if the selection is another, else as they are now."""
        if selection != self.selection:
            self.selection, self.offset, self.ids = selection, 0, None
        if self.ids is None:
            self.pairs = self._page()
            if not self.pairs and self.offset:
                self.offset = 0
                self.pairs = self._page()
            self.ids = [pair.id for pair in self.pairs]
        else:
            self.pairs = self.space.pairs.some(self.run_id, self.ids)
        if self.current not in self.ids:
            self.current = next((p.id for p in self.pairs if p.review is Review.TO_REVIEW), None)
            self.current = self.current or next(iter(self.ids), None)

    def decide(self, pair: TrainingPair, review: Review) -> None:
        """Keep or drop one pair, and go to the next that is still selected.

        A key that is pressed again before the next pair is drawn is about this one, too: it does
        nothing.
        """
        changes = self._try(pair.id, lambda: self.space.pairs.decide(self.run_id, [pair], review))
        if changes is None or (not changes and self._has_decided(pair)):
            return
        if changes:
            self.steps.append(changes)
            self.said = Said(pair.id, f"{_DONE[review]}.", True)
        elif pair.review is not review:
            self.said = Said(pair.id, _ELSEWHERE, False)
        decided = {other.id for other in self.pairs if not self._selects(other)}
        self.current = pair.id
        self.go(1)
        while self.current in decided:
            self.go(1)

    def decide_all(self, pairs: Sequence[TrainingPair], review: Review) -> None:
        """Keep or drop several pairs, and turn the page."""
        changes = self._try(None, lambda: self.space.pairs.decide(self.run_id, pairs, review))
        if changes is None:
            return
        self.steps.append(changes)
        self.turn(1)
        self.said = _told(_DONE[review], len(changes), len(pairs))

    def decide_selected(self, review: Review) -> None:
        """Keep or drop all that the selection has, on whatever page."""
        found = self._try(None, lambda: self.space.pairs.all(self.run_id, self.selection))
        if found is not None:
            self.decide_all(found, review)

    def begin_edit(self, pair: TrainingPair) -> None:
        self.current = self.editing = pair.id
        self.said, self.has_moved = NOTHING, True

    def edit(self, pair: TrainingPair, question: str) -> None:
        """Save a question. Where it is refused, the pair stays in editing."""
        try:
            saved = self.space.pairs.edit(self.run_id, pair, question)
        except RunMoved as error:
            self.editing = None  # what it is now takes the place of the field
            self.said = Said(pair.id, f"{error} {error.next_step}", False)
            return
        except AppError as error:
            self.said = Said(pair.id, f"{error} {error.next_step}", False)
            return
        self.editing = None
        if saved != pair:
            self.steps.append([(pair, saved)])
            self.said = Said(pair.id, "Saved.", True)
        self.current = pair.id

    def undo(self) -> None:
        """Take the last decision back, and show what it was about."""
        last = {after.id: after for _, after in self.steps[-1]}
        taken_back = self._try(None, lambda: self.space.pairs.undo(self.run_id, self.steps))
        if taken_back is None:
            return
        self.steps, undone = taken_back
        shown = [pair.id for pair in undone[:PAIRS_A_PAGE]]
        above = [id_ for id_ in shown if id_ not in (self.ids or ())]
        self.ids = [*above, *(self.ids or ())][:PAIRS_A_PAGE]
        # Those of an earlier page that were selected all the time are before this one.
        self.offset = max(0, self.offset - sum(self._selects(last[id_]) for id_ in above))
        self.current = shown[0] if shown else self.current
        self.editing, self.has_moved = None, True
        self.said = _told("Took back", len(undone), len(last))

    def look(self, step: int) -> None:
        """Look at the next pair (1) or the one before (-1), or stay (0), and decide nothing."""
        self.said = NOTHING
        self.go(step)

    def go(self, step: int) -> None:
        """To the next pair (1) or the one before (-1), on another page if need be."""
        self.editing, self.has_moved = None, True
        ids = self.ids or []
        place = ids.index(self.current) + step if self.current in ids else 0
        if 0 <= place < len(ids):
            self.current = ids[place]
        elif step > 0 or self.offset:
            self.turn(step)

    def turn(self, step: int) -> None:
        """To the next page (1) or the one before (-1). What was decided may have left the
        selection, so that those after it moved up."""
        now = self._try(None, lambda: self.space.pairs.some(self.run_id, self.ids or []))
        staying = sum(self._selects(pair) for pair in now or ())
        self.offset = max(0, self.offset + (staying if step > 0 else -PAIRS_A_PAGE))
        self.ids, self.current, self.editing, self.has_moved = None, None, None, True

    def reload(self) -> None:
        """Fetch the page again, because pairs were added or their order changed; not while someone
        is at work on it."""
        if self.editing is None and all(pair.review is Review.TO_REVIEW for pair in self.pairs):
            self.ids = None

    def _page(self) -> list[TrainingPair]:
        return self.space.pairs.page(
            self.run_id, limit=PAIRS_A_PAGE, offset=self.offset, selection=self.selection
        )

    def _has_decided(self, pair: TrainingPair) -> bool:
        """Whether this desk decided about the pair since it was as given."""
        return any(
            (before.id, before.reviewed_at) == (pair.id, pair.reviewed_at)
            for step in self.steps
            for before, _ in step
        )

    def _selects(self, pair: TrainingPair) -> bool:
        wanted = self.selection.review
        return pair.review is not Review.DROPPED if wanted is None else pair.review is wanted

    def _try(self, pair_id: str | None, action: Callable[[], T]) -> T | None:
        try:
            return action()
        except AppError as error:
            self.said = Said(pair_id, f"{error} {error.next_step}", False)
            return None


def _told(what: str, changed: int, asked: int) -> Said:
    left = asked - changed
    more = (
        f" {count_text(left, 'pair')} changed elsewhere meanwhile and stayed as is." if left else ""
    )
    return Said(None, f"{what} {count_text(changed, 'pair')}.{more}", not left)


def desk_of(space: Workspace, run: TrainingRun) -> Desk:
    """This session's desk for a run."""
    desk = st.session_state.get(_DESK)
    if desk is None or desk.run_id != run.id or desk.space is not space:
        desk = st.session_state[_DESK] = Desk(space, run.id)
    return desk


def reload_desk() -> None:
    """Show what is there now, because pairs came or their order changed."""
    if (desk := st.session_state.get(_DESK)) is not None:
        desk.reload()
