"""Add documents, see what is stored, remove. The rules about documents live in the services."""

from __future__ import annotations

import streamlit as st

from pages.ui import context
from pages.ui.components import (
    attempt,
    count_text,
    empty_state,
    flash,
    page_of,
    plain,
    show_error,
    when_text,
)
from pages.ui.progress import time_left
from services.errors import StoreDamaged
from services.knowledge.ingestion import Ingestion
from services.knowledge.knowledge_base import IngestProgress, IngestReport, missing_of_sample
from services.models import Document
from services.retrieval.nearest import MOST_CHUNKS

_ROWS = 20
_UPLOADS = "uploads_shown"

space = context.require_workspace()

st.title(":material/library_books: Knowledge base")
st.markdown("The documents that search looks through. Deep Memory learns from them.")


def _ingestion() -> None:
    """The running import, polled; then what became of each file, until that is acknowledged."""
    ingestion = space.documents.current_import
    if ingestion is None:
        return
    if not ingestion.is_running:
        _tell(ingestion)
        st.button(
            "Got it",
            key="ingestion_read",
            icon=":material/done_all:",
            on_click=space.documents.acknowledge_import,
        )
        return

    @st.fragment(run_every="0.5s")
    def panel() -> None:
        if not ingestion.is_running:
            st.rerun()
        share, text = _progress(ingestion.progress)
        st.progress(share, text=f"{text} · {time_left(('ingestion', id(ingestion)), share)}")
        progress = ingestion.progress
        _say_where_it_belongs(
            space.documents.chunk_count() + progress.chunks_total - progress.chunks_done
        )
        st.caption("You can open other pages meanwhile.")

    panel()


def _progress(progress: IngestProgress) -> tuple[float, str]:
    if progress.chunks_total:
        share = progress.chunks_done / progress.chunks_total
        text = f"Embedding: {progress.chunks_done:,} of {progress.chunks_total:,} chunks"
        return 0.3 + 0.7 * share, text
    if not progress.files_total:
        return 0.0, "Starting"
    share = progress.files_read / progress.files_total
    return 0.3 * share, f"Reading: {progress.files_read:,} of {progress.files_total:,} files"


def _say_where_it_belongs(chunk_count: int) -> None:
    if space.documents.belong_on_cloud(chunk_count):
        st.caption(
            f":material/cloud: More than {MOST_CHUNKS:,} chunks belong on DeepLake Cloud: search "
            "and training on this machine were measured only up to that size. Set `DEEPLAKE_PATH` "
            "and `ACTIVELOOP_TOKEN`, and add the documents there."
        )


def _tell(ingestion: Ingestion) -> None:
    if ingestion.failure is not None:
        show_error(ingestion.failure)
    report = ingestion.report or IngestReport()
    if report.added:
        chunks = sum(document.chunk_count for document in report.added)
        added = count_text(len(report.added), "document")
        st.success(f"Added {added} with {count_text(chunks, 'chunk')}.", icon=":material/check:")
    elif ingestion.report is not None and not report.rejected:
        st.info("All of these documents are already in the knowledge base.")
    for name, error in report.rejected:
        message = f"**{plain(name)}**: {plain(str(error))} {error.next_step}"
        st.warning(message, icon=":material/block:")


def _add_files(is_busy: bool) -> None:
    uploads = st.session_state.setdefault(_UPLOADS, 0)
    files = st.file_uploader(
        "Add files: txt, md, html, pdf, docx, csv",
        accept_multiple_files=True,
        key=f"files_{uploads}",
    )

    def add() -> None:
        attempt(
            lambda: space.documents.start_import([(file.name, file.getvalue()) for file in files])
        )
        st.session_state[_UPLOADS] = uploads + 1  # an empty uploader

    st.button(
        f"Add {count_text(len(files), 'file')}" if files else "Add files",
        key="add_files",
        type="primary",
        icon=":material/upload_file:",
        disabled=is_busy or not files,
        on_click=add,
    )


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


@st.dialog("Remove this document?")
def _confirm_remove(document: Document) -> None:
    st.markdown(
        f"**{plain(document.name)}** and its {document.chunk_count:,} chunks are removed from the "
        "knowledge base. Training will not use its pairs any more, and a run that is still "
        "generating drops them. Other runs keep their pairs, with the first lines of each chunk, "
        "until you remove the run."
    )

    def remove() -> None:
        if attempt(lambda: space.documents.remove(document.id)) is not None:
            flash(f"Removed {plain(document.name)}.")

    if st.button("Remove", type="primary", key="confirm_remove_document", on_click=remove):
        st.rerun()


def _table(documents: list[Document]) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        wanted = st.text_input("Find a document", key="document_filter", placeholder="by name")
    found = [d for d in documents if wanted.strip().lower() in d.name.lower()]
    if not found:
        st.info("No document name contains this.", icon=":material/search_off:")
        return
    page = page_of(len(found), _ROWS, key="document_page")
    with st.container(key="wide_only_documents"):
        heading = st.columns([5, 1, 2, 1])
        for column, title in zip(heading, ("Document", "Chunks", "Added", ""), strict=True):
            column.caption(title)
    for document in found[page * _ROWS : (page + 1) * _ROWS]:
        with st.container(key=f"document_{document.id}"):
            name, chunks, added, remove = st.columns([5, 1, 2, 1], vertical_alignment="center")
            name.markdown(f":material/description: {plain(document.name)}")
            chunks.markdown(f"{document.chunk_count:,}")
            added.markdown(when_text(document.added_at))
            if remove.button(
                "Remove",
                key=f"remove_{document.id}",
                type="tertiary",
                icon=":material/delete:",
            ):
                _confirm_remove(document)


try:
    space.documents.chunk_count()
except StoreDamaged as damage:
    show_error(damage)
    if st.button("Begin anew", key="begin_anew", icon=":material/restart_alt:"):
        _confirm_begin_anew()
    st.stop()
_ingestion()
current = space.documents.current_import
is_busy = current is not None and current.is_running
documents = space.documents.all()
if not documents and not is_busy:
    empty_state(
        ":material/library_books:",
        "No documents yet",
        "Add your own files, or load the sample to look around.",
    )
with st.container(border=True):
    _add_files(is_busy)
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
    _table(documents)
