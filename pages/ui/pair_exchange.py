"""Export of pairs as files, and import while their run is in review."""

from __future__ import annotations

from functools import partial

import streamlit as st

from pages.ui.components import attempt, count_text, flash
from pages.ui.review_desk import reload_desk
from services.models import TrainingRun
from services.pairs.store import AddedPairs
from services.runs.states import RunStatus
from services.workspace import Workspace

_FORMS = {  # label: (file extension, MIME type)
    "JSONL": ("jsonl", "application/jsonl"),
    "CSV": ("csv", "text/csv"),
    "BEIR": ("zip", "application/zip"),
}
_FILE = "pair_file"


def pair_exchange(space: Workspace, run: TrainingRun) -> None:
    """A collapsed section with the downloads and, in review, the import."""
    takes_more = run.status is RunStatus.GENERATED
    title = "Export and import pairs" if takes_more else "Export pairs"
    # Its state is kept, so that it does not collapse when something above it comes or goes.
    with st.expander(title, icon=":material/swap_vert:", key="pair_exchange", on_change="rerun"):
        _downloads(space, run)
        if takes_more:
            _import(space, run)


def _downloads(space: Workspace, run: TrainingRun) -> None:
    with st.container(horizontal=True):
        for label, (ending, mime) in _FORMS.items():
            st.download_button(
                label,
                data=partial(space.pairs.export, run.id, ending),  # made on click
                file_name=f"pairs-{run.started_at:%Y-%m-%d}.{ending}",
                mime=mime,
                key=f"export_{ending}",
                icon=":material/download:",
                on_click="ignore",
            )


def _import(space: Workspace, run: TrainingRun) -> None:
    def add() -> None:
        file = st.session_state[_FILE]
        if file is None:
            flash("Choose a file with pairs first.", icon=":material/info:")
            return
        added = attempt(lambda: space.pairs.add_file(run.id, file.name, file.getvalue()))
        if added is not None:
            reload_desk()
            flash(_told(added))

    with st.form("import_pairs", clear_on_submit=True, border=False):
        st.file_uploader(
            "Import pairs: jsonl, csv, or BEIR as zip",
            type=["jsonl", "csv", "zip"],
            key=_FILE,
            help="JSONL and CSV need question_text and chunk_id, and may have relevance_score from "
            "0 to 1. BEIR needs queries.jsonl and qrels/train.tsv.",
        )
        st.form_submit_button("Import", icon=":material/upload:", on_click=add)


def _told(added: AddedPairs) -> str:
    parts = [f"Imported {count_text(added.added, 'pair')}."]
    if added.duplicates:
        parts.append(f"{added.duplicates:,} were left out: the run already has them.")
    if added.unknown:
        parts.append(
            f"{added.unknown:,} were left out: their chunks are not in the knowledge base."
        )
    return " ".join(parts)
