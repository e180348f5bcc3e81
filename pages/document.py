"""One document: its text as it was extracted, chunk by chunk, with the questions about each.

A link names the document (`?id=`), or one of its chunks (`?chunk=`), which is then shown.
"""

from __future__ import annotations

import re

import streamlit as st

from pages.ui import context
from pages.ui.components import count_text, empty_state, page_of, plain, when_text
from pages.ui.document_table import confirm_remove
from pages.ui.hits import page_word, place_text
from services.errors import NotFound
from services.models import Chunk, TrainingPair

_ROWS = 20
_MOST_QUESTIONS = 10
_CODE = re.compile(r"^`{3,}", re.MULTILINE)

space = context.require_workspace()
sought = st.query_params.get("chunk", "")


def _chunk(chunk: Chunk, pairs: list[TrainingPair]) -> None:
    with st.container(border=True, key=f"chunk_{chunk.id}"):
        place = place_text(chunk.document, chunk.heading_path, chunk.page)
        mark = " :blue-badge[:material/search: found by search]" if chunk.id == sought else ""
        st.caption(f"**{chunk.position + 1}**{f' · {place}' if place else ''}{mark}")
        if _CODE.search(chunk.text):
            st.code(chunk.text, language=None, wrap_lines=True)
        else:
            st.text(chunk.text)
        if pairs:
            asked = list(dict.fromkeys(pair.question_text for pair in pairs))
            for question in asked[:_MOST_QUESTIONS]:
                st.markdown(f":material/help: {plain(question)}")
            if len(asked) > _MOST_QUESTIONS:
                st.caption(f"and {len(asked) - _MOST_QUESTIONS:,} more questions")


st.page_link("knowledge_base.py", label="Knowledge base", icon=":material/arrow_back:")
try:
    document_id = st.query_params.get("id", "")
    if sought:
        document_id = space.documents.chunk(sought).document_id
    document = space.documents.get(document_id)
    chunks = space.documents.chunks_of(document.id)
except NotFound:
    empty_state(
        ":material/description:",
        "This document is not there",
        "It was removed, or the link is incomplete.",
    )
    st.stop()

st.header(f":material/description: {plain(document.name)}", anchor=False)
with st.container(horizontal=True, vertical_alignment="center"):
    pages = max((chunk.page or 0 for chunk in chunks), default=0)
    facts = [
        count_text(document.chunk_count, "chunk"),
        *([count_text(pages, page_word(document.name))] if pages else []),
        f"{document.characters:,} characters",
        f"added {when_text(document.added_at)}",
        *([f"text replaced {when_text(document.replaced.at)}"] if document.replaced else []),
    ]
    st.markdown(" · ".join(facts))
    if st.button("Remove", key="remove_document", icon=":material/delete:"):
        confirm_remove(space, [document])
if document.notes:
    st.info(
        "What to know about how it was read: " + plain("; ".join(document.notes)) + ".",
        icon=":material/info:",
    )
words = st.text_input("Find in this document", key="chunk_filter", placeholder="any words")
shown = [chunk for chunk in chunks if words.strip().casefold() in chunk.text.casefold()]
if not shown:
    st.info("No chunk has these words.", icon=":material/search_off:")
if sought and "chunk_page" not in st.session_state:  # the person has just come
    place = [chunk.id for chunk in chunks].index(sought)
    st.session_state["chunk_page"] = place // _ROWS + 1
page = page_of(len(shown), _ROWS, key="chunk_page")
on_page = shown[page * _ROWS : (page + 1) * _ROWS]
pairs = space.pairs.about([chunk.id for chunk in on_page])
for chunk in on_page:
    _chunk(chunk, pairs.get(chunk.id, []))
