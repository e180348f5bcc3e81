"""What a person says about the hits of a question: marks on each, and what the question is for."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from pages.ui.components import attempt, flash
from services.models import SearchHit
from services.questions.feedback import Marks
from services.questions.store import Purpose
from services.workspace import Workspace

_MARKED = "_marked"
_PURPOSES = {
    Purpose.TEST: ("a test question", ":blue-badge[:material/quiz: Test question]"),
    Purpose.TRAINING: ("a training pair", ":violet-badge[:material/school: Training pair]"),
}


def was_marked() -> bool:
    """Whether this run of the page follows a mark, so that what was found is still to be shown."""
    return bool(st.session_state.pop(_MARKED, False))


def mark_buttons(
    space: Workspace, question: str, marks: Marks, *, side: str, first_hit: str | None
) -> Callable[[SearchHit], None]:
    """Draws the buttons of a hit. Pressing what is marked takes it back.

    `side` tells the lists of a page apart; `first_hit` is the chunk that search shows first.
    """

    def judge(chunk_id: str, answers: bool | None) -> None:
        attempt(lambda: space.feedback.judge(question, chunk_id, answers, first_hit=first_hit))
        st.session_state[_MARKED] = True

    def draw(hit: SearchHit) -> None:
        said = marks.answers.get(hit.chunk_id)
        with st.container(horizontal=True, gap="small"):
            for answers, label, icon in (
                (True, "Answers it", ":material/thumb_up:"),
                (False, "Does not", ":material/thumb_down:"),
            ):
                is_said = said is answers
                st.button(
                    label,
                    key=f"{'answers' if answers else 'does_not'}_{side}_{hit.chunk_id}",
                    type="primary" if is_said else "tertiary",
                    icon=":material/check:" if is_said else icon,
                    help="Press again to take it back" if is_said else None,
                    on_click=judge,
                    args=(hit.chunk_id, None if is_said else answers),
                )

    return draw


def question_bar(space: Workspace, question: str, marks: Marks) -> None:
    """What the question is now, and what it can be made with one press."""
    with st.container(
        horizontal=True, vertical_alignment="center", gap="small", key="question_bar"
    ):
        if marks.purpose is not Purpose.OPEN:
            _decided(space, question, marks)
        elif marks.is_unanswerable:
            st.markdown(
                ":gray-badge[:material/block: The documents have no answer]", width="content"
            )
            _button(
                "Take it back",
                "answerable",
                lambda: space.feedback.say_unanswerable(question, False),
            )
        elif marks.has_answer:
            for purpose, (name, _) in _PURPOSES.items():
                _purpose_button(space, question, purpose, f"Make {name}")
        elif marks.nothing_answers:
            st.markdown(
                ":orange-badge[:material/search_off: Nothing here answers]", width="content"
            )
            _button(
                "Take it back",
                "something_answers",
                lambda: space.feedback.say_nothing_answers(question, False),
            )
            st.page_link("missed.py", label="Go to the missed questions")
        else:
            _button(
                "Nothing here answers",
                "nothing_answers",
                lambda: space.feedback.say_nothing_answers(question, True),
                icon=":material/search_off:",
            )


def _decided(space: Workspace, question: str, marks: Marks) -> None:
    st.markdown(_PURPOSES[marks.purpose][1], width="content")
    for purpose, (name, _) in _PURPOSES.items():
        # One that no passage answers can be a test question, never a training pair.
        if purpose is not marks.purpose and marks.has_answer:
            _purpose_button(space, question, purpose, f"Make it {name} instead")
    _purpose_button(space, question, Purpose.OPEN, "Make it neither")


def _purpose_button(space: Workspace, question: str, purpose: Purpose, label: str) -> None:
    said = {
        Purpose.TEST: "It is a test question now: it measures search, and does not teach it.",
        Purpose.TRAINING: "It is a training pair now: the next training learns from it.",
        Purpose.OPEN: "It neither measures search nor teaches it now.",
    }
    icons = {Purpose.TEST: ":material/quiz:", Purpose.TRAINING: ":material/school:"}

    def decide() -> None:
        space.feedback.decide(question, purpose)
        flash(said[purpose])

    _button(label, f"make_{purpose.value}", decide, icon=icons.get(purpose))


def _button(label: str, key: str, action: Callable[[], None], *, icon: str | None = None) -> None:
    def press() -> None:
        attempt(action)
        st.session_state[_MARKED] = True

    st.button(label, key=key, icon=icon, on_click=press)
