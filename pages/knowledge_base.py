"""Add documents, see what is stored, remove. No rule about documents lives here."""

from __future__ import annotations

import streamlit as st

from pages.ui import context
from pages.ui.components import attempt, empty_state, flash, page_of, when_text
from services.knowledge.knowledge_base import IngestProgress, IngestReport
from services.models import Document

_ROWS = 20
_REPORT = "ingest_report"
_UPLOADS = "uploads_shown"

space = context.require_workspace()
knowledge = space.knowledge

st.title(":material/library_books: Knowledge base")
st.markdown("The documents that search looks through. Deep Memory learns from them.")


def _show_progress(bar: st.delta_generator.DeltaGenerator, progress: IngestProgress) -> None:
    if progress.chunks_total:
        share = 0.3 + 0.7 * progress.chunks_done / progress.chunks_total
        text = f"Embedding: {progress.chunks_done:,} of {progress.chunks_total:,} chunks"
    else:
        share = 0.3 * progress.files_read / max(1, progress.files_total)
        text = f"Reading: {progress.files_read:,} of {progress.files_total:,} files"
    bar.progress(min(1.0, share), text=text)


def _tell(report: IngestReport) -> None:
    if report.added:
        chunks = sum(document.chunk_count for document in report.added)
        st.success(
            f"Added {len(report.added):,} documents with {chunks:,} chunks.",
            icon=":material/check:",
        )
    for name, error in report.rejected:
        st.warning(f"**{name}**: {error} {error.next_step}", icon=":material/block:")


def _add_files() -> None:
    uploads = st.session_state.setdefault(_UPLOADS, 0)
    files = st.file_uploader(
        "Add files: txt, md, html, pdf, docx, csv",
        type=["txt", "md", "html", "htm", "pdf", "docx", "csv"],
        accept_multiple_files=True,
        key=f"files_{uploads}",
    )
    add = st.button(
        f"Add {len(files)} files" if files else "Add files",
        key="add_files",
        type="primary",
        icon=":material/upload_file:",
        disabled=not files,
    )
    if add:
        bar = st.progress(0.0)
        report = knowledge.add_files(
            [(file.name, file.getvalue()) for file in files],
            lambda progress: _show_progress(bar, progress),
        )
        st.session_state[_REPORT] = report
        st.session_state[_UPLOADS] = uploads + 1  # an empty uploader
        st.rerun()


def _load_sample() -> None:
    st.markdown("**No documents at hand?** Load a sample: the handbook of a fictional company.")
    if st.button("Load the sample knowledge base", key="load_sample", icon=":material/science:"):
        bar = st.progress(0.0)
        st.session_state[_REPORT] = knowledge.load_sample(
            lambda progress: _show_progress(bar, progress)
        )
        st.rerun()


@st.dialog("Remove this document?")
def _confirm_remove(document: Document) -> None:
    st.markdown(
        f"**{document.name}** and its {document.chunk_count:,} chunks leave the knowledge base. "
        "Runs keep their pairs, but train only on documents that are still here."
    )

    def remove() -> None:
        if attempt(lambda: knowledge.remove(document.id)) is not None:
            flash(f"Removed {document.name}.")

    if st.button("Remove", type="primary", key="confirm_remove_document", on_click=remove):
        st.rerun()


def _table(documents: list[Document]) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        wanted = st.text_input("Find a document", key="document_filter", placeholder="by name")
    found = [d for d in documents if wanted.strip().lower() in d.name.lower()]
    if not found:
        st.info("No document has this in its name.", icon=":material/search_off:")
        return
    page = page_of(len(found), _ROWS, key="document_page")
    with st.container(key="wide_only_documents"):
        heading = st.columns([5, 1, 2, 1])
        for column, name in zip(heading, ("Document", "Chunks", "Added", ""), strict=True):
            column.caption(name)
    for document in found[page * _ROWS : (page + 1) * _ROWS]:
        with st.container(key=f"document_{document.id}"):
            name, chunks, added, remove = st.columns([5, 1, 2, 1], vertical_alignment="center")
            name.markdown(f":material/description: {document.name}")
            chunks.markdown(f"{document.chunk_count:,}")
            added.markdown(when_text(document.added_at))
            if remove.button(
                "Remove",
                key=f"remove_{document.id}",
                type="tertiary",
                icon=":material/delete:",
            ):
                _confirm_remove(document)


documents = knowledge.documents()
if _REPORT in st.session_state:
    _tell(st.session_state.pop(_REPORT))
if not documents:
    empty_state(
        ":material/library_books:",
        "No documents yet",
        "Add your own files, or load the sample to look around.",
    )
with st.container(border=True):
    _add_files()
    st.divider()
    _load_sample()
if documents:
    chunks = sum(document.chunk_count for document in documents)
    st.subheader(f"{len(documents):,} documents, {chunks:,} chunks", anchor=False)
    _table(documents)
    st.page_link(
        "pages/deep_memory.py", label="Next: train Deep Memory on them", icon=":material/neurology:"
    )
