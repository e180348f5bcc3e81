"""Add documents, see what is stored, remove. The rules about documents live in the services."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from pages.ui import context
from pages.ui.components import (
    attempt,
    count_text,
    empty_state,
    plain,
    show_error,
)
from pages.ui.document_table import document_table
from pages.ui.import_panel import import_panel
from services.errors import StoreDamaged
from services.knowledge.knowledge_base import (
    WHAT_BECOMES_OF_PAIRS,
    missing_of_sample,
    stored_under,
)
from services.models import Document
from services.reading.limits import (
    MAX_BYTES,
    MAX_CHARACTERS,
    MAX_MEMBERS,
    MAX_UNPACKED_BYTES,
)
from services.reading.rejections import KINDS
from services.retrieval.nearest import MOST_CHUNKS

_UPLOADS = "uploads_shown"
_NAMES_SHOWN = 5
_KEEP_BOTH, _REPLACE = "Keep both", "Replace"
_LIMITS = (
    f"A file may have {MAX_BYTES // 10**6} MB and {MAX_CHARACTERS // 10**6} million characters of "
    f"text. A zip may hold {MAX_MEMBERS:,} files; it and an Office file may unpack to "
    f"{MAX_UNPACKED_BYTES // 10**6} MB."
)

space = context.require_workspace()

st.title(":material/library_books: Knowledge base")
st.markdown("The documents that search looks through. Deep Memory learns from them.")


def _say_where_it_belongs(chunk_count: int) -> None:
    if space.documents.belong_on_cloud(chunk_count):
        st.caption(
            f":material/cloud: More than {MOST_CHUNKS:,} chunks belong on DeepLake Cloud: search "
            "and training on this machine were measured only up to that size. Set `DEEPLAKE_PATH` "
            "and `ACTIVELOOP_TOKEN`, and add the documents there."
        )


def _add_files(is_busy: bool, documents: Sequence[Document]) -> None:
    uploads = st.session_state.setdefault(_UPLOADS, 0)
    files = st.file_uploader(
        f"Add files: {KINDS}",
        accept_multiple_files=True,
        key=f"files_{uploads}",
        help=_LIMITS,
    )

    known = stored_under([file.name for file in files], documents)
    replace = bool(known) and _ask_whether_to_replace(known, uploads)

    def add() -> None:
        chosen = [(file.name, file.getvalue()) for file in files]
        if attempt(lambda: space.documents.start_import(chosen, replace=replace)) is not None:
            st.session_state[_UPLOADS] = uploads + 1  # an empty uploader

    st.button(
        f"Add {count_text(len(files), 'file')}" if files else "Add files",
        key="add_files",
        type="primary",
        icon=":material/upload_file:",
        disabled=is_busy or not files,
        on_click=add,
    )


def _ask_whether_to_replace(known: Sequence[str], uploads: int) -> bool:
    """Whether the chosen files are to replace the stored documents with their names."""
    names = ", ".join(plain(name) for name in known[:_NAMES_SHOWN])
    more = f" and {len(known) - _NAMES_SHOWN:,} more" if len(known) > _NAMES_SHOWN else ""
    are = "1 of these is" if len(known) == 1 else f"{len(known):,} of these are"
    what = "it" if len(known) == 1 else "them"
    answer = st.radio(
        f"{are} here already: {names}{more}",
        [_KEEP_BOTH, _REPLACE],
        format_func=lambda choice: f"Replace {what}" if choice == _REPLACE else choice,
        key=f"when_known_{uploads}",
        horizontal=True,
    )
    if answer == _REPLACE:
        st.caption(f"The earlier texts are removed, with their chunks. {WHAT_BECOMES_OF_PAIRS}")
    else:
        st.caption("New texts are stored beside the earlier ones, as “name (2)”.")
    return answer == _REPLACE


def _load_sample(is_busy: bool) -> None:
    st.markdown("**No documents at hand?** Load a sample: the handbook of a fictional company.")
    st.button(
        "Load the sample knowledge base",
        key="load_sample",
        icon=":material/science:",
        disabled=is_busy,
        on_click=lambda: attempt(space.documents.load_sample),
    )


@st.dialog("Begin anew?")
def _confirm_begin_anew() -> None:
    st.markdown(
        "What is left of the knowledge base is deleted. Do this only if its folder cannot be "
        "restored from a backup. Runs and their pairs stay."
    )

    def begin() -> None:
        attempt(space.documents.begin_anew)

    if st.button("Begin anew", type="primary", key="confirm_begin_anew", on_click=begin):
        st.rerun()


try:
    space.documents.chunk_count()
except StoreDamaged as damage:
    show_error(damage)
    if st.button("Begin anew", key="begin_anew", icon=":material/restart_alt:"):
        _confirm_begin_anew()
    st.stop()
current = space.documents.current_import
import_panel(space, current)
is_busy = current is not None and current.is_unfinished
documents = space.documents.all()
if not documents and not is_busy:
    empty_state(
        ":material/library_books:",
        "No documents yet",
        "Add your own files, or load the sample to look around.",
    )
with st.container(border=True):
    _add_files(is_busy, documents)
    if missing_of_sample(documents):
        st.divider()
        _load_sample(is_busy)
if documents:
    chunks = sum(document.chunk_count for document in documents)
    with st.container(horizontal=True, vertical_alignment="center"):
        heading = f"{count_text(len(documents), 'document')}, {count_text(chunks, 'chunk')}"
        st.subheader(heading, anchor=False)
        st.page_link(
            "deep_memory.py", label="Next: train Deep Memory on them", icon=":material/neurology:"
        )
    if not is_busy:
        _say_where_it_belongs(chunks)
    document_table(space, documents)
