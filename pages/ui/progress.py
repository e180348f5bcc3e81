"""The progress of a worker: polled from the database, without redrawing the page."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from dataclasses import replace

import streamlit as st

from pages.ui.components import attempt, duration_text, waiting_line
from pages.ui.run_details import usage_text
from services.errors import DatabaseUnavailable, NotFound, NotSignedIn
from services.generation.batch_mode import is_batch_mode
from services.models import TrainingRun, Waiting
from services.runs.states import RunStatus
from services.workspace import Workspace

_POLL = "2s"
_SAMPLES = "progress_samples"
_SEEN = "progress_last_seen"
_WINDOW = 30  # polls, so that the rate reflects the last minute


def generation_progress(space: Workspace, run: TrainingRun) -> None:
    @st.fragment(run_every=_POLL)
    def panel() -> None:
        current = _poll(space, run)
        parts = [
            f"**{current.processed_chunks:,} of {current.total_chunks:,} chunks**",
            f"{current.pair_count:,} pairs so far",
            *(["batch mode"] if is_batch_mode(current) else _pace(current)),
        ]
        st.progress(current.share_done, text=" · ".join(parts))
        waiting_line(current.waiting)
        if is_batch_mode(current):
            _waiting(space, current)
        if spent := usage_text(space, current):
            st.caption(f"So far {spent}")

    panel()
    _stop_button(space, run)


def training_progress(space: Workspace, run: TrainingRun) -> None:
    @st.fragment(run_every=_POLL)
    def panel() -> None:
        current = _poll(space, run)
        progress = current.metrics.get("progress", {})
        share = progress.get("share", 0.0)
        parts = [
            f"**{progress.get('step', 'Waiting for a worker')}**",
            f"{current.pair_count:,} pairs",
            time_left(_seconds_left(_rate((run.id, run.attempt), share), share)),
        ]
        st.progress(share, text=" · ".join(parts))
        waiting_line(current.waiting)

    panel()
    _stop_button(space, run)


def last_seen_progress() -> None:
    """How far the run was when the database last answered, for a page that cannot ask now."""
    seen: TrainingRun | None = st.session_state.get(_SEEN)
    if seen is not None:
        st.progress(
            seen.share_done,
            text=f"**{seen.processed_chunks:,} of {seen.total_chunks:,} chunks** · "
            f"{seen.pair_count:,} pairs · as last seen",
        )


def _poll(space: Workspace, run: TrainingRun) -> TrainingRun:
    """The run as it is now, or as last seen while the database is unavailable.

    Triggers a full rerun when the run's status, or what it waits for, has changed, because the
    other cards show that, too.
    """
    try:
        current = space.runs.get(run.id)
    except DatabaseUnavailable as error:
        seen: TrainingRun = st.session_state.get(_SEEN, run)
        known = seen if seen.id == run.id else run
        return replace(known, waiting=Waiting(error.waits_for))
    except (NotFound, NotSignedIn):  # removed, or signed out, elsewhere: redraw the whole page
        st.rerun()
    if current.status is not run.status:
        st.session_state.pop(_SAMPLES, None)
        st.session_state.pop(_SEEN, None)
        st.rerun()
    st.session_state[_SEEN] = current
    if current.waiting != run.waiting:
        st.rerun()
    return current


def _pace(run: TrainingRun) -> list[str]:
    if run.waiting is not None:
        st.session_state.pop(
            _SAMPLES, None
        )  # the pace from before the wait does not apply after it
        return []
    rate = _rate((run.id, run.attempt), run.share_done)
    chunks = [f"{rate * run.total_chunks:.1f} chunks per second"] if rate else []
    return [*chunks, time_left(_seconds_left(rate, run.share_done))]


def time_left(seconds: float | None) -> str:
    return "estimating the time left" if seconds is None else f"about {duration_text(seconds)} left"


def _seconds_left(rate: float | None, share_done: float) -> float | None:
    return None if rate is None else (1 - share_done) / rate


def _waiting(space: Workspace, run: TrainingRun) -> None:
    """Say how many chunks wait at OpenAI; nothing while the database is unavailable."""
    with contextlib.suppress(DatabaseUnavailable):
        chunks, answered = space.runs.waiting_at_openai(run)
        if chunks:
            st.caption(
                f"{chunks:,} chunks are waiting at OpenAI, {answered:,} of them answered. This "
                "takes up to 24 hours. You may stop the app meanwhile: Proceed continues the wait."
            )


def _rate(work: tuple[object, ...], share_done: float) -> float | None:
    """The share of the work done per second; None until two polls of `work` differ."""
    known, samples = st.session_state.get(_SAMPLES, (None, None))
    if known != work:
        samples = deque(maxlen=_WINDOW)
        st.session_state[_SAMPLES] = (work, samples)
    samples.append((time.monotonic(), share_done))
    (began, at_first), (now, at_last) = samples[0], samples[-1]
    return (at_last - at_first) / (now - began) if at_last > at_first else None


def _stop_button(space: Workspace, run: TrainingRun) -> None:
    what = "generation" if run.status is RunStatus.GENERATING else "training"
    st.button(
        f"Stop {what}",
        key=f"stop_{run.id}",
        icon=":material/stop_circle:",
        help="What was made so far is kept. Proceed continues from there.",
        on_click=lambda: attempt(lambda: space.runs.stop(run.id)),
    )
