"""The verdict on a set of questions, on the measure that the reader cares for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from pages.ui.components import count_text, percent, plain
from services.deep_memory.measured_sets import MeasuredSet
from services.deep_memory.verdicts import (
    FEWEST_TO_PROVE,
    MEASURE_NAMES,
    Measure,
    Verdict,
    verdict_on,
)

_WHAT = """**Recall@k** is the share of a question's relevant chunks among the first k results.
**MRR@10** looks at the first relevant chunk only: 1 for rank 1, ½ for rank 2, 0 beyond rank 10.
**nDCG@10** counts all relevant chunks among the first ten, the higher ones more."""
_NEVER_SETTLED = 10_000  # more questions than anybody asks


def choose_measure(key: str = "measure_of_verdict") -> Measure:
    """Let the reader choose the measure that verdicts are about; it stays for the session."""
    return st.segmented_control(
        "Measure",
        list(Measure),
        default=Measure.RECALL_10,
        format_func=MEASURE_NAMES.__getitem__,
        required=True,
        key=key,
        persist_state="session",
        help=_WHAT,
    )


def show_verdict(found: MeasuredSet, measure: Measure) -> None:
    """Show the verdict with figures and interval, and who wrote the questions."""
    if not found.is_enough:
        st.info(
            f"**Too few to measure.** {plain(found.described)}: figures would be "
            f"chance. {FEWEST_TO_PROVE} are the fewest, 100 are good. Search keeps what it uses.",
            icon=":material/hourglass_empty:",
        )
        return
    verdict, name = verdict_on(found.figures, measure), MEASURE_NAMES[measure]
    where = f"On {plain(found.described)}"
    if not found.is_by_people:
        where += " (expect less on your own)"
    said = f"{where}: {_went(found.figures, measure)}."
    match verdict:
        case Verdict.BETTER:
            st.success(f"**Better {name}.** {said}", icon=":material/trending_up:")
        case Verdict.WORSE:
            st.warning(f"**Worse {name}.** {said}", icon=":material/trending_down:")
        case Verdict.NO_CHANGE if found.figures["before"][measure] == 1:
            text = f"**Nothing to gain: {name} was 100% before.** {where} it stayed so."
            st.info(text, icon=":material/done_all:")
        case Verdict.NO_CHANGE:
            st.info(f"**No change of {name}.** {said}", icon=":material/trending_flat:")
        case Verdict.NOT_PROVEN:
            text = f"**{name}: not proven.** {said} {_what_would_settle(found.figures, measure)}"
            st.info(text, icon=":material/balance:")


def verdict_table(sets: Sequence[MeasuredSet], measure: Measure) -> None:
    """All sets of questions at a glance."""
    rows = {
        found.name: {
            "Questions": f"{found.questions:,}",
            "By": "people" if found.is_by_people else "the app",
            "Without": percent(found.figures["before"][measure]) if found.is_enough else "",
            "With": percent(found.figures["after"][measure]) if found.is_enough else "",
            "Change (95%)": _change(found.figures, measure) if found.is_enough else "",
            "Verdict": verdict_text(found, measure),
        }
        for found in sets
    }
    st.table(pd.DataFrame(rows.values(), index=pd.Index(list(rows), name=MEASURE_NAMES[measure])))


def verdict_text(found: MeasuredSet, measure: Measure) -> str:
    """In two or three words."""
    return verdict_on(found.figures, measure).value if found.is_enough else "too few to measure"


def _went(figures: Any, measure: Measure) -> str:
    before, after = figures["before"][measure], figures["after"][measure]
    low, high = (100 * bound for bound in figures["intervals"][measure])
    return (
        f"{percent(before)} without Deep Memory, {percent(after)} with it, a change of "
        f"{100 * (after - before):+.1f} points, between {low:+.1f} and {high:+.1f} (95%)"
    )


def _change(figures: Any, measure: Measure) -> str:
    change = 100 * (figures["after"][measure] - figures["before"][measure])
    low, high = (100 * bound for bound in figures["intervals"][measure])
    return f"{change:+.1f} [{low:+.1f}, {high:+.1f}]"


def _what_would_settle(figures: Any, measure: Measure) -> str:
    more = figures.get("more_questions", {}).get(measure)
    if more is None:
        return "It may be chance."
    if more > _NEVER_SETTLED:
        return "So small a change would take more than 10,000 further questions to prove."
    return f"About {count_text(more, 'more question')} like these would settle it."
