"""What a worker is doing now: polled from the database, without disturbing the page."""

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
_WINDOW = 30  # polls, so that a rate follows what happens now


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
            time_left((run.id, run.attempt), share),
        ]
        st.progress(share, text=" · ".join(parts))
        waiting_line(current.waiting)

    panel()
    _stop_button(space, run)


def last_seen_progress() -> None:
    """How far the run was when the database was last there, for a page that cannot ask it now."""
    seen: TrainingRun | None = st.session_state.get(_SEEN)
    if seen is not None:
        st.progress(
            seen.share_done,
            text=f"**{seen.processed_chunks:,} of {seen.total_chunks:,} chunks** · "
            f"{seen.pair_count:,} pairs · as last seen",
        )


def _poll(space: Workspace, run: TrainingRun) -> TrainingRun:
    """The run as it is now, or as it was last seen while the database is away.

    Leaves the fragment with a full rerun when its status moved, or what it waits for: the other
    cards say that too.
    """
    try:
        current = space.runs.get(run.id)
    except DatabaseUnavailable as error:
        seen: TrainingRun = st.session_state.get(_SEEN, run)
        known = seen if seen.id == run.id else run
        return replace(known, waiting=Waiting(error.waits_for))
    except (NotFound, NotSignedIn):  # removed, or signed out, elsewhere: the whole page knows
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
        st.session_state.pop(_SAMPLES, None)  # the pace from before the wait says nothing after it
        return []
    rate = _rate((run.id, run.attempt), run.share_done)
    chunks = [f"{rate * run.total_chunks:.1f} chunks a second"] if rate else []
    return [*chunks, _left_text(rate, run.share_done)]


def time_left(work: tuple[object, ...], share_done: float) -> str:
    """About how long `work` still takes, at its pace over the last minute of polls."""
    return _left_text(_rate(work, share_done), share_done)


def _left_text(rate: float | None, share_done: float) -> str:
    if rate is None:
        return "estimating the time left"
    return f"about {duration_text((1 - share_done) / rate)} left"


def _waiting(space: Workspace, run: TrainingRun) -> None:
    """What is at OpenAI; nothing where the database is away for a moment."""
    with contextlib.suppress(DatabaseUnavailable):
        chunks, answered = space.runs.waiting_at_openai(run)
        if chunks:
            st.caption(
                f"{chunks:,} chunks wait at OpenAI, which has written for {answered:,} of them. "
                "It takes up to 24 hours. The app may be stopped meanwhile: Proceed waits on."
            )


def _rate(work: tuple[object, ...], share_done: float) -> float | None:
    """The share that is done in a second; None until two polls of `work` differ."""
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
        help="What was made so far is kept, and can be proceeded with.",
        on_click=lambda: attempt(lambda: space.runs.stop(run.id)),
    )
