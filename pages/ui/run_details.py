"""What is known about a run: its settings, its usage, its timeline."""

from __future__ import annotations

from functools import partial

import streamlit as st

from pages.ui.components import money, plain, when_text
from services.generation.batch_mode import is_batch_mode
from services.models import TrainingRun
from services.runs.states import RunStatus
from services.workspace import Workspace

_LABELS = {
    "question_model": "Questions by",
    "embedding_model": "Embeddings by",
    "trainer": "Trainer",
    "questions_per_chunk": "Questions per chunk",
}


def run_details(space: Workspace, run: TrainingRun) -> None:
    """The model to take away, and a collapsed section with timeline, settings and cost."""
    if run.status is RunStatus.COMPLETED:
        _model(space, run)
    with st.expander("Timeline, settings and cost", icon=":material/timeline:"):
        settings = [
            f"{label}: **{run.settings[key]}**"
            for key, label in _LABELS.items()
            if key in run.settings
        ]
        if is_batch_mode(run):
            settings.append("**Batch mode**, half the price")
        st.markdown(" · ".join([*settings, usage_text(space, run) or "no tokens, no cost"]))
        for event in space.runs.events(run.id):
            counts = ", ".join(
                f"{name.replace('_', ' ')} {n:,}" for name, n in event.counts.items()
            )
            st.markdown(
                f"`{when_text(event.at)}` {plain(event.message)}"
                + (f" ({counts})" if counts else "")
            )


def _model(space: Workspace, run: TrainingRun) -> None:
    if reason := space.models.why_not_exported(run):
        st.caption(f":material/block: Its model cannot be downloaded. {reason}")
        return
    st.download_button(
        "Download the model",
        data=partial(_folder, space, run),  # made on click
        file_name=f"deep-memory-model-{run.started_at:%Y-%m-%d}.zip",
        mime="application/zip",
        key=f"model_{run.id}",
        icon=":material/download:",
        help="A folder with the trained map, all chunks and a model card. It searches without this "
        "app, in ten lines of Python.",
        on_click="ignore",
    )


def _folder(space: Workspace, run: TrainingRun) -> bytes:
    with space.models.export(run) as file:
        return file.read()


def usage_text(space: Workspace, run: TrainingRun) -> str:
    """The tokens and the money that the run has taken so far; empty when it took none."""
    usage, cost = space.runs.spent(run)
    if not usage.input_tokens:
        return ""
    tokens = f"{usage.input_tokens:,} tokens in, {usage.output_tokens:,} out"
    return tokens if cost is None else f"{tokens}, {money(cost)}"
