"""The dashboard: settings, the training workflow, the history of runs. Nothing else."""

from __future__ import annotations

import streamlit as st

from pages.ui import context
from pages.ui.progress import last_seen_progress
from pages.ui.run_history import run_history
from pages.ui.selection import show_what_was_asked_for
from pages.ui.settings_card import settings_card
from pages.ui.workflow_card import workflow_card
from services.errors import DatabaseUnavailable

space = context.require_workspace()

st.title(":material/neurology: Deep Memory")
st.markdown("Teach search which passages answer your questions, and see how much better it gets.")

if not space.runs.are_available:
    st.warning(
        "Deep Memory is only available with DeepLake Cloud: this vector store is not there. "
        "Set DEEPLAKE_PATH to a hub:// path, or DEEP_MEMORY_TRAINER to local.",
        icon=":material/cloud_off:",
    )
    st.stop()

try:
    state = space.models.state()
except DatabaseUnavailable:
    last_seen_progress()
    raise
problem = space.models.problem(state)
settings_card(space, state.settings, problem)
workflow_card(space, state, problem)
run_history(space, state, problem)
show_what_was_asked_for()
