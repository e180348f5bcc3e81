"""Votes of another application's users, one at a time: confirmed or rejected by one key each."""

from __future__ import annotations

import streamlit as st

from pages.ui.components import ago_text, attempt, empty_state, plain
from pages.ui.hits import source_text
from services.errors import NotFound
from services.questions.feedback import MOST_VOTES, Vote
from services.workspace import Workspace


def vote_queue(space: Workspace) -> None:
    votes = space.feedback.votes()
    if not votes:
        empty_state(
            ":material/how_to_vote:",
            "No votes to review",
            "What users of another application say through `POST /search/feedback` stands here "
            "until you confirm or reject it. Until then it neither measures nor teaches anything.",
        )
        return
    many = f"{MOST_VOTES} or more" if len(votes) == MOST_VOTES else f"{len(votes):,}"
    st.caption(f"{many} to review, the oldest first. Keys: Y confirms, N rejects.")
    vote = votes[0]

    def review(confirmed: bool) -> None:
        attempt(
            lambda: space.feedback.review(vote.question, vote.chunk_id, vote.answers, confirmed)
        )

    with st.container(border=True, key="vote"):
        st.markdown(f"**{plain(vote.question)}**")
        st.caption(f"Said {ago_text(vote.said_at)}")
        is_there = _what_was_said(space, vote)
        with st.container(horizontal=True):
            st.button(
                "Confirm",
                key="confirm_vote",
                type="primary",
                icon=":material/check:",
                shortcut="y",
                disabled=not is_there,
                on_click=review,
                args=(True,),
            )
            st.button(
                "Reject",
                key="reject_vote",
                icon=":material/close:",
                shortcut="n",
                on_click=review,
                args=(False,),
            )


def _what_was_said(space: Workspace, vote: Vote) -> bool:
    """Show it; returns False if the passage is gone, so that the vote can only be rejected."""
    if vote.chunk_id is None:
        st.markdown(":material/search_off: Nothing that was shown answers it.")
        return True
    said = "answers it" if vote.answers else "does not answer it"
    try:
        chunk = space.documents.chunk(vote.chunk_id)
    except NotFound:
        st.markdown(f"A passage {said}. Its document was removed since.")
        return False
    icon = "thumb_up" if vote.answers else "thumb_down"
    st.markdown(f":material/{icon}: This passage **{said}**: {source_text(chunk)}")
    st.text(chunk.text)
    return True
