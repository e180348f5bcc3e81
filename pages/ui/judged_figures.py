"""Figures of a test set in which a chunk that nobody judged is not a miss."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from pages.ui.components import percent

_NAMES = {"bpref": "bpref", "condensed_ndcg@10": "nDCG@10, unjudged left out"}
_JUDGED = "judged@10"


def judged_figures(figures: dict[str, Any]) -> None:
    """A table, where chunks were judged not to answer; `figures` are those of a test set."""
    before, after = figures["before"], figures["after"]
    if _JUDGED not in before:
        return
    st.markdown("**As far as it was judged**")
    st.caption(
        "In the figures above, a chunk that nobody judged counts as a miss. Here it does not count "
        "at all: bpref says how seldom a chunk that does not answer stands above one that does. "
        f"Of the first ten, {percent(before[_JUDGED])} were judged without training and "
        f"{percent(after[_JUDGED])} with this model; the less, the less these figures say."
    )
    intervals = {name: figures["intervals"][name] for name in _NAMES}
    st.table(
        pd.DataFrame(
            {
                "Without": [percent(before[name]) for name in _NAMES],
                "With": [percent(after[name]) for name in _NAMES],
                "Change": [f"{100 * (after[name] - before[name]):+.1f}" for name in _NAMES],
                "95%": [
                    f"{100 * low:+.1f} to {100 * high:+.1f}" for low, high in intervals.values()
                ],
            },
            index=pd.Index(list(_NAMES.values()), name="Measure"),
        )
    )
