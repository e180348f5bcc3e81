"""Which run is shown, which row is open and what to scroll to: by id, never by position.

What a click opens may be far away, above or below a long list, so the page scrolls there.
"""

from __future__ import annotations

import streamlit as st

from pages.ui.components import bring_into_view

SELECTED_RUN = "selected_run"  # shown in the workflow card
EXPANDED_RUN = "expanded_run"  # open in the history
WORKFLOW = "workflow"  # the key of the card
_ASKED_FOR = "asked_for"  # the key of the container that the last click asked for


def follow_work() -> None:
    """Show the progress of the run that was just started in the workflow card, and no other run."""
    close_run()
    st.session_state[EXPANDED_RUN] = None
    st.session_state[_ASKED_FOR] = WORKFLOW


def expand_run(run_id: str) -> None:
    """Open this run's row in the history, and close any other."""
    st.session_state[EXPANDED_RUN] = run_id
    st.session_state["history_status"] = None
    st.session_state.pop("history_page", None)
    st.session_state[_ASKED_FOR] = f"run_{run_id}"


def toggle_run(run_id: str) -> None:
    is_open = st.session_state.get(EXPANDED_RUN) == run_id
    st.session_state[EXPANDED_RUN] = None if is_open else run_id


def select_run(run_id: str) -> None:
    st.session_state[SELECTED_RUN] = run_id
    st.session_state[EXPANDED_RUN] = None
    st.session_state[_ASKED_FOR] = WORKFLOW


def close_run() -> None:
    """Make the workflow card show its default run again."""
    st.session_state.pop(SELECTED_RUN, None)


def show_what_was_asked_for() -> None:
    """Scroll to what the last click asked for. Call it at the end of the page."""
    if key := st.session_state.pop(_ASKED_FOR, None):
        bring_into_view(key)
