"""Doubtful pairs of a run in review: their check in the background, their flags, which to see."""

from __future__ import annotations

import streamlit as st

from pages.ui.components import count_text, money, show_error
from pages.ui.review_desk import reload_desk
from services.models import Review, TrainingPair, TrainingRun
from services.pairs.background import Checking
from services.pairs.quality import Flag
from services.pairs.selection import Order, ReviewCounts, Selection
from services.workspace import Workspace

_LABELS: dict[str, str] = {
    Flag.DUPLICATE: "Duplicate",
    Flag.NEAR_DUPLICATE: "Near duplicate",
    Flag.GIVES_ITSELF_AWAY: "Gives itself away",
    Flag.ASKS_LITTLE: "Asks little",
    Flag.NOT_ANSWERED: "Chunk not in the top 10",
}
_FLAGGED = "flagged"
_STATES: dict[str, tuple[str, Selection]] = {
    "to review": ("To review", Selection(Review.TO_REVIEW)),
    _FLAGGED: ("All flagged", Selection(Review.TO_REVIEW, is_flagged=True)),
    **{flag: (_LABELS[flag], Selection(Review.TO_REVIEW, flag=flag)) for flag in Flag},
    "kept": ("Kept", Selection(Review.KEPT)),
    "edited": ("Edited", Selection(is_edited=True)),
    "dropped": ("Dropped", Selection(Review.DROPPED)),
    "all": ("All but dropped", Selection()),
}
_ORDERS = {Order.DOUBT: "Most doubtful first", Order.CHUNK: "Chunk by chunk"}
_CHECKING = "pair_checking"
_ASKED = "pair_check_asked"  # the run for which the person asked for a check
_FEW = 50  # pairs to check, as after a decision: the page waits a moment, and does not watch
_AT_ONCE_S = 0.3


def keep_checked(space: Workspace, run: TrainingRun, counts: ReviewCounts) -> ReviewCounts:
    """Check in the background what is not checked; return the counts as they are then.

    Begun without asking if it costs nothing; otherwise there is a button, once for each run.
    """
    checking: Checking | None = st.session_state.get(_CHECKING)
    if checking is None:
        if not counts.unchecked or not _may_check(space, run, counts.unchecked):
            return counts
        checking = space.pairs.check_in_background(run)
        if counts.unchecked > _FEW:
            st.session_state[_CHECKING] = checking
        elif not checking.wait(_AT_ONCE_S):
            return counts  # what it finds is shown with the next decision
    if not checking.is_done:
        _watch(checking)
        return counts
    if st.session_state.pop(_CHECKING, None) is not None:
        reload_desk()
    if checking.error is not None:
        show_error(checking.error)
        st.button("Check again", key="check_pairs", icon=":material/refresh:")
    return space.pairs.counts(run.id)


def _may_check(space: Workspace, run: TrainingRun, unchecked: int) -> bool:
    cost = space.pairs.check_cost(run, unchecked)
    if cost == 0 or st.session_state.get(_ASKED) == run.id:
        return True
    words = "price not known" if cost is None else f"about {money(cost)}"
    with st.container(horizontal=True, vertical_alignment="center"):
        pressed = st.button("Check the pairs", key="check_pairs", icon=":material/fact_check:")
        st.caption(
            "Finds which to look at first: duplicates, questions that give away their own answer, "
            f"those that suit another chunk better. Embeds {count_text(unchecked, 'question')}: "
            f"{words}."
        )
    if pressed:
        st.session_state[_ASKED] = run.id
    return pressed


@st.fragment(run_every="1s")
def _watch(checking: Checking) -> None:
    if checking.is_done:
        st.rerun()
    st.progress(checking.share, text="Checking which pairs to look at first. You can begin.")


def choose_pairs() -> Selection:
    """Let the person choose which pairs to see, and in which order."""
    state, order, words = st.columns([2, 2, 3])
    chosen = state.selectbox(
        "Show",
        list(_STATES),
        format_func=lambda key: _STATES[key][0],
        key="pair_filter",
        label_visibility="collapsed",
    )
    by = order.selectbox(
        "Order",
        list(_ORDERS),
        format_func=_ORDERS.__getitem__,
        key="pair_order",
        label_visibility="collapsed",
    )
    search = words.text_input(
        "Search in the questions",
        key="pair_search",
        placeholder="Search in the questions",
        label_visibility="collapsed",
    )
    selection = _STATES[chosen][1]
    return Selection(
        selection.review, selection.is_edited, selection.flag, selection.is_flagged, search, by
    )


def check_summary(counts: ReviewCounts) -> str:
    """How many of the pairs to review have which flag, on one line."""
    if counts.flagged:
        named = ", ".join(
            f"{counts.flags[flag]:,} {_LABELS[flag].lower()}"
            for flag in Flag
            if flag in counts.flags
        )
        return f"Flagged: {counts.flagged:,} of {counts.to_review:,} to review ({named})."
    return "" if counts.unchecked else "Checked: no pair to review is flagged."


def flag_badges(pair: TrainingPair) -> str:
    """The pair's flags as Markdown, empty for a sound pair."""
    return " ".join(
        f":orange-badge[{_LABELS[flag].lower()}]" for flag in Flag if flag in pair.flags
    )
