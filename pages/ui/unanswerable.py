"""Figures of the test questions that the documents do not answer: how often search says so."""

from __future__ import annotations

from typing import Any

import streamlit as st

from pages.ui.components import count_text, percent


def without_answer(figures: dict[str, Any]) -> None:
    """Show the part "unanswerable" of a measurement; nothing where the set has none."""
    measured = figures.get("unanswerable")
    if not measured:
        return
    asked = count_text(measured["questions"], "question")
    st.markdown("**Questions without an answer**")
    if measured["said_so"] is None:
        st.caption(
            f":material/info: {asked} that the documents do not answer. This model cannot say so: "
            "it is from an older version, or learned from too few questions. Train again."
        )
        return
    others = count_text(measured["answerable_questions"], "question")
    recognised, refused = st.columns(2)
    with recognised:
        _share("Recognised", measured, "said_so", f"Of {asked} that the documents do not answer")
    with refused:
        _share("Wrongly refused", measured, "refused_answerable", f"Of {others} with an answer")


def _share(title: str, measured: dict[str, Any], name: str, of: str) -> None:
    low, high = measured[f"{name}_interval"]
    st.metric(
        title,
        percent(measured[name]),
        help="How often search with the model says that probably nothing here answers.",
    )
    st.caption(f"{of}; between {percent(low)} and {percent(high)} (95%).")
