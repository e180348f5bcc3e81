"""Figures of a comparison on the same questions: the verdict, a chart, a table, wins and losses.

Each takes what `services.deep_memory.training.compared` keeps of it.
"""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd
import streamlit as st

from pages.ui.components import count_text, percent, plain
from services.deep_memory.evaluation import Verdict

_NAMES = {
    "recall@1": "Recall@1",
    "recall@3": "Recall@3",
    "recall@5": "Recall@5",
    "recall@10": "Recall@10",
    "mrr@10": "MRR@10",
    "ndcg@10": "nDCG@10",
}


def verdict(figures: dict[str, Any], questions: str) -> None:
    """Better, not proven or worse on `questions`, with the interval."""
    before, after = figures["before"]["recall@10"], figures["after"]["recall@10"]
    low, high = figures["intervals"]["recall@10"]
    change = (
        f"Recall@10 on {questions} went from {percent(before)} to {percent(after)}. "
        f"The change lies between {100 * low:+.1f} and {100 * high:+.1f} points (95%)."
    )
    if figures["is_worse"]:
        st.warning(f"**Worse.** {change}", icon=":material/trending_down:")
    elif figures["verdict"] == Verdict.BETTER:
        st.success(f"**Better.** {change}", icon=":material/trending_up:")
    else:
        st.info(
            f"**Not proven.** {change} With so few questions that can be chance.",
            icon=":material/trending_flat:",
        )


def figures_of(figures: dict[str, Any]) -> None:
    """All measures, without and with Deep Memory."""
    st.caption(f"{figures['questions']:,} questions")
    chart, table = st.columns([3, 2])
    rows = [
        {"Measure": name, "Search": label, "Value": figures[when][key]}
        for key, name in _NAMES.items()
        for when, label in (("before", "Without"), ("after", "With Deep Memory"))
    ]
    chart.altair_chart(
        alt.Chart(pd.DataFrame(rows))
        .mark_bar()
        .encode(
            x=alt.X("Measure:N", sort=list(_NAMES.values()), title=None),
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
                "Without": [percent(figures["before"][key]) for key in _NAMES],
                "With": [percent(figures["after"][key]) for key in _NAMES],
                "Change": [
                    f"{100 * (figures['after'][key] - figures['before'][key]):+.1f}"
                    for key in _NAMES
                ],
            },
            index=pd.Index(list(_NAMES.values()), name="Measure"),
        )
    )


def moves_of(figures: dict[str, Any]) -> None:
    """Wins and losses question by question, the largest first."""
    losses, wins = st.columns(2)
    for column, title, moves, count in (
        (losses, "Lost", figures["losses"], figures["loss_count"]),
        (wins, "Won", figures["wins"], figures["win_count"]),
    ):
        with column, st.expander(f"{title}: {count_text(count, 'question')}"):
            for move in moves:
                ranks = f"{_rank_text(move['before'])} → {_rank_text(move['after'])}"
                st.markdown(f"{plain(move['question'])} :gray[{ranks}]")
            if count > len(moves):
                st.caption(f"and {count - len(moves):,} more")


def _rank_text(rank: int | None) -> str:
    return "beyond 10" if rank is None else f"rank {rank}"
