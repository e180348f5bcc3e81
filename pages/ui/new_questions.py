"""Questions that a person brings: a log as a file, and one at a time with its answer."""

from __future__ import annotations

from functools import partial

import streamlit as st

from pages.ui.components import attempt, count_text, flash, plain, show_error
from pages.ui.hits import place_text
from services.errors import NotAllowed
from services.models import SearchHit
from services.questions.missed import AddedLog
from services.questions.question_log import LARGEST_FILE
from services.questions.store import Purpose
from services.workspace import Workspace

_FILE, _NEW = "log_file", "new_question"
_HITS = 10


def new_questions(space: Workspace) -> None:
    st.subheader("A log of questions", anchor=False)
    _question_log(space)
    st.subheader("One question and its answer", anchor=False)
    if space.documents.chunk_count():
        _new_question(space)
    else:
        st.caption("Add documents to the knowledge base first.")


def _question_log(space: Workspace) -> None:
    """Upload a log; search for its questions again; remove it."""

    def add() -> None:
        file = st.session_state[_FILE]
        if file is None:
            flash("Choose a file with questions first.", icon=":material/info:")
            return
        with st.spinner("Searching for each question"):
            added = attempt(lambda: space.missed.add_log(file.name, file.getvalue()))
        if added is not None:
            flash(_added_text(added))

    with st.form("add_log", clear_on_submit=True, border=False):
        st.file_uploader(
            "Upload questions that people asked: csv, xlsx or jsonl",
            type=["csv", "xlsx", "jsonl"],
            max_upload_size=LARGEST_FILE // 1_000_000,
            key=_FILE,
            help="A column question, query or text. If you know what answers them: chunk_id, "
            "document (its name) or answer (a quote from the text). count and asked_at are read "
            "too. At most 5,000 questions.",
        )
        st.form_submit_button("Add questions", icon=":material/upload:", on_click=add)
    log = space.missed.log()
    if log.questions:
        _stored_log(space, log.questions, is_current=log.is_current)


def _stored_log(space: Workspace, questions: int, *, is_current: bool) -> None:
    def rank() -> None:
        with st.spinner("Searching for each question"):
            added = attempt(space.missed.rank_log_again)
        if added is not None:
            flash(_added_text(added))

    def remove() -> None:
        if attempt(space.missed.remove_log) is not None:
            flash("Removed the log. What you marked stays.")

    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"{count_text(questions, 'question')} of logs", width="content")
        st.button(
            "Search again",
            key="rank_log_again",
            icon=":material/refresh:",
            on_click=rank,
            help="With the documents as they are now, and what search uses now",
        )
        st.button("Remove the log", key="remove_log", icon=":material/delete:", on_click=remove)
    if not is_current:
        st.info(
            "What search uses now has not searched for all of these questions: press "
            "**Search again**. It takes a minute at most, and goes on where it was.",
            icon=":material/info:",
        )


def _added_text(added: AddedLog) -> str:
    said = [f"Searched for {added.ranked:,} of {count_text(added.questions, 'question')}."]
    if added.with_answer:
        said.append(
            f"Of {added.with_answer:,} with a known answer, {added.missed:,} did not find it"
            + (
                f" ({added.not_in_documents:,} because the documents do not have it)."
                if added.not_in_documents
                else "."
            )
        )
    return " ".join(said)


def _new_question(space: Workspace) -> None:
    """One question, with the hits that answer it, as a test question or for training."""
    question = st.text_input("One question", key=_NEW, placeholder="As a colleague would ask it")
    if not question.strip():
        st.caption("Its answer is then found by search.")
        return
    try:
        hits = _hits(space, question)
    except NotAllowed as error:
        show_error(error)
        return
    st.caption("Choose every passage that answers it.")
    chosen = [hit.chunk_id for hit in hits if _choice(hit)]

    def add(purpose: Purpose) -> None:
        space.feedback.add(question, chosen, purpose)
        st.session_state[_NEW] = ""
        flash(f"Added as a {'test question' if purpose is Purpose.TEST else 'training pair'}.")

    with st.container(horizontal=True):
        for purpose, label in (
            (Purpose.TEST, "Add as a test question"),
            (Purpose.TRAINING, "Add as a training pair"),
        ):
            st.button(
                label,
                key=f"add_{purpose.value}",
                disabled=not chosen,
                on_click=attempt,
                args=(partial(add, purpose),),
            )


def _hits(space: Workspace, question: str) -> list[SearchHit]:
    found = space.search.as_chosen(question, _HITS)
    return found.with_ if found.run_id else found.without


def _choice(hit: SearchHit) -> bool:
    with st.container(border=True):
        is_chosen = st.checkbox(
            f"**{plain(hit.document)}** {place_text('', hit.heading_path, None)}",
            key=f"chosen_{hit.chunk_id}",
        )
        st.text(hit.text)
    return is_chosen
