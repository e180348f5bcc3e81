"""The pairs of a page under their chunks, each with its state and what can be done with it."""

from __future__ import annotations

import time
from collections.abc import Mapping

import streamlit as st

from pages.ui.components import plain
from pages.ui.hits import source_text
from pages.ui.pair_quality import flag_badges
from pages.ui.review_desk import Desk
from services.models import Chunk, Review, TrainingPair
from services.pairs.answering import answering_sentence

_STATES = {
    Review.TO_REVIEW: ":gray-badge[to review]",
    Review.KEPT: ":green-badge[:material/check: kept]",
    Review.DROPPED: ":red-badge[:material/close: dropped]",
}
_AROUND = 200  # characters of a long chunk before and after the sentence that answers


def pair_rows(desk: Desk, chunks: Mapping[str, Chunk]) -> None:
    """One box for each chunk of the page, with its questions."""
    groups: dict[str, list[TrainingPair]] = {}
    for pair in desk.pairs:
        groups.setdefault(pair.chunk_id, []).append(pair)
    for chunk_id, pairs in groups.items():
        with st.container(border=True, key=f"chunk_{chunk_id}"):
            questions, text = st.columns(2)
            with questions:
                for pair in pairs:
                    _pair(desk, pair)
            with text, st.container(gap=None):
                about = next((pair for pair in pairs if pair.id == desk.current), pairs[0])
                _chunk(chunks.get(chunk_id), about)
    if desk.has_moved:
        desk.has_moved = False
        _to_keyboard(f"pair_{desk.current}", is_edited=desk.editing is not None)


def _chunk(chunk: Chunk | None, pair: TrainingPair) -> None:
    if chunk is None:
        st.caption(":material/description: This document was removed")
        st.markdown(plain(pair.chunk_preview or ""))
        return
    st.caption(f":material/description: {source_text(chunk)}")
    start, end = answering_sentence(pair.question_text, chunk.text)
    first, last = max(0, start - _AROUND), end + _AROUND
    before, after = chunk.text[first:start], chunk.text[end:last]
    answer = f":yellow-background[{plain(chunk.text[start:end])}]" if end else ""
    cut = ("… " if first else "", " …" if last < len(chunk.text) else "")
    st.markdown(f":small[{cut[0]}{plain(before)} {answer} {plain(after)}{cut[1]}]")
    if any(cut):
        with st.popover("Whole chunk", type="tertiary"):
            st.text(chunk.text)


def _pair(desk: Desk, pair: TrainingPair) -> None:
    is_current = pair.id == desk.current
    with st.container(key=f"pair_{pair.id}", gap=None):
        if desk.editing == pair.id:
            _edit_form(desk, pair)
        else:
            mark = ":blue[:material/arrow_right:] **" if is_current else ""
            st.markdown(f"{mark}{plain(pair.question_text)}{'**' if is_current else ''}")
        if pair.original_question is not None:
            st.caption(f"edited from: {plain(pair.original_question)}")
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(f"{_STATES[pair.review]} {flag_badges(pair)}", width="content")
            if desk.editing != pair.id:
                _buttons(desk, pair, is_current)
            if desk.said.pair_id == pair.id:
                color = "green" if desk.said.is_good else "red"
                st.markdown(f":{color}[{plain(desk.said.text)}]", width="content")


def _buttons(desk: Desk, pair: TrainingPair, is_current: bool) -> None:
    """The keys work for the current pair alone."""

    st.button(
        "Keep",
        key=f"keep_{pair.id}",
        type="tertiary",
        shortcut="K" if is_current else None,
        disabled=pair.review is Review.KEPT,
        on_click=desk.decide,
        args=(pair, Review.KEPT),
    )
    st.button(
        "Drop",
        key=f"drop_{pair.id}",
        type="tertiary",
        shortcut="D" if is_current else None,
        disabled=pair.review is Review.DROPPED,
        on_click=desk.decide,
        args=(pair, Review.DROPPED),
    )
    st.button(
        "Edit",
        key=f"edit_{pair.id}",
        type="tertiary",
        shortcut="E" if is_current else None,
        disabled=pair.review is Review.DROPPED,
        on_click=desk.begin_edit,
        args=(pair,),
    )


def _edit_form(desk: Desk, pair: TrainingPair) -> None:
    key = f"question_{pair.id}"

    def save() -> None:
        desk.edit(pair, st.session_state[key])
        if desk.editing == pair.id:  # refused: what is kept stands in the field again
            st.session_state[key] = pair.question_text

    with st.form(f"edit_form_{pair.id}", border=False):
        st.text_area("Question", value=pair.question_text, key=key, height=68)
        with st.container(horizontal=True):
            st.form_submit_button("Save", key=f"save_{pair.id}", type="primary", on_click=save)
            st.form_submit_button(
                "Leave as it is",
                key=f"leave_{pair.id}",
                type="tertiary",
                on_click=desk.look,
                args=(0,),
            )


def _to_keyboard(key: str, *, is_edited: bool) -> None:
    """Have the pair in sight, and what is typed reach the field in which it is edited."""
    wanted = "textarea" if is_edited else "button"
    st.html(  # with the time, because the browser does not run an unchanged script again
        f"""<script>/* {time.monotonic_ns()} */ {{
          const follow = (tries) => {{
            const row = document.querySelector('.st-key-{key}');
            const found = row?.querySelector('{wanted}');
            if (!found) {{ if (tries) setTimeout(follow, 50, tries - 1); return; }}
            row.scrollIntoView({{block: 'nearest'}});
            if (found.select) {{ found.focus(); found.select(); }}
          }};
          follow(40);  // the field may be drawn after this
        }}</script>""",
        unsafe_allow_javascript=True,
    )
