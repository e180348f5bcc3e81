"""The import of documents: its progress, or what became of each file until that was read."""

from __future__ import annotations

import streamlit as st

from pages.ui.components import attempt, count_text, page_of, plain
from pages.ui.progress import time_left
from services.knowledge.import_rows import FileState, Import, ImportedFile
from services.knowledge.knowledge_base import WHAT_BECOMES_OF_PAIRS
from services.workspace import Workspace

_ROWS = 20
_STATES: dict[FileState, tuple[str, str]] = {
    "added": (":material/check:", "Added"),
    "replaced": (":material/published_with_changes:", "Replaced"),
    "same": (":material/content_copy:", "There already"),
    "refused": (":material/block:", "Not added"),
    "dropped": (":material/do_not_disturb_on:", "Given up"),
    "waiting": (":material/hourglass_top:", "Not added yet"),
}


def import_panel(space: Workspace, current: Import | None) -> None:
    """Show `current`; nothing if there is none."""
    if current is None:
        return
    with st.container(border=True, key="import"):
        if current.is_running:
            _progress(space, current)
        elif current.is_unfinished:
            _unfinished(space, current)
        else:
            _report(space, current)


def _progress(space: Workspace, current: Import) -> None:
    @st.fragment(run_every="1s")
    def panel() -> None:
        now = space.documents.get_import(current.id)
        if not now.is_running:
            st.rerun()
        parts = [
            f"**{now.files_done:,} of {count_text(now.files_total, 'file')}**",
            _doing(now),
            time_left(now.progress.seconds_left),
        ]
        st.progress(now.progress.share, text=" · ".join(part for part in parts if part))
        st.caption("You can open other pages meanwhile. What is stored stays, whatever happens.")

    panel()
    st.button(
        "Stop adding",
        key="stop_import",
        icon=":material/stop_circle:",
        help="What is stored stays. Go on adds the rest.",
        on_click=lambda: attempt(lambda: space.documents.stop_import(current.id)),
    )


def _doing(current: Import) -> str:
    progress = current.progress
    if progress.chunks_total and not progress.file:
        return f"storing: {progress.chunks_done:,} of {progress.chunks_total:,} chunks"
    return f"reading {plain(progress.file)}" if progress.file else ""


def _unfinished(space: Workspace, current: Import) -> None:
    left = current.counts.get("waiting", 0)
    st.warning(
        f"{plain(current.message or '')} {current.files_done:,} of "
        f"{count_text(current.files_total, 'file')} are settled; "
        f"{'1 is' if left == 1 else f'{left:,} are'} kept, and not added yet.",
        icon=":material/pause_circle:",
    )

    def go_on() -> None:
        attempt(lambda: space.documents.go_on_with_import(current.id))

    def give_up() -> None:
        attempt(lambda: space.documents.give_up_import(current.id))

    with st.container(horizontal=True):
        st.button(
            "Go on",
            key="go_on_import",
            type="primary",
            icon=":material/play_arrow:",
            on_click=go_on,
        )
        st.button(
            "Give up the rest",
            key="give_up_import",
            icon=":material/delete:",
            help="What is stored stays. The files that are not added yet are forgotten.",
            on_click=give_up,
        )
    _files(space, current)


def _report(space: Workspace, current: Import) -> None:
    counts = current.counts
    if done := _done(current):
        st.success(done, icon=":material/check:")
    elif counts.get("same", 0) == current.files_total:
        st.info("All of these documents are already in the knowledge base.")
    if 0 < (same := counts.get("same", 0)) < current.files_total:
        were = "1 was" if same == 1 else f"{same:,} were"
        st.info(f"{were} in the knowledge base already.", icon=":material/content_copy:")
    if dropped := counts.get("dropped", 0):
        were = "1 file was" if dropped == 1 else f"{dropped:,} files were"
        st.warning(f"{were} given up.", icon=":material/do_not_disturb_on:")
    if refused := counts.get("refused", 0):
        were = "1 file was" if refused == 1 else f"{refused:,} files were"
        st.warning(f"{were} not added: see why below.", icon=":material/block:")
    _files(space, current)
    if counts.get("replaced"):
        st.caption(f"The earlier texts were removed, with their chunks. {WHAT_BECOMES_OF_PAIRS}")

    def acknowledge() -> None:
        if attempt(lambda: space.documents.acknowledge_import(current.id, and_older=True)) is None:
            st.session_state.pop("import_page", None)

    st.button("Got it", key="import_read", icon=":material/done_all:", on_click=acknowledge)


def _done(current: Import) -> str:
    """What was stored, in one sentence; empty if nothing was."""
    added, replaced = current.counts.get("added", 0), current.counts.get("replaced", 0)
    chunks, documents = count_text(current.chunk_count, "chunk"), count_text(added, "document")
    if added and replaced:
        return f"Added {documents} and replaced the text of {replaced:,} more: {chunks}."
    if replaced:
        return f"Replaced the text of {count_text(replaced, 'document')}: {chunks}."
    return f"Added {documents} with {chunks}." if added else ""


def _files(space: Workspace, current: Import) -> None:
    """What became of each file; those that need a person first."""
    order: list[FileState] = ["refused", "dropped", "waiting", "same", "replaced", "added"]
    there = [state for state in order if current.counts.get(state)]
    files = "it" if current.files_total == 1 else f"each of {current.files_total:,} files"
    with st.expander(
        f"What became of {files}",
        expanded=current.files_total <= _ROWS or "refused" in there,
    ):
        chosen = there[0]
        if len(there) > 1:
            chosen = st.segmented_control(
                "Show",
                there,
                default=there[0],
                required=True,
                format_func=lambda state: f"{_STATES[state][1]} ({current.counts[state]:,})",
                key="import_state",
            )
        page = page_of(current.counts[chosen], _ROWS, key="import_page")
        for file in space.documents.imported_files(
            current.id, states=[chosen], limit=_ROWS, offset=page * _ROWS
        ):
            _file(file)


def _file(file: ImportedFile) -> None:
    icon, state = _STATES[file.state]
    said = [state]
    if file.state in ("added", "replaced"):
        said = [count_text(file.chunk_count, "chunk")]
    st.markdown(f"{icon} **{plain(file.name)}** · {' · '.join(said)}")
    more = [text for text in (file.message, file.next_step) if text]
    if file.notes:
        more.append(f"Note: {'; '.join(file.notes)}.")
    if more:
        st.caption(plain(" ".join(more)))
