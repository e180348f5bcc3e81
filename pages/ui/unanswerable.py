"""Figures of the test questions that the documents do not answer: how often search says so."""

from __future__ import annotations

from collections.abc import Sequence
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
    recognised.metric(
        "Recognised",
        percent(measured["said_so"]),
        help=f"Of {asked} that the documents do not answer, search with the model said so.",
    )
    recognised.caption(_range(measured["said_so_interval"]))
    refused.metric(
        "Wrongly refused",
        percent(measured["refused_answerable"]),
        help=f"Of {others} with an answer, search with the model said that probably nothing "
        "answers.",
    )
    refused.caption(_range(measured["refused_answerable_interval"]))


def _range(interval: Sequence[float]) -> str:
    low, high = interval
    return f"Between {percent(low)} and {percent(high)} (95%)."
