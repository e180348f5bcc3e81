"""Results: recall before and after, on questions that were held out, as a chart and a table."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd
import streamlit as st

from pages.ui.components import attempt, count_text, flash, percent, plain
from pages.ui.pair_exchange import pair_exchange
from pages.ui.run_details import run_details
from services.deep_memory.evaluation import Verdict
from services.models import TrainingRun
from services.studio import Workspace

_NAMES = {
    "recall@1": "Recall@1",
    "recall@3": "Recall@3",
    "recall@5": "Recall@5",
    "recall@10": "Recall@10",
    "mrr@10": "MRR@10",
    "ndcg@10": "nDCG@10",
}


def results(space: Workspace, run: TrainingRun) -> None:
    metrics = run.metrics
    if "verdict" not in metrics:  # completed before this app measured
        st.info("No figures were kept of this run.", icon=":material/info:")
        run_details(space, run)
        return
    _verdict(metrics)
    held_out = {**metrics, "name": "Held-out questions", "questions": metrics["held_out_questions"]}
    sets = [held_out, *metrics.get("test_sets", [])]
    for tab, figures in zip(st.tabs([s["name"] for s in sets]), sets, strict=True):
        with tab:
            _figures(figures)
            _moves(figures)
    _model_in_use(space, run)
    pair_exchange(space, run)
    run_details(space, run)


def _verdict(metrics: dict[str, Any]) -> None:
    before, after = metrics["before"]["recall@10"], metrics["after"]["recall@10"]
    change = f"Recall@10 on held-out questions went from {percent(before)} to {percent(after)}."
    low, high = metrics["intervals"]["recall@10"]
    interval = f"The change lies between {100 * low:+.1f} and {100 * high:+.1f} points (95%)."
    if metrics["is_worse"]:
        st.warning(
            f"**Worse.** {change} Search does not use this model by itself. {interval}",
            icon=":material/trending_down:",
        )
    elif metrics["verdict"] == Verdict.BETTER:
        st.success(f"**Better.** {change} {interval}", icon=":material/trending_up:")
    else:
        st.info(
            f"**Not proven.** {change} {interval} With so few questions that can be chance.",
            icon=":material/trending_flat:",
        )
    trained, chunks = metrics["trained_questions"], metrics["trained_chunks"]
    st.caption(
        f"Trained on {trained:,} questions about {chunks:,} chunks in "
        f"{metrics['train_seconds']:.1f} s. Recall@k is the share of a question's relevant chunks "
        "found among the first k; the held-out questions are about documents that were not "
        "trained on."
    )
    if metrics.get("pairs_without_chunk"):
        st.caption(
            f":material/info: {metrics['pairs_without_chunk']:,} pairs were left out: their "
            "documents are no longer in the knowledge base."
        )
    if "service" in metrics:
        _service(metrics["service"])


def _service(figures: dict[str, Any]) -> None:
    """What DeepLake Cloud says of its own job, told apart from what was measured here."""
    said = "gave no figure of its own training"
    if figures["recall_at_10"] is not None:
        said = f"says of its own training: recall@10 {percent(figures['recall_at_10'])}"
    if figures["gain"] is not None:
        said += f" ({100 * figures['gain']:+.1f} points)"
    st.caption(
        f":material/cloud: DeepLake Cloud {said}. Its figure flatters; all others on this page are "
        f"measured by this app. Job `{figures['job_id']}`."
    )


def _moves(figures: dict[str, Any]) -> None:
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


def _figures(figures: dict[str, Any]) -> None:
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


def _model_in_use(space: Workspace, run: TrainingRun) -> None:
    settings = space.deep_memory.settings()
    active = space.deep_memory.active_run()
    in_use = active is not None and active.id == run.id

    def use() -> None:
        attempt(lambda: space.deep_memory.use_model(run.id))

    def switch_on() -> None:
        if attempt(lambda: space.deep_memory.set_enabled(True)) is not None:
            flash("Search uses Deep Memory now.")

    with st.container(horizontal=True, vertical_alignment="center"):
        if not in_use:
            st.button("Use this model", key="use_model", icon=":material/swap_horiz:", on_click=use)
        elif not settings.enabled:
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
