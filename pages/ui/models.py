"""Trained models side by side: which one search uses, how good each is, and a button to switch.

A model is named after the time its run started, like its row in the history.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd
import streamlit as st

from pages.ui.components import attempt, count_text, flash, percent, when_text
from pages.ui.figures import baseline_text
from services.models import TrainingRun
from services.workspace import Workspace

HELD_OUT = "Held-out questions"
_WIDTHS = [4, 3, 3, 2, 3]
_HEADINGS = ("Model", "Recall@10", "MRR@10", "Verdict", "")


def switch_to(space: Workspace, run: TrainingRun) -> None:
    """Make search use this model, and say so. For an `on_click`."""
    if attempt(lambda: space.models.use(run.id)) is not None:
        flash(f"Search uses the model of {when_text(run.started_at)} now.")


def in_use_badge(*, enabled: bool) -> None:
    """The badge of the chosen model; Deep Memory as a whole may be switched off."""
    if enabled:
        st.badge("In use", icon=":material/check:", color="blue")
    else:
        st.badge("Chosen, off", icon=":material/toggle_off:", color="gray")


def compare_models(
    space: Workspace, runs: Sequence[TrainingRun], active_id: str | None, *, enabled: bool
) -> None:
    """A collapsed section with a chart and a table of the models, and a button to use each."""
    measured = [run for run in runs if _figures(run, HELD_OUT)]
    if len(measured) < 2:
        return
    folded = st.expander(
        f"Compare {count_text(len(measured), 'model')}",
        icon=":material/compare:",
        key="compare_models",
        on_change="rerun",
    )
    if not folded.open:
        return
    with folded:
        test_set = _test_set(measured)
        shown = [run for run in measured if _figures(run, test_set)]
        names = _names(shown)
        _chart(shown, names, test_set)
        with st.container(key="wide_only_models"):
            for column, heading in zip(st.columns(_WIDTHS), _HEADINGS, strict=True):
                column.caption(heading)
        unusable = space.models.unusable(shown)
        for run in shown:
            with st.container(key=f"model_row_{run.id}"):
                *cells, action = st.columns(_WIDTHS, vertical_alignment="center")
                texts = [names[run.id], *_cells(run, test_set)]
                for cell, text in zip(cells, texts, strict=True):
                    cell.markdown(text)
                with action:
                    is_chosen = run.id == active_id
                    _action(space, run, unusable.get(run.id), is_chosen=is_chosen, enabled=enabled)


def _action(
    space: Workspace, run: TrainingRun, unusable: str | None, *, is_chosen: bool, enabled: bool
) -> None:
    if is_chosen:
        in_use_badge(enabled=enabled)
    if unusable:
        st.caption(f":material/block: {unusable}")
    elif not (is_chosen and enabled):
        st.button(
            "Use",
            key=f"use_{run.id}",
            icon=":material/swap_horiz:",
            help="Search will use this model.",
            on_click=switch_to,
            args=(space, run),
        )


def _test_set(runs: Sequence[TrainingRun]) -> str:
    """The test set that the models are compared on, chosen by the person."""
    names = Counter(kept["name"] for run in runs for kept in run.metrics.get("test_sets", []))
    options = [*(name for name, count in names.items() if count > 1), HELD_OUT]
    chosen = options[0]
    if len(options) > 1:
        chosen = st.selectbox("Compared on", options, key="compared_on")
    if len({baseline_text(_figures(run, chosen) or {}) for run in runs}) > 1:
        st.caption(
            ":material/info: Older models were compared with plain cosine, newer ones with the "
            "best search without training: do not compare their gains."
        )
    st.caption(
        "Each model's own held-out questions. They differ between models: compare the gains."
        if chosen == HELD_OUT
        else "The same questions for every model, each measured when it was trained."
    )
    return chosen


def _figures(run: TrainingRun, test_set: str) -> dict[str, Any] | None:
    """The figures of a run on a test set; None when it was not measured on it."""
    sets = [{**run.metrics, "name": HELD_OUT}, *run.metrics.get("test_sets", [])]
    found: dict[str, Any] = next((kept for kept in sets if kept["name"] == test_set), {})
    measured = all("recall@10" in found.get(when, {}) for when in ("before", "after"))
    return found if measured else None


def _cells(run: TrainingRun, test_set: str) -> list[str]:
    figures = _figures(run, test_set) or {}
    change = {
        key: f"{percent(figures['before'][key])} → {percent(figures['after'][key])}"
        for key in ("recall@10", "mrr@10")
        if key in figures["before"] and key in figures["after"]
    }
    return [
        change.get("recall@10", "—"),
        change.get("mrr@10", "—"),
        figures.get("verdict", "—"),
    ]


def _names(runs: Sequence[TrainingRun]) -> dict[str, str]:
    """The name of each model by run id; numbered where two runs began in the same minute."""
    names: dict[str, str] = {}
    for run in runs:
        when = when_text(run.started_at)
        same = sum(name.startswith(when) for name in names.values())
        names[run.id] = f"{when} ({same + 1})" if same else when
    return names


def _chart(runs: Sequence[TrainingRun], names: dict[str, str], test_set: str) -> None:
    """Recall@10 without and with each model, joined by a line; the newest on top."""
    rows = [
        {"Model": names[run.id], "Search": label, "Recall@10": figures[key]["recall@10"]}
        for run in runs
        if (figures := _figures(run, test_set))
        for key, label in (("before", "Without"), ("after", "Model"))
    ]
    base = alt.Chart(pd.DataFrame(rows)).encode(
        y=alt.Y("Model:N", sort=list(names.values()), title=None, axis=alt.Axis(labelLimit=140)),
        x=alt.X(
            "Recall@10:Q",
            scale=alt.Scale(zero=False, nice=True, padding=12),
            axis=alt.Axis(format=".0%", tickCount=5),
        ),
    )
    line = base.mark_line(color="#9aa5b1").encode(detail="Model:N")
    points = base.mark_point(filled=True, size=90, opacity=1).encode(
        color=alt.Color(
            "Search:N",
            sort=["Without", "Model"],
            scale=alt.Scale(range=["#9aa5b1", "#2f7ed8"]),
            legend=alt.Legend(orient="top", title=None),
        ),
        tooltip=["Model", "Search", alt.Tooltip("Recall@10:Q", format=".1%")],
    )
    st.altair_chart((line + points).properties(height=110 + 34 * len(runs)))
