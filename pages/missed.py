"""The questions that search missed, and whatever brings more of them: searches, logs, votes."""

from __future__ import annotations

import streamlit as st

from pages.ui import context
from pages.ui.components import count_text
from pages.ui.consent_card import consent_card
from pages.ui.missed_list import disagreement_list, missed_list
from pages.ui.new_questions import new_questions
from pages.ui.vote_queue import vote_queue
from services.questions.store import Purpose

space = context.require_workspace()

st.title(":material/search_off: Missed questions")
tests, training = (
    len(space.feedback.questions(purpose)) for purpose in (Purpose.TEST, Purpose.TRAINING)
)
st.caption(
    f"From people's questions so far: {count_text(tests, 'test question')}, which measure search, "
    f"and {count_text(training, 'training pair')}, from which the next training learns."
)
TABS = {
    "Missed": missed_list,
    "Rankings disagree": disagreement_list,
    "Votes to review": vote_queue,
    "Add questions": new_questions,
    "Kept searches": consent_card,
}
# Only the open tab is drawn: the others cost statements, and have keys of their own.
tabs = st.tabs(list(TABS), key="missed_tab", on_change="rerun")
for tab, draw in zip(tabs, TABS.values(), strict=True):
    if tab.open:
        with tab:
            draw(space)
