"""One query, two ranked lists side by side: plain cosine and the trained model."""

from __future__ import annotations

import streamlit as st

from pages.ui import context
from pages.ui.components import attempt, empty_state, flash, show_error
from pages.ui.hits import INDEXING, hit_list
from services.errors import NotAllowed

HYBRID, MAP_ALONE = "Hybrid", "Deep Memory"
_WHAT = {
    HYBRID: "The trained model, and matches of the exact words.",
    MAP_ALONE: "The trained model, without matches of the exact words.",
}
_CLOUD = "The model that DeepLake Cloud trained."
_PLAIN = "The embeddings as they are, without training."
_HELP = """The list on the left is always **plain cosine**: how similar the embeddings of question
and chunk are, without training.

**Hybrid** shifts the question's embedding towards where training found the answers, scores each
chunk together with its neighbours, and adds a score for exact words (BM25) with the weight that was
best on the training pairs.

**Deep Memory** is the same without the exact words."""

space = context.require_workspace()

st.title(":material/search: Search")

if space.documents.chunk_count() == 0:
    empty_state(
        ":material/library_books:", "Nothing to search yet", "Add documents to the knowledge base."
    )
    st.page_link("knowledge_base.py", label="Go to the knowledge base")
    st.stop()

with st.form("search", border=False):
    query_column, k_column, button_column = st.columns([6, 1, 1], vertical_alignment="bottom")
    query = query_column.text_input("Question", key="query", placeholder="In your own words")
    k = k_column.number_input("Hits", min_value=1, max_value=50, value=10, key="k")
    button_column.form_submit_button("Search", type="primary", icon=":material/search:")

if not query.strip():
    st.caption("Type a question to see what search finds without and with Deep Memory.")
    st.stop()

state = space.models.state()
settings, active, problem = state.settings, state.active, space.models.problem(state)


def _use(*, deep_memory: bool, said: str) -> None:
    if attempt(lambda: space.models.set_enabled(deep_memory)) is not None:
        flash(said)


def _in_use(is_used: bool, *, deep_memory: bool, name: str) -> None:
    """Say that search uses this ranking, or offer a button to use it."""
    if is_used:
        st.caption(":material/check: What search uses now")
        return
    st.button(
        f"Use {name} in search",
        key=f"use_{'deep_memory' if deep_memory else 'cosine'}",
        type="tertiary",
        icon=":material/swap_horiz:",
        on_click=_use,
        kwargs={"deep_memory": deep_memory, "said": f"Search uses {name} now."},
    )


ranking = HYBRID
if active and not problem and space.models.rank_words:
    ranking = st.segmented_control(
        "Compare plain cosine with",
        [HYBRID, MAP_ALONE],
        default=HYBRID,
        required=True,
        key="ranking",
        persist_state="session",
        help=_HELP,
    )
try:
    comparison = space.search.compare(query, int(k), active, with_words=ranking == HYBRID)
except NotAllowed as error:
    show_error(error)
    st.stop()
problem = comparison.problem or problem

without, with_ = st.columns(2)
with without:
    st.subheader("Plain cosine", anchor=False)
    st.caption(_PLAIN)
    _in_use(not settings.enabled or bool(problem), deep_memory=False, name="plain cosine")
    hit_list(comparison.without)
with with_:
    if problem:
        st.subheader("Deep Memory", anchor=False)
        st.warning(
            f"{problem} Search works without it. Use another model, or train again.",
            icon=":material/warning:",
        )
        st.page_link("deep_memory.py", label="Go to Deep Memory")
    elif not active:
        st.subheader("Deep Memory", anchor=False)
        st.info("No trained model yet: generate, review and train first.", icon=":material/info:")
        st.page_link("deep_memory.py", label="Go to Deep Memory")
    else:
        in_cloud = not space.models.rank_words
        st.subheader(MAP_ALONE if in_cloud else ranking, anchor=False)
        st.caption(_CLOUD if in_cloud else _WHAT[ranking])
        if ranking == HYBRID:
            name = "Deep Memory" if in_cloud else "hybrid"
            _in_use(settings.enabled, deep_memory=True, name=name)
        else:
            st.caption("Shown to compare: search uses hybrid or plain cosine.")
        if comparison.is_indexing:
            st.info(INDEXING, icon=":material/hourglass_top:")
        hit_list(comparison.with_, comparison.moved)
