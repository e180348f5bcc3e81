"""Results: the verdict, and search before and after on each set of questions."""

from __future__ import annotations

from functools import partial
from typing import Any

import streamlit as st

from pages.ui.both_lists import both_lists
from pages.ui.components import attempt, count_text, flash, percent
from pages.ui.figures import attribution, figures_of, rank_changes_of
from pages.ui.judged_figures import judged_figures
from pages.ui.models import switch_to
from pages.ui.pair_exchange import pair_exchange
from pages.ui.run_details import run_details
from pages.ui.test_sets import own_questions
from pages.ui.unanswerable import without_answer
from pages.ui.verdict import choose_measure, show_verdict, verdict_table
from services.deep_memory.measured_sets import MeasuredSet, headline, measured_sets
from services.deep_memory.models import ModelState
from services.deep_memory.verdicts import Measure
from services.models import TrainingRun
from services.workspace import Workspace

_UNSEEN = {
    "document": "documents that were not used in training",
    "chunk": "chunks that were not used in training, though their documents were",
}


def results(space: Workspace, run: TrainingRun, state: ModelState, problem: str) -> None:
    """`problem` says why search cannot use the chosen model; it is empty when it can."""
    sets = measured_sets(run.metrics)
    if not sets:  # completed before this app measured
        st.info("There are no figures for this run.", icon=":material/info:")
        run_details(space, run)
        return
    measure = choose_measure()
    show_verdict(headline(sets), measure)
    if len(sets) > 1:
        verdict_table(sets, measure)
    _what_was_trained(run.metrics)
    changes = space.models.rank_changes(run)  # the row has only the first of them
    for number, (tab, found) in enumerate(
        zip(st.tabs([found.name for found in sets]), sets, strict=True)
    ):
        with tab:
            _set(space, run, found, {**found.figures, **changes.get(found.name, {})}, number)
    own_questions(space, run)
    _model_in_use(space, run, state, problem)
    _report(space, run, measure)
    pair_exchange(space, run)
    run_details(space, run)


def _set(
    space: Workspace, run: TrainingRun, found: MeasuredSet, figures: dict[str, Any], number: int
) -> None:
    if figures.get("by_document"):
        st.caption("Measured by document: a document's rank is that of its best chunk.")
    if figures.get("not_found"):
        st.caption(
            f":material/info: {count_text(figures['not_found'], 'question')} left out: the "
            "knowledge base does not contain the answers."
        )
    if figures.get("trained_on"):
        st.caption(
            f":material/info: {count_text(figures['trained_on'], 'question')} left out: the model "
            "was trained on them, so they would flatter it."
        )
    if found.is_enough:
        figures_of({**figures, "questions": found.questions})
        judged_figures(figures)
        attribution(figures)
    else:
        st.caption(f"{count_text(found.questions, 'question')}: too few for figures.")
    without_answer(figures)
    rank_changes_of(
        {**figures, "questions": found.questions},
        f"{run.id}_{number}",
        partial(both_lists, space, run),
    )


def _report(space: Workspace, run: TrainingRun, measure: Measure) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(":material/summarize: Report to hand on:")
        for label, write, ending, mime in (
            ("HTML", space.reports.as_page, "html", "text/html"),
            ("JSON", space.reports.as_json, "json", "application/json"),
        ):
            st.download_button(
                label,
                data=partial(write, run, measure),  # made on click
                file_name=f"deep-memory-{run.started_at:%Y-%m-%d}.{ending}",
                mime=mime,
                key=f"report_{ending}",
                icon=":material/download:",
                on_click="ignore",
            )


def _what_was_trained(metrics: dict[str, Any]) -> None:
    if reason := metrics.get("kept_back"):
        st.caption(
            f":material/info: This model was not put to use by itself: {reason} "
            "You can use it all the same."
        )
    trained, chunks = metrics["trained_questions"], metrics["trained_chunks"]
    of_people = metrics.get("of_people", 0)
    by_people = f", {of_people:,} of them asked by people," if of_people else ""
    unseen = _UNSEEN[metrics.get("held_out_by", "document")]
    st.caption(
        f"Trained on {trained:,} questions{by_people} about {chunks:,} chunks in "
        f"{metrics['train_seconds']:.1f} s. The held-out questions are about {unseen}."
    )
    if left_out := metrics.get("left_out"):
        named = ", ".join(f"{count:,} ({why})" for why, count in left_out.items())
        st.caption(f":material/info: Pairs left out: {named}.")
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
