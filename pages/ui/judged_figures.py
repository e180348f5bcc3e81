"""Figures of a test set in which a chunk that nobody judged is not a miss."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from pages.ui.components import percent
from services.deep_memory.judged_measures import JUDGED_NAMES, JUDGED_SHARE


def judged_figures(figures: dict[str, Any]) -> None:
    """A table, where chunks were judged not to answer; `figures` are those of a test set."""
    before, after = figures["before"], figures["after"]
    if JUDGED_SHARE not in before:
        return
    st.markdown("**As far as it was judged**")
    st.caption(
        "In the figures above, a chunk that nobody judged counts as a miss. Here it does not count "
        "at all: bpref says how seldom a chunk that does not answer stands above one that does. "
        f"Of the first ten, {percent(before[JUDGED_SHARE])} were judged without training and "
        f"{percent(after[JUDGED_SHARE])} with this model; the less, the less these figures say."
    )
    intervals = {name: figures["intervals"][name] for name in JUDGED_NAMES}
    st.table(
        pd.DataFrame(
            {
                "Without": [percent(before[name]) for name in JUDGED_NAMES],
                "With": [percent(after[name]) for name in JUDGED_NAMES],
                "Change": [f"{100 * (after[name] - before[name]):+.1f}" for name in JUDGED_NAMES],
                "95%": [
                    f"{100 * low:+.1f} to {100 * high:+.1f}" for low, high in intervals.values()
                ],
            },
            index=pd.Index(list(JUDGED_NAMES.values()), name="Measure"),
        )
    )
