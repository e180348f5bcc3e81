"""Missed questions in groups, and those of a log of which the rankings disagree."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from hashlib import md5

import streamlit as st

from pages.ui.components import (
    ago_text,
    attempt,
    count_text,
    empty_state,
    flash,
    page_of,
    percent,
    plain,
)
from services.questions.missed import MissedGroup, Why
from services.questions.store import Purpose
from services.workspace import Workspace

_ROWS = 20
_WHY = {
    Why.NOTHING_ANSWERS: ":orange-badge[:material/search_off: nothing answers]",
    Why.FIRST_HIT_IS_WRONG: ":orange-badge[:material/thumb_down: first hit is wrong]",
    Why.ANSWER_NOT_FOUND: ":orange-badge[:material/quiz: known answer not in the first ten]",
}


def missed_list(space: Workspace) -> None:
    groups = space.missed.groups()
    if not groups:
        empty_state(
            ":material/task_alt:",
            "No missed questions",
            "On the search page, mark a first hit with **Does not**, or press **Nothing here "
            "answers**: the question then stands here. So do questions of a log whose known "
            "answer is not among the first ten hits.",
        )
        return
    st.caption(
        "Questions that search did not answer, the most repeated first. Those that ask nearly the "
        "same stand together."
    )
    page = page_of(len(groups), _ROWS, key="missed_page")
    for group in groups[page * _ROWS : (page + 1) * _ROWS]:
        _group(space, group)


def _group(space: Workspace, group: MissedGroup) -> None:
    first, *others = group.questions
    key = key_of(first.question)
    answered = [asked.question for asked in group.questions if asked.has_answer]
    every = [asked.question for asked in group.questions]
    with st.container(border=True, key=f"missed_{key}"):
        st.markdown(f"**{plain(first.question)}** {_WHY[first.why]}")
        st.caption(f"Asked {times_text(group.times)}, last {ago_text(group.last_asked)}")
        if others:
            with st.expander(f"{count_text(len(others), 'question')} nearly the same"):
                for asked in others:
                    st.markdown(
                        f"{plain(asked.question)} {_WHY[asked.why]} · {times_text(asked.times)}"
                    )
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.page_link(
                "search.py",
                label="Search it" if answered else "Find its answer",
                icon=":material/search:",
                query_params={"query": first.question},
            )
            if answered:
                for purpose, name in (
                    (Purpose.TEST, "a test question"),
                    (Purpose.TRAINING, "a training pair"),
                ):
                    _button(
                        f"Make {name}",
                        f"{purpose.value}_{key}",
                        answered,
                        partial(space.feedback.decide, purpose=purpose),
                        f"It is {name} now.",
                    )
            else:
                _button(
                    "The documents have no answer",
                    f"unanswerable_{key}",
                    every,
                    space.feedback.say_unanswerable,
                    "Noted: the documents have no answer to it.",
                )
            _button(
                "Dismiss",
                f"dismiss_{key}",
                every,
                space.feedback.dismiss,
                "Dismissed. It comes back when you mark it again on the search page.",
            )


def _button(
    label: str, key: str, questions: list[str], action: Callable[[str], None], said: str
) -> None:
    """A button that does something with each of some questions."""

    def press() -> None:
        for question in questions:
            action(question)
        flash(said)

    if len(questions) > 1:
        label += f" ({len(questions)} questions)"
    st.button(label, key=key, type="tertiary", on_click=attempt, args=(press,))


def disagreement_list(space: Workspace) -> None:
    asked = space.missed.disagreements()
    if not asked:
        empty_state(
            ":material/compare_arrows:",
            "Nothing to judge here",
            "Add a log of questions without answers. Those of which two rankings find different "
            "passages stand here, because there a judgement says the most.",
        )
        return
    st.caption(
        "Questions of a log that nobody has judged, where search without training and the model "
        "in use find the most different passages (without a model: the best without training, and "
        "plain cosine). Search one, and mark what answers it. The distance is 1 minus the "
        "rank-biased overlap of the first ten."
    )
    page = page_of(len(asked), _ROWS, key="disagreement_page")
    for missed in asked[page * _ROWS : (page + 1) * _ROWS]:
        with st.container(
            border=True,
            horizontal=True,
            vertical_alignment="center",
            key=f"disagree_{key_of(missed.question)}",
        ):
            st.markdown(f"**{plain(missed.question)}**", width="stretch")
            st.caption(
                f"{percent(missed.disagreement or 0)} apart · {times_text(missed.times)}",
                width="content",
            )
            st.page_link(
                "search.py",
                label="Judge it",
                icon=":material/search:",
                query_params={"query": missed.question},
            )


def key_of(question: str) -> str:
    """A key for widgets that stays with the question when the list around it changes."""
    return md5(question.encode(), usedforsecurity=False).hexdigest()[:12]


def times_text(times: int) -> str:
    return "once" if times == 1 else f"{times:,} times"
