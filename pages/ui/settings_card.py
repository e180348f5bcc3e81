"""The switch for Deep Memory, and the state of its training."""

from __future__ import annotations

import streamlit as st

from pages.ui.components import ago_text, attempt
from services.models import DeepMemorySettings
from services.workspace import Workspace

_SWITCH = "deep_memory_enabled"


def settings_card(space: Workspace, settings: DeepMemorySettings, problem: str) -> None:
    """`problem` says why search cannot use the chosen model; it is empty when it can."""

    def switch() -> None:
        attempt(lambda: space.models.set_enabled(st.session_state[_SWITCH]))

    st.session_state[_SWITCH] = settings.enabled  # the database decides what the switch shows
    with st.container(border=True, key="figures"):
        switch_column, *figures = st.columns([2, 1, 1, 1], vertical_alignment="center")
        with switch_column:
            st.toggle(
                "**Use Deep Memory in search**",
                key=_SWITCH,
                disabled=not settings.can_enable,
                on_change=switch,
            )
            st.caption(
                f":material/warning: {problem} Search works without it."
                if settings.enabled and problem
                else "Search uses the trained model."
                if settings.enabled
                else "Search works without it at the moment."
                if settings.can_enable
                else f"{problem} Search works without it."
                if problem
                else "You can switch it on once a model is chosen, by itself or by you."
            )
        trained = settings.last_trained_at
        figures[0].metric("Last trained", ago_text(trained) if trained else "never")
        figures[1].metric("Total chunks", f"{settings.total_chunks:,}")
        figures[2].metric("Chunks trained on", f"{settings.trained_chunk_count:,}")
