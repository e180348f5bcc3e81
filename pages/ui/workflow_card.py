"""The training workflow: generate -> review -> train -> results, and always the next step."""

from __future__ import annotations

import contextlib

import streamlit as st

from pages.ui.components import attempt, flash, money, when_text
from pages.ui.pair_review import pair_review
from pages.ui.progress import generation_progress, training_progress
from pages.ui.results import results
from pages.ui.selection import (
    SELECTED_RUN,
    WORKFLOW,
    close_run,
    expand_run,
    follow_work,
    select_run,
)
from services.config import MOST_QUESTIONS_PER_CHUNK
from services.deep_memory.models import ModelState
from services.errors import NotFound
from services.models import DeepMemorySettings, TrainingRun
from services.runs.states import RunStatus
from services.runs.store import why_blocked
from services.workspace import Workspace

_STEPS = ("Generate", "Review", "Train", "Results")
_STEP_OF = {
    None: 0,
    RunStatus.GENERATING: 0,
    RunStatus.GENERATING_FAILED: 0,
    RunStatus.GENERATED: 1,
    RunStatus.TRAINING: 2,
    RunStatus.TRAINING_FAILED: 2,
    RunStatus.COMPLETED: 3,
}


def workflow_card(space: Workspace, state: ModelState, problem: str) -> None:
    """`problem` says why search cannot use the chosen model; it is empty when it can."""
    current = _current_run(space, state)
    selected = _selected_run(space, current)
    is_at_work = current is not None and current.status.is_active
    first = current if selected is None or is_at_work else selected
    with st.container(border=True, key=WORKFLOW):
        st.subheader("Training workflow", anchor=False)
        _steps(_STEP_OF[first.status if first else None])
        with st.container():  # its own container: what is below stays put when the work ends
            if first is current:
                _show(space, current, state, problem)
        if selected is not None:
            _heading(selected)
            _show(space, selected, state, problem)
        _generate(space, state.settings, shown=first)


def _show(space: Workspace, run: TrainingRun | None, state: ModelState, problem: str) -> None:
    if run is None:
        return
    match run.status:
        case RunStatus.GENERATING:
            generation_progress(space, run)
        case RunStatus.GENERATED:
            pair_review(space, run)
        case RunStatus.TRAINING:
            training_progress(space, run)
        case RunStatus.COMPLETED:
            results(space, run, state, problem)


def _heading(run: TrainingRun) -> None:
    """Above a run that the person chose: which one it is, and the way back."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**Run of {when_text(run.started_at)}**")
        st.button(
            "Close",
            key="close_run",
            type="tertiary",
            icon=":material/close:",
            on_click=close_run,
        )


def _current_run(space: Workspace, state: ModelState) -> TrainingRun | None:
    """What the card shows by default: the unfinished run, otherwise the last result."""
    if state.blocking is not None:
        return state.blocking
    last = state.settings.last_training_run_id
    if last is None:
        return None
    if state.active is not None and state.active.id == last:
        return state.active
    with contextlib.suppress(NotFound):
        return space.runs.get(last)
    return None


def _selected_run(space: Workspace, current: TrainingRun | None) -> TrainingRun | None:
    """The run that the person chose to see, instead of the current one or below its progress."""
    run_id = st.session_state.get(SELECTED_RUN)
    if run_id is None or (current is not None and run_id == current.id):
        return None
    try:
        return space.runs.get(run_id)
    except NotFound:
        close_run()
        return None


def _steps(current: int) -> None:
    with st.container(horizontal=True, key="steps"):
        for number, name in enumerate(_STEPS):
            if number < current:
                st.badge(name, icon=":material/check:", color="green")
            elif number == current:
                st.badge(f"{number + 1} {name}", color="blue", icon=":material/arrow_forward:")
            else:
                st.badge(f"{number + 1} {name}", color="gray")


def _generate(space: Workspace, settings: DeepMemorySettings, shown: TrainingRun | None) -> None:
    if shown is not None and not shown.status.is_failed:
        st.divider()
    blocked_by = RunStatus(status) if (status := settings.blocking_run_status) else None
    if settings.total_chunks == 0:
        st.info("The knowledge base is empty. Add documents first.", icon=":material/info:")
        st.page_link("knowledge_base.py", label="Go to the knowledge base")
    elif blocked_by is None:
        _estimate(space)

    def start() -> None:
        count = st.session_state["questions_per_chunk"]
        batch_mode = st.session_state.get("batch_mode", False)
        run = attempt(lambda: space.runs.generate(count, batch_mode=batch_mode))
        if run is not None:
            follow_work()
            flash(f"Generation started for {run.total_chunks:,} chunks.")

    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Generate Training Data",
            key="generate",
            type="primary" if shown is None else "secondary",
            icon=":material/auto_awesome:",
            disabled=blocked_by is not None or settings.total_chunks == 0,
            on_click=start,
        )
        if blocked_by is not None:
            st.markdown(f":material/block: {why_blocked(blocked_by)}")
            # A run in review has no expandable row: the card itself shows it.
            in_review = blocked_by is RunStatus.GENERATED
            st.button(
                "Show the run",
                key="show_blocking_run",
                type="tertiary",
                on_click=select_run if in_review else expand_run,
                args=(settings.blocking_run_id,),
            )


def _estimate(space: Workspace) -> None:
    set_up = space.account.set_up()
    columns = st.columns([1, 3], vertical_alignment="bottom")
    with columns[0]:
        count = st.number_input(
            "Questions per chunk",
            min_value=1,
            max_value=MOST_QUESTIONS_PER_CHUNK,
            value=set_up.questions_per_chunk,
            key="questions_per_chunk",
        )
    estimate = space.runs.estimate(int(count))
    parts = [f"up to **{estimate.questions:,} questions**"]
    if estimate.input_tokens:
        tokens = estimate.input_tokens + estimate.output_tokens
        parts.append(f"{tokens:,} tokens")
        cost = estimate.cost_usd
        parts.append("price not known" if cost is None else f"about {money(cost)}")
    else:
        parts.append("no tokens, no cost")
    with columns[1]:
        st.markdown(f"Writes {', '.join(parts)}, with the **{set_up.question_writer}**.")
        if not space.runs.offer_asking_again:
            st.caption("It asks only what it can ask well: some chunks get no question.")
    if space.runs.offer_batch_mode:
        cost = space.runs.estimate(int(count), batch_mode=True).cost_usd
        price = "" if cost is None else f", about {money(cost)}"
        st.checkbox(
            f"Batch mode: half the price{price}, written within 24 hours",
            key="batch_mode",
            help="OpenAI writes the questions in batches when it has capacity. You may stop the "
            "app meanwhile: Proceed collects what was written.",
        )
