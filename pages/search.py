"""One query, two lists side by side: without and with Deep Memory."""

from __future__ import annotations

import streamlit as st

from pages.ui import context
from pages.ui.components import empty_state, plain, show_error
from services.errors import NotAllowed
from services.models import SearchHit

_PREVIEW = 240  # characters

space = context.require_workspace()

st.title(":material/search: Search")

if space.knowledge.chunk_count() == 0:
    empty_state(
        ":material/library_books:", "Nothing to search yet", "Add documents to the knowledge base."
    )
    st.page_link("knowledge_base.py", label="Go to the knowledge base")
    st.stop()

with st.form("search", border=False):
    query_column, k_column, button_column = st.columns([6, 1, 1], vertical_alignment="bottom")
    query = query_column.text_input("Question", key="query", placeholder="Ask as you would ask")
    k = k_column.number_input("Hits", min_value=1, max_value=50, value=10, key="k")
    button_column.form_submit_button("Search", type="primary", icon=":material/search:")

if not query.strip():
    st.caption("Type a question to see what search finds without and with Deep Memory.")
    st.stop()

settings = space.deep_memory.settings()


def _moved_text(moved: int | None) -> str:
    if moved is None:
        return ":green-badge[:material/fiber_new: new]"
    if moved > 0:
        return f":green-badge[:material/arrow_upward: {moved} up]"
    if moved < 0:
        return f":orange-badge[:material/arrow_downward: {-moved} down]"
    return ":gray-badge[same rank]"


def _hit(hit: SearchHit, moved: str = "") -> None:
    with st.container(border=True):
        st.markdown(f"**{hit.rank}.** {plain(hit.document)} · {hit.score:.3f} {moved}")
        st.caption(plain(hit.text[:_PREVIEW]) + ("…" if len(hit.text) > _PREVIEW else ""))
        if len(hit.text) > _PREVIEW:
            with st.expander("Whole chunk"):
                st.text(hit.text)


try:
    comparison = space.search(query, int(k))
except NotAllowed as error:
    show_error(error)
    st.stop()

without, with_ = st.columns(2)
with without:
    st.subheader("Without Deep Memory", anchor=False)
    if not settings.enabled:
        st.caption(":material/check: What search uses now")
    for hit in comparison.without:
        _hit(hit)
with with_:
    st.subheader("With Deep Memory", anchor=False)
    if settings.enabled:
        st.caption(":material/check: What search uses now")
    if not settings.can_enable:
        st.info("No trained model yet: generate, review and train first.", icon=":material/info:")
        st.page_link("deep_memory.py", label="Go to Deep Memory")
    elif not settings.enabled:
        st.caption("Switched off on the Deep Memory page; shown to compare.")
    for hit in comparison.with_:
        _hit(hit, _moved_text(comparison.moved[hit.chunk_id]))
