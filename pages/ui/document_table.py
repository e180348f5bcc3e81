"""The documents: found by name and content, opened, selected, removed."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from pages.ui.components import attempt, count_text, flash, page_of, plain, when_text
from services.knowledge.documents import Found
from services.knowledge.knowledge_base import WHAT_BECOMES_OF_PAIRS
from services.models import Document
from services.workspace import Workspace

_ROWS = 20
_CHOSEN = "documents_chosen"  # ids, whatever page or filter they were chosen on
_WIDTHS = [5, 1, 2, 1]


def document_table(space: Workspace, documents: Sequence[Document]) -> None:
    wanted = st.text_input(
        "Find documents", key="document_filter", placeholder="by name, or by words in their text"
    )
    chosen = _chosen(documents)
    found = space.documents.find(wanted)
    _selection(space, [document for document in documents if document.id in chosen], found)
    if not found:
        st.info("No document has this in its name or text.", icon=":material/search_off:")
        return
    page = page_of(len(found), _ROWS, key="document_page")
    with st.container(key="wide_only_documents"):
        heading = st.columns(_WIDTHS)
        for column, title in zip(heading, ("Document", "Size", "Added", ""), strict=True):
            column.caption(title)
    for item in found[page * _ROWS : (page + 1) * _ROWS]:
        _row(space, item, bool(wanted.strip()))


def _chosen(documents: Sequence[Document]) -> set[str]:
    """The ids of the chosen documents that are still there."""
    there = {document.id for document in documents}
    st.session_state[_CHOSEN] = st.session_state.get(_CHOSEN, set()) & there
    return st.session_state[_CHOSEN]


def _selection(space: Workspace, chosen: list[Document], found: Sequence[Found]) -> None:
    """What can be done with the chosen documents, and with all that were found."""
    ids = [item.document.id for item in found]

    def choose_all() -> None:
        st.session_state[_CHOSEN].update(ids)

    def choose_none() -> None:
        st.session_state[_CHOSEN].clear()

    if not chosen:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        chunks = sum(document.chunk_count for document in chosen)
        st.markdown(f"**{count_text(len(chosen), 'document')}**, {count_text(chunks, 'chunk')}")
        if st.button("Remove them", key="remove_chosen", icon=":material/delete:"):
            confirm_remove(space, chosen)
        if len(chosen) < len(found):
            st.button(
                f"Choose all {len(found):,}", key="choose_all", type="tertiary", on_click=choose_all
            )
        st.button("Choose none", key="choose_none", type="tertiary", on_click=choose_none)


def _row(space: Workspace, item: Found, was_searched: bool) -> None:
    document = item.document
    chosen: set[str] = st.session_state[_CHOSEN]
    key = f"choose_{document.id}"
    st.session_state[key] = document.id in chosen

    def choose() -> None:
        (chosen.add if st.session_state[key] else chosen.discard)(document.id)

    with st.container(key=f"document_{document.id}"):
        name, chunks, added, remove = st.columns(_WIDTHS, vertical_alignment="center")
        with name.container(horizontal=True, vertical_alignment="center"):
            st.checkbox(
                f"Choose {document.name}", key=key, on_change=choose, label_visibility="collapsed"
            )
            st.page_link(
                "document.py",
                label=plain(document.name),
                icon=":material/description:",
                query_params={"id": document.id},
            )
            if was_searched and item.chunks:
                st.caption(f"in {count_text(item.chunks, 'chunk')}")
        chunks.markdown(count_text(document.chunk_count, "chunk"))
        added.markdown(when_text(document.added_at))
        if remove.button(
            "Remove", key=f"remove_{document.id}", type="tertiary", icon=":material/delete:"
        ):
            confirm_remove(space, [document])


@st.dialog("Remove from the knowledge base?")
def confirm_remove(space: Workspace, documents: Sequence[Document]) -> None:
    chunks = count_text(sum(document.chunk_count for document in documents), "chunk")
    what = f"**{plain(documents[0].name)}** and its {chunks} are"
    if len(documents) > 1:
        names = ", ".join(plain(document.name) for document in documents[:5])
        more = f" and {len(documents) - 5:,} more" if len(documents) > 5 else ""
        what = f"**{len(documents):,} documents** ({names}{more}) and their {chunks} are"
    st.markdown(f"{what} removed from the knowledge base. {WHAT_BECOMES_OF_PAIRS}")

    def remove() -> None:
        removed = attempt(lambda: space.documents.remove(*(item.id for item in documents)))
        if removed is not None:
            name = plain(removed[0].name) if len(removed) == 1 else f"{len(removed):,} documents"
            flash(f"Removed {name}.")

    with st.container(horizontal=True):
        if st.button("Remove", type="primary", key="confirm_remove_document", on_click=remove):
            st.rerun()
        if st.button("Cancel", key="cancel_remove_document"):
            st.rerun()
