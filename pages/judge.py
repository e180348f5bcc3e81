"""Judge a test set: does this chunk answer this question? A link names the set and the run."""

from __future__ import annotations

import streamlit as st

from pages.ui import context
from pages.ui.components import empty_state, plain, show_error
from pages.ui.judging import forget_visit, judging
from pages.ui.model_judgements import model_judgements
from services.errors import AppError, NotFound
from services.questions.judging import RankedSet

_RANKED = "ranked_to_judge"  # ((set, run, version of the knowledge base), what was ranked)

space = context.require_workspace()
name, run_id = st.query_params.get("set", ""), st.query_params.get("run", "")


def _ranked() -> RankedSet:
    """Both rankings, kept while the person judges: they do not depend on judgements."""
    wanted = (name, run_id, space.documents.version())
    of, ranked = st.session_state.get(_RANKED, (None, None))
    if of != wanted or ranked is None:
        with st.spinner("Searching for each question, without and with the model"):
            ranked = space.judging.rank(name, run_id)
        st.session_state[_RANKED] = (wanted, ranked)
        forget_visit()
    return ranked


st.page_link("deep_memory.py", label="Deep Memory", icon=":material/arrow_back:")
try:
    ranked = _ranked()
except NotFound:
    empty_state(
        ":material/gavel:",
        "Nothing to judge here",
        "The test set or the run was removed, or the link is incomplete.",
    )
    st.stop()
except AppError as error:
    show_error(error)
    st.stop()

st.header(f":material/gavel: Judge {plain(name)}", anchor=False)
st.caption(
    "A chunk that answers a question but was never labelled counts as a miss. These are the chunks "
    "in the first ten of either ranking that nobody judged, those that change the figures most "
    "first. What answers counts at the next measurement."
)
judging(space, ranked)
model_judgements(space, ranked)
