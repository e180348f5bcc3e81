"""The history of runs: one expandable row each, with the actions that a run allows."""

from __future__ import annotations

from datetime import UTC, datetime

import streamlit as st

from pages.ui.components import (
    BADGES,
    attempt,
    duration_text,
    empty_state,
    flash,
    page_of,
    percent,
    plain,
    status_badge,
    waiting_line,
    when_text,
)
from pages.ui.models import compare_models, in_use_badge
from pages.ui.run_details import run_details
from pages.ui.selection import EXPANDED_RUN, SELECTED_RUN, follow_work, select_run, toggle_run
from services.deep_memory.measured_sets import headline, measured_sets
from services.deep_memory.models import ModelState
from services.errors import NotFound
from services.models import TrainingRun
from services.runs.states import RunStatus
from services.workspace import Workspace

_ROWS = 20
_WIDTHS = [4, 3, 2, 2, 2, 3, 1]
_HEADINGS = ("Started", "Status", "Duration", "Progress", "Pairs", "Recall@10", "")
_REFRESHED = "refreshed_runs"


def run_history(space: Workspace, state: ModelState, problem: str) -> None:
    """The runs, newest first. `problem` says why search cannot use the chosen model, if so."""
    with st.container(border=True, key="history"):
        st.subheader("Training history", anchor=False)
        status = st.selectbox(
            "Status",
            list(RunStatus),
            index=None,
            format_func=lambda status: BADGES[status][0],
            placeholder="All runs",
            key="history_status",
        )
        runs, total = space.runs.page(limit=_ROWS, status=status)
        page = page_of(total, _ROWS, key="history_page")
        if page:
            runs, total = space.runs.page(limit=_ROWS, offset=page * _ROWS, status=status)
        if not runs:
            _nothing(filtered=status is not None)
            return
        active_id = state.active.id if state.active else None
        enabled = state.settings.enabled
        works = enabled and not problem
        compare_models(space, runs, active_id, enabled=works)
        with st.container(key="wide_only_history"):
            for column, heading in zip(st.columns(_WIDTHS), _HEADINGS, strict=True):
                column.caption(heading)
        unkept = space.models.no_longer_kept(runs)
        for run in runs:
            is_chosen = run.id == active_id
            _row(
                space,
                run,
                is_chosen=is_chosen,
                enabled=works,
                may_go=not (is_chosen and enabled),
                is_kept=run.id not in unkept,
            )


def _nothing(*, filtered: bool) -> None:
    if filtered:
        st.info("No run has this status.", icon=":material/filter_alt_off:")
    else:
        empty_state(
            ":material/history:", "No runs yet", "Generate training data to start the first one."
        )


@st.fragment
def _row(
    space: Workspace,
    run: TrainingRun,
    *,
    is_chosen: bool,
    enabled: bool,
    may_go: bool,
    is_kept: bool,
) -> None:
    """One run. A fragment, so that Refresh reads and redraws only this row."""
    run = _refreshed(space, run)
    expandable = run.status.is_active or run.status.is_failed
    is_open = expandable and st.session_state.get(EXPANDED_RUN) == run.id
    with st.container(border=True, key=f"run_{run.id}"):
        with st.container(key=f"run_row_{run.id}"):
            started, status, duration, progress, pairs, recall, remove = st.columns(
                _WIDTHS, vertical_alignment="center"
            )
            if started.button(
                when_text(run.started_at),
                key=f"toggle_{run.id}",
                type="tertiary",
                icon=_row_icon(run, expandable, is_open),
                help=None if expandable else "Show it in the workflow card",
            ):
                (toggle_run if expandable else select_run)(run.id)
                st.rerun()
            with status:
                status_badge(run.status)
                if is_chosen:
                    in_use_badge(enabled=enabled)
                if not is_kept:
                    st.caption("Its model is no longer kept.")
            duration.markdown(_duration(run))
            progress.markdown(progress_text(run))
            pairs.markdown(f"{run.pair_count:,} pairs")
            recall.markdown(_recall(run))
            if run.status is RunStatus.COMPLETED:
                with remove:
                    _remove_completed(space, run, may_go=may_go)
        waiting_line(run.waiting)
        if is_open:
            _details(space, run)


def _row_icon(run: TrainingRun, expandable: bool, is_open: bool) -> str:
    if expandable:
        return ":material/expand_less:" if is_open else ":material/expand_more:"
    shown = st.session_state.get(SELECTED_RUN) == run.id
    return ":material/visibility:" if shown else ":material/open_in_new:"


def progress_text(run: TrainingRun) -> str:
    """processed/total where chunks count, "In progress" while training, a dash otherwise."""
    if run.status is RunStatus.TRAINING:
        return "In progress"
    if run.status is RunStatus.GENERATING or run.status.is_failed:
        return f"{run.processed_chunks:,}/{run.total_chunks:,}"
    return "—"


def _duration(run: TrainingRun) -> str:
    if run.status.is_active:
        seconds = (datetime.now(UTC) - run.started_at).total_seconds()
        return f"{duration_text(seconds)} so far"
    if run.completed_at is not None:
        return duration_text((run.completed_at - run.started_at).total_seconds())
    return "—"


def _recall(run: TrainingRun) -> str:
    """Of the set that makes the headline."""
    sets = measured_sets(run.metrics)
    if run.status is not RunStatus.COMPLETED or not sets:
        return "—"
    found = headline(sets)
    if not found.is_enough:
        return "too few to measure"
    before, after = (found.figures[when]["recall@10"] for when in ("before", "after"))
    return f"{percent(before)} → {percent(after)}"


def _refreshed(space: Workspace, run: TrainingRun) -> TrainingRun:
    """The run, read again after a click on Refresh, otherwise as the page read it."""
    if not st.session_state.pop(f"{_REFRESHED}_{run.id}", False):
        return run
    try:
        return space.runs.get(run.id)
    except NotFound:
        st.rerun()


def _details(space: Workspace, run: TrainingRun) -> None:
    if run.status.is_failed:
        message = plain(run.error_message or "It stopped without a message.")
        st.error(message, icon=":material/error:")
        st.markdown(
            f"Kept: **{run.pair_count:,} pairs** from {run.processed_chunks:,} of "
            f"{run.total_chunks:,} chunks."
        )
    with st.container(horizontal=True):
        if run.status.is_active:
            _active_actions(space, run)
        else:
            _failed_actions(space, run)
    run_details(space, run)


def _active_actions(space: Workspace, run: TrainingRun) -> None:
    def refresh() -> None:
        st.session_state[f"{_REFRESHED}_{run.id}"] = True

    st.button("Refresh", key=f"refresh_{run.id}", icon=":material/refresh:", on_click=refresh)
    if st.button("Stop", key=f"row_stop_{run.id}", icon=":material/stop_circle:"):
        attempt(lambda: space.runs.stop(run.id))
        st.rerun()


def _failed_actions(space: Workspace, run: TrainingRun) -> None:
    if st.button("Proceed", key=f"proceed_{run.id}", type="primary", icon=":material/play_arrow:"):
        proceeded = attempt(lambda: space.runs.proceed(run.id))
        if proceeded is not None:
            flash(proceeded[1])
            follow_work()
        st.rerun()
    if st.button("Remove", key=f"remove_{run.id}", icon=":material/delete:"):
        _confirm_remove(space, run)


def _remove_completed(space: Workspace, run: TrainingRun, *, may_go: bool) -> None:
    if st.button(
        "",
        key=f"remove_{run.id}",
        type="tertiary",
        icon=":material/delete:",
        disabled=not may_go,
        help="Remove this run"
        if may_go
        else "Search uses its model. To remove it, use another model or switch Deep Memory off.",
    ):
        _confirm_remove(space, run)


@st.dialog("Remove this run?")
def _confirm_remove(space: Workspace, run: TrainingRun) -> None:
    st.markdown(
        f"The run of {when_text(run.started_at)} will be deleted, with its **{run.pair_count:,} "
        "pairs**, its figures and its model file, if any. This cannot be undone."
    )

    def remove() -> None:
        is_completed = run.status is RunStatus.COMPLETED
        remove_it = space.runs.remove_completed if is_completed else space.runs.remove
        message = attempt(lambda: remove_it(run.id))
        if message is not None:
            flash(message)
            st.session_state[EXPANDED_RUN] = None

    if st.button("Remove", type="primary", key="confirm_remove", on_click=remove):
        st.rerun()
