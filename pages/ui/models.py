"""Trained models side by side: which one search uses, how good each is, and a button to switch.

A model is named after the time its run started, like its row in the history.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import altair as alt
import pandas as pd
import streamlit as st

from pages.ui.components import attempt, count_text, flash, percent, when_text
from pages.ui.figures import baseline_text
from pages.ui.verdict import choose_measure, verdict_text
from services.deep_memory.measured_sets import HELD_OUT, MeasuredSet, measured_sets
from services.deep_memory.verdicts import MEASURE_NAMES, Measure
from services.models import TrainingRun
from services.workspace import Workspace

_WIDTHS = [4, 3, 3, 2, 3]
_HEADINGS = ("Model", "Change", "Points (95%)", "Verdict", "")


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
        measure = choose_measure(key="measure_of_models")
        shown = [run for run in measured if _figures(run, test_set)]
        names = _names(shown)
        _chart(shown, names, test_set, measure)
        with st.container(key="wide_only_models"):
            for column, heading in zip(st.columns(_WIDTHS), _HEADINGS, strict=True):
                column.caption(heading)
        unusable = space.models.unusable(shown)
        for run in shown:
            with st.container(key=f"model_row_{run.id}"):
                *cells, action = st.columns(_WIDTHS, vertical_alignment="center")
                texts = [names[run.id], *_cells(run, test_set, measure)]
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
    names = Counter(found.name for run in runs for found in measured_sets(run.metrics))
    of_people = [name for name, count in names.items() if count > 1 and name != HELD_OUT]
    options = [*of_people, HELD_OUT]
    chosen = options[0]
    if len(options) > 1:
        chosen = st.selectbox("Compared on", options, key="compared_on")
    measured = [found.figures for run in runs if (found := _figures(run, chosen))]
    if len({baseline_text(figures) for figures in measured}) > 1:
        st.caption(
            ":material/info: Older models were compared with plain cosine, newer ones with the "
            "best search without training: do not compare their gains."
        )
    st.caption(
        "Each model's own held-out questions. They differ between models: compare the gains."
        if chosen == HELD_OUT
        else "The same questions for every model, each as it was measured last."
    )
    return chosen


def _figures(run: TrainingRun, test_set: str) -> MeasuredSet | None:
    """What a run was measured to be on a test set; None when it was not measured on it."""
    sets = measured_sets(run.metrics)
    return next((found for found in sets if found.name == test_set), None)


def _cells(run: TrainingRun, test_set: str, measure: Measure) -> list[str]:
    found = _figures(run, test_set)
    if found is None:
        return ["—"] * 3
    before, after = found.figures["before"][measure], found.figures["after"][measure]
    low, high = (100 * bound for bound in found.figures["intervals"][measure])
    return [
        f"{percent(before)} → {percent(after)}",
        f"{100 * (after - before):+.1f} [{low:+.1f}, {high:+.1f}]",
        verdict_text(found, measure),
    ]


def _names(runs: Sequence[TrainingRun]) -> dict[str, str]:
    """The name of each model by run id; numbered where two runs began in the same minute."""
    names: dict[str, str] = {}
    for run in runs:
        when = when_text(run.started_at)
        same = sum(name.startswith(when) for name in names.values())
        names[run.id] = f"{when} ({same + 1})" if same else when
    return names


def _chart(
    runs: Sequence[TrainingRun], names: dict[str, str], test_set: str, measure: Measure
) -> None:
    """The measure without and with each model, joined by a line; the newest on top."""
    rows = [
        {"Model": names[run.id], "Search": label, "Value": found.figures[key][measure]}
        for run in runs
        if (found := _figures(run, test_set))
        for key, label in (("before", "Without"), ("after", "Model"))
    ]
    base = alt.Chart(pd.DataFrame(rows)).encode(
        y=alt.Y("Model:N", sort=list(names.values()), title=None, axis=alt.Axis(labelLimit=140)),
        x=alt.X(
            "Value:Q",
            title=MEASURE_NAMES[measure],
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
        tooltip=["Model", "Search", alt.Tooltip("Value:Q", format=".1%")],
    )
    st.altair_chart((line + points).properties(height=110 + 34 * len(runs)))
