"""One question of a measurement, with its two ranked lists."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import streamlit as st

from pages.ui.components import plain, show_error
from pages.ui.figures import rank_text
from pages.ui.hits import INDEXING, answers, hit_list
from services.errors import AppError
from services.models import SearchHit, TrainingRun
from services.workspace import Workspace

_DEPTH = 10  # the same as in the measures


@st.dialog("Both lists of one question", width="large")
def both_lists(space: Workspace, run: TrainingRun, change: dict[str, Any]) -> None:
    """Search again for the question of `change` (from `compared`), with the model of `run`."""
    st.markdown(f"**{plain(change['question'])}**")
    st.caption(
        f"Measured: {rank_text(change['before'])} without, {rank_text(change['after'])} with this "
        "model. The lists below are a new search, in the knowledge base as it is now."
    )
    try:
        comparison = space.search.compare(change["question"], _DEPTH, run)
    except AppError as error:
        show_error(error)
        return
    if comparison.problem:
        st.warning(comparison.problem, icon=":material/warning:")
        return
    if comparison.is_indexing:
        st.info(INDEXING, icon=":material/hourglass_top:")
        return
    relevant = change.get("relevant", ())
    if not relevant:
        st.caption(":material/info: This older measurement did not record which chunk answers.")
    else:
        st.markdown(
            f":material/task_alt: The answer is now at **{_rank(comparison.without, relevant)}** "
            f"without training, and at **{_rank(comparison.with_, relevant)}** with this model."
        )
    without, with_ = st.columns(2)
    with without:
        st.subheader("Without training", anchor=False)
        hit_list(comparison.without, relevant=relevant)
    with with_:
        st.subheader("With this model", anchor=False)
        hit_list(comparison.with_, comparison.moved, relevant)


def _rank(hits: Sequence[SearchHit], relevant: Collection[str]) -> str:
    return rank_text(next((hit.rank for hit in hits if answers(hit, relevant)), None))
