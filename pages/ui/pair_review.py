"""Review: pairs under their chunks, a page at a time, with a key for each decision."""

from __future__ import annotations

import streamlit as st

from pages.ui.components import attempt, count_text, flash, plain
from pages.ui.pair_exchange import pair_exchange
from pages.ui.pair_quality import check_summary, choose_pairs, keep_checked
from pages.ui.pair_rows import pair_rows
from pages.ui.problem_chunks import problem_chunks
from pages.ui.review_desk import Desk, desk_of
from pages.ui.run_details import run_details
from pages.ui.selection import follow_work
from services.models import Review, TrainingRun
from services.pairs.selection import ReviewCounts, Selection
from services.runs.states import RunStatus
from services.workspace import Workspace


def pair_review(space: Workspace, run: TrainingRun) -> None:
    _actions(space, run)
    # Each in its own container, so that what is below stays put when something comes or goes.
    with st.container():
        _review(space, run)
    with st.container():
        problem_chunks(space, run)
    pair_exchange(space, run)
    run_details(space, run)


def _actions(space: Workspace, run: TrainingRun) -> None:
    def train() -> None:
        if attempt(lambda: space.runs.train(run.id)) is not None:
            follow_work()
            flash("Training started.")

    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Start Training",
            key="start_training",
            type="primary",
            icon=":material/model_training:",
            disabled=run.pair_count == 0,
            on_click=train,
        )
        st.button(
            "Discard this run",
            key="discard_run",
            type="tertiary",
            icon=":material/cancel:",
            help="It is kept as a failed run that you can proceed with or remove.",
            on_click=lambda: attempt(lambda: space.runs.stop(run.id)),
        )


@st.fragment
def _review(space: Workspace, drawn: TrainingRun) -> None:
    """All that a decision changes: the rest of the page is not drawn again for it."""
    run = space.runs.get(drawn.id)
    if run.status is not RunStatus.GENERATED or (run.pair_count > 0) != (drawn.pair_count > 0):
        st.rerun()
    desk = desk_of(space, run)
    counts = space.pairs.counts(run.id)
    with st.container():
        counts = keep_checked(space, run, counts)
    _how_far(run, counts)
    desk.show(choose_pairs())
    with st.container():
        _for_the_page(desk)
    with st.container():
        pair_rows(desk, space.documents.chunks())
        if not desk.pairs:
            _nothing(desk.selection, counts)


def _how_far(run: TrainingRun, counts: ReviewCounts) -> None:
    left = "" if not counts.to_review else f" Training uses the {counts.to_review:,} others as is."
    st.markdown(
        f"**{run.pair_count:,} pairs** from {run.processed_chunks:,} chunks are ready. "
        f"Reviewed **{counts.reviewed:,} of {counts.total:,}**: {counts.kept:,} kept "
        f"({counts.edited:,} edited), {counts.dropped:,} dropped.{left}"
    )
    if summary := check_summary(counts):
        st.caption(f":material/fact_check: {summary}")


def _for_the_page(desk: Desk) -> None:
    """What is done with the whole page, and what became of the last action."""
    waiting = [pair for pair in desk.pairs if pair.review is Review.TO_REVIEW]
    is_editing = desk.editing is not None
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="review_bar"):
        for label, key, step in (("Next", "N", 1), ("Back", "B", -1)):
            st.button(label, key=f"review_{label.lower()}", shortcut=key, disabled=is_editing,
                      on_click=desk.look, args=(step,))  # fmt: skip
        st.button("Undo", key="review_undo", icon=":material/undo:", shortcut="U",
                  disabled=not desk.steps or is_editing, on_click=desk.undo)  # fmt: skip
        for label, key, review in (("Keep", "A", Review.KEPT), ("Drop", "X", Review.DROPPED)):
            st.button(f"{label} the page", key=f"{label.lower()}_page", shortcut=key,
                      disabled=not waiting or is_editing, on_click=desk.decide_all,
                      args=(waiting, review))  # fmt: skip
        if desk.selection.is_flagged or desk.selection.flag is not None:
            _all_flagged(desk)
        said = desk.said
        if said.text and said.pair_id not in {pair.id for pair in desk.pairs}:
            st.markdown(f":{'green' if said.is_good else 'red'}[{plain(said.text)}]")


def _all_flagged(desk: Desk) -> None:
    total = desk.space.pairs.count(desk.run_id, desk.selection)
    if total > len(desk.pairs):
        for label, review in (("Keep", Review.KEPT), ("Drop", Review.DROPPED)):
            st.button(
                f"{label} all {count_text(total, 'pair')}",
                key=f"{label.lower()}_flagged",
                on_click=desk.decide_selected,
                args=(review,),
            )


def _nothing(selection: Selection, counts: ReviewCounts) -> None:
    if selection.search.strip():
        st.info("No question has these words.", icon=":material/search_off:")
    elif not counts.to_review:
        st.success("All pairs are reviewed. Start training.", icon=":material/done_all:")
    else:
        st.info("No pair matches.", icon=":material/search_off:")
