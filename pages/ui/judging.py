"""One chunk after the other, judged with a key each."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from pages.ui.components import attempt, count_text, plain
from pages.ui.hits import place_text
from services.models import Chunk
from services.questions.judging import RankedSet
from services.questions.pool import Unjudged
from services.workspace import Workspace

_MOST_ANSWERS = 10
_DONE = "judged_here"  # (question, chunk id, whether it was skipped) of this visit, the latest last


def judging(space: Workspace, ranked: RankedSet) -> None:
    """The next chunk to judge, with its question, and how far the person is."""
    done: list[tuple[str, str, bool]] = st.session_state.setdefault(_DONE, [])
    left = space.judging.to_judge(ranked, latest=done[-1][0] if done else "")
    st.progress(
        left.judged / max(1, left.judged + len(left.chunks)),
        text=f"{left.judged:,} judged, {left.answering:,} of them answer. "
        f"{len(left.chunks):,} in the first ten are not judged.",
    )
    if ranked.left_out:
        st.caption(
            f":material/info: {count_text(ranked.left_out, 'question')} left out: there are too "
            "many to search for at once, or they are too long."
        )
    waiting = [one for one in left.chunks if (one.question, one.chunk_id, True) not in done]
    if waiting:
        _question(space, ranked, waiting)
    elif left.chunks:
        st.info("All others were skipped.", icon=":material/skip_next:")
        st.button("Show the skipped ones", key="unskip", on_click=_unskip)
        _undo_button(space)
    else:
        st.success("All of them are judged.", icon=":material/task_alt:")
        _undo_button(space)


def forget_visit() -> None:
    """Begin anew with another set: Undo and Skip are about one set."""
    st.session_state.pop(_DONE, None)


def _question(space: Workspace, ranked: RankedSet, waiting: list[Unjudged]) -> None:
    one = waiting[0]
    here = sum(other.question == one.question for other in waiting)
    with st.container(border=True, key="to_judge"):
        st.subheader(plain(one.question), anchor=False)
        chunks = space.documents.chunks()
        _known_answers(chunks, ranked, one.question)
        if one.chunk_id in chunks:
            _chunk(chunks[one.chunk_id], one)
        else:
            st.info("This chunk was removed. Skip it.", icon=":material/info:")
        with st.container(horizontal=True):
            for label, key, icon, shortcut in (
                ("Answers it", "judge_yes", ":material/check:", "y"),
                ("Does not", "judge_no", ":material/close:", "n"),
            ):
                st.button(
                    label,
                    key=key,
                    icon=icon,
                    shortcut=shortcut,
                    on_click=_judge,
                    args=(space, one, key == "judge_yes"),
                )
            st.button(
                "Skip",
                key="judge_skip",
                icon=":material/skip_next:",
                shortcut="s",
                on_click=_skip,
                args=(one,),
            )
            _undo_button(space)
        st.caption(f"{count_text(here, 'chunk')} of this question to judge.")


def _undo_button(space: Workspace) -> None:
    st.button(
        "Undo",
        key="judge_undo",
        icon=":material/undo:",
        shortcut="u",
        disabled=not st.session_state[_DONE],
        on_click=_undo,
        args=(space,),
    )


def _known_answers(chunks: Mapping[str, Chunk], ranked: RankedSet, question: str) -> None:
    asked = next(one for one in ranked.questions if one.text == question)
    known = sorted(asked.answers & chunks.keys(), key=ranked.positions.__getitem__)
    with st.expander(f"What the set names as its answer: {count_text(len(known), 'chunk')}"):
        for chunk_id in known[:_MOST_ANSWERS]:
            st.caption(f"**{plain(chunks[chunk_id].document)}**")
            st.text(chunks[chunk_id].text)


def _chunk(chunk: Chunk, one: Unjudged) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.page_link("document.py", label=plain(chunk.document), query_params={"chunk": chunk.id})
        st.markdown(
            f":gray-badge[without: {_rank(one.rank_without)}] "
            f":blue-badge[with the model: {_rank(one.rank_with)}]",
            width="content",
        )
    if place := place_text(chunk.document, chunk.heading_path, chunk.page):
        st.caption(f":material/location_on: {place}")
    st.text(chunk.text)


def _rank(rank: int | None) -> str:
    return "beyond 10" if rank is None else f"rank {rank}"


def _judge(space: Workspace, one: Unjudged, answers: bool) -> None:
    judged = (one.question, one.chunk_id, answers)

    def judge() -> bool:
        space.judging.judge([judged])
        return True

    if attempt(judge):
        st.session_state[_DONE].append((one.question, one.chunk_id, False))


def _skip(one: Unjudged) -> None:
    st.session_state[_DONE].append((one.question, one.chunk_id, True))


def _unskip() -> None:
    st.session_state[_DONE] = [one for one in st.session_state[_DONE] if not one[2]]


def _undo(space: Workspace) -> None:
    """Take the latest judgement or skip of this visit back."""
    question, chunk_id, was_skipped = st.session_state[_DONE][-1]

    def take_back() -> bool:
        if not was_skipped:
            space.judging.take_back(question, chunk_id)
        return True

    if attempt(take_back):
        st.session_state[_DONE].pop()
