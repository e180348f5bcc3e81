"""Figures of a comparison on the same questions: charts, a table, wins and losses.

Each function takes the result of `services.deep_memory.measurement.compared`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd
import streamlit as st

from pages.ui.components import count_text, page_of, percent, plain
from services.deep_memory.verdicts import MEASURE_NAMES

_WON, _SAME, _LOST = "Won", "Same rank", "Lost"
_CAME, _UP_FAR, _UP = "Into the first 10", "Up 4 or more", "Up 1 to 3"
_NEVER = "Beyond 10, both times"
_DOWN, _DOWN_FAR, _WENT = "Down 1 to 3", "Down 4 or more", "Out of the first 10"
_NEAR = 3  # ranks
_STEPS = {  # ways to search without training, each with what it adds to the one before
    "cosine": ("plain cosine", "Plain cosine"),
    "cosine_and_bm25": ("plain cosine and exact words", "+ exact words"),
    "ranker": ("the best search without training", "+ context"),
}
_QUESTIONS_A_PAGE = 20
_GREEN, _GRAY, _ORANGE = "#2e9e5b", "#9aa5b1", "#e07b39"
_CHANGES = {  # from best to worst, with colors
    **dict.fromkeys((_CAME, _UP_FAR, _UP), _GREEN),
    **dict.fromkeys((_SAME, _NEVER), _GRAY),
    **dict.fromkeys((_DOWN, _DOWN_FAR, _WENT), _ORANGE),
}


def figures_of(figures: dict[str, Any]) -> None:
    """All measures, without and with Deep Memory, and what each part of search brings."""
    without = baseline_text(figures)
    st.caption(f"{figures['questions']:,} questions. Without Deep Memory: {without}.")
    chart, table = st.columns([3, 2])
    rows = [
        {"Measure": name, "Search": label, "Value": figures[when][key]}
        for key, name in MEASURE_NAMES.items()
        for when, label in (("before", "Without"), ("after", "With Deep Memory"))
    ]
    chart.altair_chart(
        alt.Chart(pd.DataFrame(rows))
        .mark_bar()
        .encode(
            x=alt.X("Measure:N", sort=list(MEASURE_NAMES.values()), title=None),
            xOffset=alt.XOffset("Search:N", sort=["Without", "With Deep Memory"]),
            y=alt.Y("Value:Q", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%"), title=""),
            color=alt.Color(
                "Search:N",
                sort=["Without", "With Deep Memory"],
                scale=alt.Scale(range=["#9aa5b1", "#2f7ed8"]),
                legend=alt.Legend(orient="top", title=None),
            ),
            tooltip=["Measure", "Search", alt.Tooltip("Value:Q", format=".1%")],
        )
        .properties(height=280)
    )
    table.table(
        pd.DataFrame(
            {
                "Without": [percent(figures["before"][key]) for key in MEASURE_NAMES],
                "With": [percent(figures["after"][key]) for key in MEASURE_NAMES],
                "Change": [
                    f"{100 * (figures['after'][key] - figures['before'][key]):+.1f}"
                    for key in MEASURE_NAMES
                ],
            },
            index=pd.Index(list(MEASURE_NAMES.values()), name="Measure"),
        )
    )


def baseline_text(figures: Mapping[str, Any]) -> str:
    """How the search was done that the model is compared with."""
    steps = figures.get("steps", [{"search": "cosine"}])  # older measurements: plain cosine
    return _STEPS[steps[-1]["search"]][0]


def attribution(figures: dict[str, Any]) -> None:
    """What words, context and training each bring, as a chart of recall@1 and recall@10."""
    steps = figures.get("steps", [])
    if len(steps) < 2:
        return
    named = {_STEPS[step["search"]][1]: step for step in steps}
    named["+ training"] = figures["after"]
    st.markdown("**What each part brings**")
    st.caption(
        "Search without training is plain cosine, the exact words, and what stands around a chunk "
        "and in its document. Training adds to that."
    )
    for column, key in zip(st.columns(2), ("recall@1", "recall@10"), strict=True):
        with column:
            _steps({name: metrics[key] for name, metrics in named.items()}, MEASURE_NAMES[key])


def _steps(values: dict[str, float], title: str) -> None:
    """A bar for each way to search, the last of them with training."""
    rows = [{"Search": name, "Measure": title, "Value": value} for name, value in values.items()]
    base = alt.Chart(pd.DataFrame(rows), title=title).encode(
        y=alt.Y("Search:N", sort=list(values), title=None, axis=alt.Axis(labelLimit=170)),
        x=alt.X("Value:Q", title=None, scale=alt.Scale(domain=[0, 1.12]), axis=None),
        tooltip=["Search", "Measure", alt.Tooltip("Value:Q", format=".1%")],
    )
    bars = base.mark_bar().encode(
        color=alt.Color(
            "Search:N",
            sort=list(values),
            scale=alt.Scale(range=["#9aa5b1"] * (len(values) - 1) + ["#2f7ed8"]),
            legend=None,
        )
    )
    text = base.mark_text(align="left", dx=4).encode(text=alt.Text("Value:Q", format=".1%"))
    st.altair_chart((bars + text).properties(height=40 + 24 * len(values)))


def rank_changes_of(
    figures: dict[str, Any], key: str, show: Callable[[dict[str, Any]], None]
) -> None:
    """How ranks changed, as a chart, then wins and losses one by one, the largest first.

    `show` opens one of them; `key` distinguishes several of these on one page.
    """
    st.markdown("**Wins and losses**")
    _changes(figures)
    for title, changes, count in (
        ("Lost", figures["losses"], figures["loss_count"]),
        ("Won", figures["wins"], figures["win_count"]),
    ):
        folded = st.expander(
            f"{title}: {count_text(count, 'question')}",
            key=f"{title}_{key}".lower(),
            on_change="rerun",
        )
        if folded.open:
            with folded:
                _questions(changes, count, f"{title}_{key}".lower(), show)


def _questions(
    changes: Sequence[dict[str, Any]],
    count: int,
    key: str,
    show: Callable[[dict[str, Any]], None],
) -> None:
    if changes:
        st.caption("Click a question to see both lists.")
    first = _QUESTIONS_A_PAGE * page_of(len(changes), _QUESTIONS_A_PAGE, key=f"page_{key}")
    for number, change in enumerate(changes[first : first + _QUESTIONS_A_PAGE], start=first):
        ranks = f"{rank_text(change['before'])} → {rank_text(change['after'])}"
        if st.button(
            f"{plain(change['question'])} :gray[{ranks}]",
            key=f"rank_change_{key}_{number}",
            type="tertiary",
            icon=":material/compare_arrows:",
        ):
            show(change)
    if count > len(changes):
        st.caption(f"and {count - len(changes):,} more")


def _changes(figures: dict[str, Any]) -> None:
    """How many questions went up or down, and by how much."""
    if "ranks" in figures:
        counts = dict.fromkeys(_CHANGES, 0)
        for before, after, questions in figures["ranks"]:
            counts[_change(before, after)] += questions
        st.caption("How the rank of the first relevant chunk changed, by number of questions.")
    else:  # measured before ranks were kept
        won, lost = figures["win_count"], figures["loss_count"]
        counts = {_WON: won, _SAME: figures["questions"] - won - lost, _LOST: lost}
    colors = _CHANGES | {_WON: _GREEN, _LOST: _ORANGE}
    rows = pd.DataFrame(
        {
            "Change": list(counts),
            "Questions": list(counts.values()),
            "color": [colors[change] for change in counts],
        }
    )
    bars = alt.Chart(rows).encode(
        y=alt.Y("Change:N", sort=list(counts), title=None, axis=alt.Axis(labelLimit=170)),
        x=alt.X(
            "Questions:Q",
            title=None,
            scale=alt.Scale(domainMax=max(1, 1.15 * max(counts.values()))),
            axis=alt.Axis(tickMinStep=1, tickCount=5, format="d"),
        ),
        tooltip=["Change", "Questions"],
    )
    st.altair_chart(
        (
            bars.mark_bar().encode(color=alt.Color("color:N", scale=None))
            + bars.mark_text(align="left", dx=4).encode(text="Questions:Q")
        ).properties(height=40 + 26 * len(counts))
    )


def _change(before: int | None, after: int | None) -> str:
    """Which of `_CHANGES` it is, from the ranks of the first relevant chunk."""
    if before == after:
        return _SAME if before else _NEVER
    if before is None:
        return _CAME
    if after is None:
        return _WENT
    if after < before:
        return _UP_FAR if before - after > _NEAR else _UP
    return _DOWN_FAR if after - before > _NEAR else _DOWN


def rank_text(rank: int | None) -> str:
    return "beyond 10" if rank is None else f"rank {rank}"
