"""Whether searches are kept, and for how long: off until the person turns it on."""

from __future__ import annotations

import streamlit as st

from pages.ui.components import attempt, count_text, flash
from services.questions.kept_searches import MOST_DAYS
from services.workspace import Workspace

_KEEP, _DAYS = "keep_searches", "searches_kept_days"


def consent_card(space: Workspace) -> None:
    consent = space.kept_searches.consent()

    def save() -> None:
        is_given = st.session_state[_KEEP]
        days = int(st.session_state[_DAYS])
        space.kept_searches.set_consent(is_given, days)
        if is_given:
            flash(f"Searches are kept for {count_text(days, 'day')}.")
        else:
            flash("Searches are not kept any more.")

    def forget() -> None:
        space.kept_searches.forget()
        flash("Deleted the kept searches.")

    with st.container(border=True, key="consent"):
        st.toggle(
            "Keep my searches",
            value=consent.is_given,
            key=_KEEP,
            on_change=attempt,
            args=(save,),
            help="The question, and which passages were shown: here and over HTTP. Only you see "
            "them. What you mark on the search page is kept in any case.",
        )
        st.number_input(
            "Delete them after this many days",
            min_value=1,
            max_value=MOST_DAYS,
            value=consent.days,
            key=_DAYS,
            on_change=attempt,
            args=(save,),
            width=260,
        )
        if consent.kept:
            kept = "1 search is" if consent.kept == 1 else f"{consent.kept:,} searches are"
            with st.container(horizontal=True, vertical_alignment="center"):
                st.caption(
                    f"{kept} {'' if consent.is_given else 'still '}kept.",
                    width="content",
                )
                st.button(
                    "Delete them now", key="forget_searches", on_click=attempt, args=(forget,)
                )
        else:
            st.caption("No search is kept.")
