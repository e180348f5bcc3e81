"""Review: pairs page by page, with the chunk next to its question; edit, drop, search, keep."""

from __future__ import annotations

import streamlit as st

from pages.ui.components import attempt, count_text, flash, page_of, plain
from pages.ui.hits import source_text
from pages.ui.pair_exchange import pair_exchange
from pages.ui.pair_quality import (
    bulk_actions,
    check_summary,
    flag_badges,
    forget_check,
    pair_check,
    pair_filter,
)
from pages.ui.problem_chunks import problem_chunks
from pages.ui.run_details import run_details
from pages.ui.selection import follow_work
from services.models import Chunk, TrainingPair, TrainingRun
from services.pairs.checking import PairCheck
from services.workspace import Workspace

_ROWS = 10
_TO_DROP = "pairs_to_drop"


def pair_review(space: Workspace, run: TrainingRun) -> None:
    st.markdown(
        f"**{run.pair_count:,} pairs** from {run.processed_chunks:,} chunks are ready. "
        "Look through them, correct or drop what is wrong, then start training."
    )
    # Each in its own container, so that what is below stays put when something comes or goes.
    with st.container():
        problem_chunks(space, run)
    to_drop: set[str] = st.session_state.setdefault(_TO_DROP, set())
    _actions(space, run, to_drop)
    with st.container():
        check = pair_check(space, run)
        check_summary(check)
    with st.container():
        pairs = _choose(space, run, check)
    texts = space.documents.chunks()
    with st.container():
        for pair in pairs:
            _pair(space, pair, texts.get(pair.chunk_id), flag_badges(check, pair))
    pair_exchange(space, run)
    run_details(space, run)


def _choose(space: Workspace, run: TrainingRun, check: PairCheck | None) -> list[TrainingPair]:
    """One page of the pairs that the person wants to see."""
    words, kind = st.columns([3, 2])
    search = words.text_input("Search in the questions", key="pair_search", placeholder="any words")
    with kind:
        flagged = pair_filter(check)
    if check is None or flagged is None:
        total = space.pairs.count(run.id, search=search)
        page = page_of(total, _ROWS, key="pair_page")
        pairs = space.pairs.page(run.id, limit=_ROWS, offset=page * _ROWS, search=search)
    else:
        asked = search.strip().casefold()
        found = [pair for pair in flagged if asked in pair.question_text.casefold()]
        if found:
            bulk_actions(space, run, check, found, st.session_state[_TO_DROP])
        page = page_of(len(found), _ROWS, key="pair_page")
        pairs = found[page * _ROWS : (page + 1) * _ROWS]
    if not pairs:
        message = "No question has these words." if search.strip() else "No pair matches."
        st.info(message, icon=":material/search_off:")
    return pairs


def _pair(space: Workspace, pair: TrainingPair, about: Chunk | None, badges: str = "") -> None:
    to_drop: set[str] = st.session_state[_TO_DROP]

    def edit() -> None:
        question = st.session_state[f"question_{pair.id}"]
        attempt(lambda: space.pairs.edit(pair.training_run_id, pair.id, question))
        forget_check()

    def mark() -> None:
        kept = st.session_state[f"keep_{pair.id}"]
        (to_drop.discard if kept else to_drop.add)(pair.id)

    with st.container(border=True, key=f"pair_{pair.id}"):
        if badges:
            st.markdown(badges)
        question, chunk, keep = st.columns([5, 5, 1], vertical_alignment="center")
        question.text_area(
            "Question",
            value=pair.question_text,
            key=f"question_{pair.id}",
            height=68,
            on_change=edit,
            disabled=pair.id in to_drop,
        )
        with chunk:
            source = source_text(about) if about else "This document was removed"
            st.caption(f":material/description: {source}")
            text = about.text if about else ""
            is_cut = len(text) > len(pair.chunk_preview)
            st.markdown(plain(pair.chunk_preview) + ("…" if is_cut else ""))
            if is_cut:
                with st.popover("Whole chunk", type="tertiary"):
                    st.text(text)
        keep.checkbox("Keep", value=pair.id not in to_drop, key=f"keep_{pair.id}", on_change=mark)


def _actions(space: Workspace, run: TrainingRun, to_drop: set[str]) -> None:
    def drop() -> None:
        dropped = attempt(lambda: space.pairs.drop(run.id, sorted(to_drop)))
        if dropped is not None:
            to_drop.clear()
            flash(f"Dropped {count_text(dropped, 'pair')}.")

    def train() -> None:
        if attempt(lambda: space.runs.train(run.id)) is not None:
            follow_work()
            flash("Training started.")

    with st.container(horizontal=True, vertical_alignment="center"):
        if to_drop:
            st.button(
                f"Drop {count_text(len(to_drop), 'marked pair')}",
                key="drop_pairs",
                type="primary",
                icon=":material/delete:",
                on_click=drop,
            )
        st.button(
            "Start Training",
            key="start_training",
            type="secondary" if to_drop else "primary",
            icon=":material/model_training:",
            disabled=bool(to_drop) or run.pair_count == 0,
            help="First drop or keep the marked pairs." if to_drop else None,
            on_click=train,
        )
        st.button(
            "Discard this run",
            key="discard_run",
            type="tertiary",
            icon=":material/cancel:",
            help="It is kept as a failed run that you can proceed with or remove.",
            on_click=lambda: attempt(lambda: space.runs.stop(run.id)),
        )
