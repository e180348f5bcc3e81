"""Results: recall before and after on held-out questions, as a chart and a table."""

from __future__ import annotations

from functools import partial
from typing import Any

import streamlit as st

from pages.ui.both_lists import both_lists
from pages.ui.components import attempt, flash, percent
from pages.ui.figures import attribution, figures_of, rank_changes_of, verdict
from pages.ui.models import HELD_OUT, switch_to
from pages.ui.pair_exchange import pair_exchange
from pages.ui.run_details import run_details
from pages.ui.test_sets import own_questions
from services.deep_memory.models import ModelState
from services.models import TrainingRun
from services.workspace import Workspace

_UNSEEN = {
    "document": "documents that were not used in training",
    "chunk": "chunks that were not used in training, though their documents were",
}


def results(space: Workspace, run: TrainingRun, state: ModelState, problem: str) -> None:
    """`problem` says why search cannot use the chosen model; it is empty when it can."""
    metrics = run.metrics
    if "verdict" not in metrics:  # completed before this app measured
        st.info("There are no figures for this run.", icon=":material/info:")
        run_details(space, run)
        return
    _verdict(metrics)
    held_out = {**metrics, "name": HELD_OUT, "questions": metrics["held_out_questions"]}
    sets = [held_out, *metrics.get("test_sets", [])]
    if moves := space.models.rank_changes(run):  # the row has only the first of them
        sets = [kept | moved for kept, moved in zip(sets, moves, strict=True)]
    for number, tab in enumerate(st.tabs([s["name"] for s in sets])):
        with tab:
            figures_of(sets[number])
            attribution(sets[number])
            rank_changes_of(sets[number], f"{run.id}_{number}", partial(both_lists, space, run))
    own_questions(space, run)
    _model_in_use(space, run, state, problem)
    pair_exchange(space, run)
    run_details(space, run)


def _verdict(metrics: dict[str, Any]) -> None:
    verdict(metrics, "held-out questions")
    if reason := metrics.get("kept_back"):
        st.caption(
            f":material/info: This model was not put to use by itself: {reason} "
            "You can use it all the same."
        )
    trained, chunks = metrics["trained_questions"], metrics["trained_chunks"]
    unseen = _UNSEEN[metrics.get("held_out_by", "document")]
    st.caption(
        f"Trained on {trained:,} questions about {chunks:,} chunks in "
        f"{metrics['train_seconds']:.1f} s. Recall@k is the share of a question's relevant chunks "
        f"among the first k results. The held-out questions are about {unseen}."
    )
    if metrics.get("pairs_without_chunk"):
        st.caption(
            f":material/info: {metrics['pairs_without_chunk']:,} pairs were left out: their "
            "documents are no longer in the knowledge base."
        )
    if "service" in metrics:
        _service(metrics["service"])


def _service(figures: dict[str, Any]) -> None:
    """What DeepLake Cloud reports about its job, kept apart from what this app measured."""
    said = "reported no figure for its training"
    if figures["recall_at_10"] is not None:
        said = f"reports recall@10 {percent(figures['recall_at_10'])} for its training"
    if figures["gain"] is not None:
        said += f" ({100 * figures['gain']:+.1f} points)"
    st.caption(
        f":material/cloud: DeepLake Cloud {said}. Its figure is too optimistic; this app measured "
        f"all others on this page. Job `{figures['job_id']}`."
    )


def _model_in_use(space: Workspace, run: TrainingRun, state: ModelState, problem: str) -> None:
    is_chosen = state.active is not None and state.active.id == run.id
    unusable = problem if is_chosen else space.models.unusable([run]).get(run.id)

    def switch_on() -> None:
        if attempt(lambda: space.models.set_enabled(True)) is not None:
            flash("Search uses Deep Memory now.")

    with st.container(horizontal=True, vertical_alignment="center"):
        if unusable:
            st.markdown(f":material/block: {unusable} Search cannot use it.")
        elif not is_chosen:
            st.button(
                "Use this model",
                key="use_model",
                icon=":material/swap_horiz:",
                on_click=switch_to,
                args=(space, run),
            )
        elif not state.settings.enabled:
            st.button(
                "Switch Deep Memory on",
                key="switch_on",
                type="primary",
                icon=":material/toggle_on:",
                on_click=switch_on,
            )
        else:
            st.markdown(":material/check: Search uses this model.")
        st.page_link("search.py", label="Compare in search", icon=":material/search:")
