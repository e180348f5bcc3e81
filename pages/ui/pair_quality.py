"""Doubtful pairs of a run in review: check, filter, drop or keep them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import streamlit as st

from pages.ui.components import attempt, count_text, flash, show_error
from services.errors import AppError
from services.models import TrainingPair, TrainingRun
from services.pairs.checking import PairCheck
from services.pairs.quality import Flag
from services.workspace import Workspace

_LABELS: dict[str, str] = {
    Flag.DUPLICATE: "Duplicate",
    Flag.NEAR_DUPLICATE: "Near duplicate",
    Flag.GIVES_ITSELF_AWAY: "Gives itself away",
    Flag.ASKS_LITTLE: "Asks little",
    Flag.NOT_ANSWERED: "Chunk not in the top 10",
}
_ALL, _FLAGGED = "all", "flagged"
_CHECK = "pair_check"  # (what was checked, PairCheck)
_EDITS = "pair_edits"
_ASKED = "pair_check_asked"  # the run for which the person asked for a check
_KEPT = "pairs_kept"  # ids whose flags the person has dismissed


def forget_check() -> None:
    """Check again, because the pairs have changed."""
    st.session_state[_EDITS] = st.session_state.get(_EDITS, 0) + 1


def pair_check(space: Workspace, run: TrainingRun) -> PairCheck | None:
    """The check of the run's current pairs, without the flags that the person dismissed.

    Made at once if it costs nothing; otherwise there is a button, and None until it is pressed.
    After that only edited questions are embedded again, so the button does not come back.
    """
    version = space.documents.version()
    of = (run.id, run.pair_count, st.session_state.get(_EDITS, 0), version)
    made_of, check = st.session_state.get(_CHECK, (None, None))
    if made_of != of:
        check = None
        if run.pair_count and (
            space.pairs.are_checked_unasked(run, _asked(run)) or _ask(space, run)
        ):
            st.session_state[_ASKED] = run.id
            check = _make(space, run)
            st.session_state[_CHECK] = (of, check)
    if check is None:
        return None
    kept = st.session_state.setdefault(_KEPT, set())
    return PairCheck(check.pairs, {id: f for id, f in check.flags.items() if id not in kept})


def pair_filter(check: PairCheck | None) -> list[TrainingPair] | None:
    """Let the person choose which pairs to see; None for all of them."""
    if check is None:
        return None
    labels = {_ALL: "All pairs", _FLAGGED: "All flagged", **_LABELS}
    chosen = st.selectbox("Show", list(labels), format_func=labels.__getitem__, key="pair_filter")
    if chosen == _ALL:
        return None
    return check.flagged(None if chosen == _FLAGGED else Flag(chosen))


def check_summary(check: PairCheck | None) -> None:
    """How many pairs have which flag."""
    if check is None:
        return
    if not check.flags:
        st.caption(":material/fact_check: Checked: no pair is flagged.")
        return
    counts = Counter(flag for flags in check.flags.values() for flag in flags)
    named = ", ".join(f"{counts[flag]:,} {_LABELS[flag].lower()}" for flag in Flag if counts[flag])
    share = f"{len(check.flags):,} of {len(check.pairs):,}"
    st.caption(f":material/fact_check: Flagged: {share} pairs ({named}).")
    if counts[Flag.NOT_ANSWERED]:
        st.caption(
            "A question that does not find its chunk may be wrong, or exactly what search has to "
            "learn: read it before you drop it."
        )


def bulk_actions(
    space: Workspace,
    run: TrainingRun,
    check: PairCheck,
    flagged: Sequence[TrainingPair],
    to_drop: set[str],
) -> None:
    """Buttons to drop or keep all of `flagged` at once; none of them stays in `to_drop`."""

    def keep() -> None:
        ids = {pair.id for pair in flagged}
        st.session_state[_KEPT].update(ids)
        for pair_id in ids & to_drop:
            st.session_state[f"keep_{pair_id}"] = True
        to_drop.difference_update(ids)
        flash(f"Kept {count_text(len(flagged), 'pair')}.")

    st.caption(
        "Dropping deletes them from this run. Keeping leaves them for training and removes the "
        "flags."
    )
    with st.container(horizontal=True):
        if st.button(
            f"Drop all {len(flagged):,} flagged", key="drop_flagged", icon=":material/delete_sweep:"
        ):
            _confirm_drop(space, run, check, flagged, to_drop)
        st.button("Keep all", key="keep_flagged", icon=":material/done_all:", on_click=keep)


def flag_badges(check: PairCheck | None, pair: TrainingPair) -> str:
    """The pair's flags as Markdown, empty for a sound pair."""
    flags = check.flags.get(pair.id, frozenset()) if check is not None else frozenset()
    return " ".join(f":orange-badge[{_LABELS[flag].lower()}]" for flag in Flag if flag in flags)


@st.dialog("Drop the flagged pairs?")
def _confirm_drop(
    space: Workspace,
    run: TrainingRun,
    check: PairCheck,
    flagged: Sequence[TrainingPair],
    to_drop: set[str],
) -> None:
    left = len(check.pairs) - len(flagged)
    st.markdown(
        f"**{count_text(len(flagged), 'pair')}** will be deleted from this run, and "
        f"**{left:,}** stay for training. This cannot be undone."
    )

    def drop() -> None:
        ids = [pair.id for pair in flagged]
        dropped = attempt(lambda: space.pairs.drop(run.id, ids))
        if dropped is not None:
            to_drop.difference_update(ids)
            forget_check()
            flash(f"Dropped {count_text(dropped, 'pair')}.")

    if st.button("Drop them", type="primary", key="confirm_drop_flagged", on_click=drop):
        st.rerun()


def _asked(run: TrainingRun) -> bool:
    return st.session_state.get(_ASKED) == run.id


def _ask(space: Workspace, run: TrainingRun) -> bool:
    cost = space.pairs.check_cost(run)
    words = "price not known" if cost is None else "no cost" if cost == 0 else f"about ${cost:.4f}"
    with st.container(horizontal=True, vertical_alignment="center"):
        pressed = st.button("Check the pairs", key="check_pairs", icon=":material/fact_check:")
        st.caption(
            "Finds duplicates, questions that give away their own answer, and those that do not "
            f"find their chunk. Embeds {count_text(run.pair_count, 'question')}: {words}."
        )
    return pressed


def _make(space: Workspace, run: TrainingRun) -> PairCheck | None:
    bar = st.progress(0.0, text="Checking the pairs")
    try:
        return space.pairs.check(
            run,
            lambda share: bar.progress(share, text="Checking the pairs"),
            cost_agreed=True,  # it costs nothing, or the person pressed the button that names it
        )
    except AppError as error:
        show_error(error)
        return None
    finally:
        bar.empty()
