"""A model's judgements: ask for them, see how far they agree with the person's, let them count."""

from __future__ import annotations

import streamlit as st

from pages.ui.components import attempt, count_text, flash, money, percent, plain, show_error
from services.errors import AppError
from services.models import Chunk
from services.questions.agreement import FEWEST_TO_TRUST
from services.questions.judging import RankedSet, SaidByModel
from services.workspace import Workspace

_ASKING = "model_is_asked"  # (name of the set, all that is asked, how many were)
_COUNTS = "model_counts"
_AT_ONCE = 8
_MOST = 20  # judgements that are shown


def model_judgements(space: Workspace, ranked: RankedSet) -> None:
    """A collapsed section, so that judging by hand does not wait for it."""
    folded = st.expander(
        "A model's judgements",
        icon=":material/smart_toy:",
        key="model_judgements",
        on_change="rerun",
    )
    if folded.open:
        with folded:
            _model(space, ranked)


def _model(space: Workspace, ranked: RankedSet) -> None:
    said = space.judging.said_by_model(ranked.name)
    if space.judging.model is None and not said.judged:
        st.caption("With a question model (OPENAI_API_KEY), it can propose judgements here.")
        return
    if space.judging.model is not None:
        _ask(space, ranked)
    if said.judged:
        _said(space, ranked, said)


def _said(space: Workspace, ranked: RankedSet, said: SaidByModel) -> None:
    st.markdown(f"**{_agreement(said)}**")
    if not said.agreement.is_enough:
        st.caption(
            f":material/warning: Fewer than {FEWEST_TO_TRUST} chunks were judged by both: judge "
            "more before you let it count."
        )

    def count() -> None:
        attempt(lambda: space.judging.let_model_count(ranked.name, st.session_state[_COUNTS]))

    st.session_state[_COUNTS] = said.counts
    st.toggle(
        "Let its judgements count in this set where I have none",
        key=_COUNTS,
        on_change=count,
        disabled=not (said.both or said.counts),
        help="They count at the next measurement. You can switch it off again.",
    )
    if said.both:
        with st.popover("What it said of the chunks that you judged"):
            # Where you disagree comes first; of other chunks nothing, so that it does not sway you.
            for mine, one in sorted(said.both, key=lambda pair: pair[0] == pair[1].answers)[:_MOST]:
                st.markdown(
                    f"{plain(one.question)} :violet-badge[model: {_word(one.answers)}] "
                    f":gray-badge[you: {_word(mine)}]  \n{plain(one.reason)}"
                )


def _word(answers: bool) -> str:
    return "answers" if answers else "does not"


def _agreement(said: SaidByModel) -> str:
    agreed = said.agreement
    judged = f"The model has judged {count_text(said.judged, 'chunk')}"
    if not agreed.judged_by_both:
        return f"{judged}, none of them judged by you: judge some, then ask it about those."
    share = percent(agreed.agreed / agreed.judged_by_both)
    kappa = "not defined" if agreed.kappa is None else f"{agreed.kappa:.2f}"
    return (
        f"{judged}. On the {agreed.judged_by_both:,} that you judged too, it agrees with you on "
        f"{share}: Cohen's kappa {kappa}."
    )


def _ask(space: Workspace, ranked: RankedSet) -> None:
    of, asked, done = st.session_state.get(_ASKING, (None, [], 0))
    if of == ranked.name and done < len(asked):
        _asking(space, ranked, asked, done)
        return
    asked = space.judging.to_ask(ranked)
    cost = space.judging.cost_usd(asked)
    costs = "its price is not known" if cost is None else f"about {money(cost)}"

    def begin() -> None:
        st.session_state[_ASKING] = (ranked.name, asked, 0)

    st.button(
        f"Ask {plain(space.judging.model or '')} about {count_text(len(asked), 'chunk')}: {costs}",
        key="ask_model",
        icon=":material/smart_toy:",
        on_click=begin,
        disabled=not asked,
        help="Those that you judged, to compare, and the next fifty. It does not count by itself.",
    )


def _asking(space: Workspace, ranked: RankedSet, asked: list[tuple[str, Chunk]], done: int) -> None:
    """Ask about a few, then draw anew: whatever ends it, what came back is kept."""
    st.progress(done / max(1, len(asked)), text=f"{done:,} of {len(asked):,} asked")
    st.button("Stop", key="stop_asking", on_click=st.session_state.pop, args=(_ASKING, None))
    # Before it is asked: a click elsewhere ends this here, but not the calls, which are paid for.
    st.session_state[_ASKING] = (ranked.name, asked, done + _AT_ONCE)
    try:
        space.judging.ask(asked[done : done + _AT_ONCE])
    except AppError as error:
        st.session_state.pop(_ASKING, None)
        show_error(error)
        return
    if done + _AT_ONCE >= len(asked):
        st.session_state.pop(_ASKING, None)
        flash("The model has judged them.")
    st.rerun()
