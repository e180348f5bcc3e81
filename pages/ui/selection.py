"""Which run is shown and which row is open: always a run's id, never a position."""

from __future__ import annotations

import streamlit as st

SELECTED_RUN = "selected_run"  # shown in the workflow card
EXPANDED_RUN = "expanded_run"  # open in the history


def expand_run(run_id: str) -> None:
    """Open this run's row in the history, and close any other."""
    st.session_state[EXPANDED_RUN] = run_id
    st.session_state["history_status"] = None
    st.session_state.pop("history_page", None)


def toggle_run(run_id: str) -> None:
    is_open = st.session_state.get(EXPANDED_RUN) == run_id
    st.session_state[EXPANDED_RUN] = None if is_open else run_id


def select_run(run_id: str) -> None:
    st.session_state[SELECTED_RUN] = run_id
    st.session_state[EXPANDED_RUN] = None
