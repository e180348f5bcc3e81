"""Measure any trained model on test questions: the sample's own, and those a person uploads."""

from __future__ import annotations

from pathlib import PurePath

import streamlit as st

from pages.ui.components import attempt, count_text, flash
from services.deep_memory.cloud_training import MOST_MEASURED
from services.models import TrainingRun
from services.workspace import Workspace

_FILE, _NAME = "question_file", "test_set_name"


def own_questions(space: Workspace, run: TrainingRun) -> None:
    """A collapsed section, because few people have test questions."""
    # Its state is kept, so that it does not collapse when something above it comes or goes.
    folded = st.expander(
        "Measure on your own test questions",
        icon=":material/quiz:",
        key="own_questions",
        on_change="rerun",
    )
    if folded.open:
        with folded:
            if sets := space.test_sets.all():
                _measure(space, run, sets)
            _upload(space)


def _measure(space: Workspace, run: TrainingRun, sets: dict[str, int]) -> None:
    columns = st.columns([4, 1, 1, 1], vertical_alignment="bottom")
    name = columns[0].selectbox("Measure on", list(sets), key="test_set")
    if run.metrics.get("trainer") == "cloud":
        st.caption(
            ":material/cloud: Each question is a search in DeepLake Cloud, so at most "
            f"{MOST_MEASURED} of them are asked, chosen at random."
        )

    def measure() -> None:
        with st.spinner("Measuring"):
            figures = attempt(lambda: space.test_sets.measure(name, run.id))
        if figures is not None:
            flash(f"Measured on {name}: see the verdict and its tab.")

    def remove() -> None:
        if attempt(lambda: space.test_sets.remove(name)) is not None:
            flash(f"Removed the test set {name}.")

    columns[1].button("Measure", key="measure", type="primary", on_click=measure, width="stretch")
    if columns[2].button("Judge", key="judge", width="stretch"):
        st.switch_page("judge.py", query_params={"set": name, "run": run.id})
    columns[3].button(
        "Remove",
        key="remove_test_set",
        on_click=remove,
        disabled=not space.test_sets.is_own(name),
        width="stretch",
    )
    kept = {found["name"]: found for found in run.metrics.get("test_sets", [])}
    said = f"{count_text(sets[name], 'question')}, "
    if name not in kept:
        said += "not measured with this model yet"
    elif kept[name].get("knowledge_base") == space.documents.version():
        said += "measured with this model"
    else:
        said += "measured before the knowledge base changed"
    st.caption(f"{said}.")


def _upload(space: Workspace) -> None:
    def add() -> None:
        file = st.session_state[_FILE]
        if file is None:
            flash("Choose a file with test questions first.", icon=":material/info:")
            return
        name = st.session_state[_NAME].strip() or PurePath(file.name).stem
        count = attempt(lambda: space.test_sets.add_file(name, file.name, file.getvalue()))
        if count is not None:
            st.session_state["test_set"] = name
            flash(f"Added {count_text(count, 'test question')}.")

    with st.form("add_test_set", clear_on_submit=True, border=False):
        st.file_uploader(
            "Upload test questions: csv, or BEIR as zip",
            type=["csv", "zip"],
            key=_FILE,
            help="CSV needs a column question, and one of chunk_id, document (its name) or answer "
            "(a quote from the text). A question that the documents do not answer has “no” in a "
            "column answerable instead. BEIR needs queries.jsonl and qrels/test.tsv, with ids of "
            "chunks or documents.",
        )
        st.text_input("Name of the test set", key=_NAME, placeholder="The name of the file")
        st.form_submit_button("Add test questions", icon=":material/upload:", on_click=add)
