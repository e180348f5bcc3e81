"""In review: the chunks that gave no questions or too few, by reason and by name."""

from __future__ import annotations

import streamlit as st

from pages.ui.components import attempt, count_text, flash, plain
from pages.ui.hits import source_text
from pages.ui.selection import follow_work
from services.models import TrainingRun
from services.workspace import Workspace

_MOST_NAMED = 100
_PREVIEW = 120  # characters


def problem_chunks(space: Workspace, run: TrainingRun) -> None:
    problems = space.runs.problems(run.id)
    if not problems:
        return
    named = ", ".join(f"{count:,} {problem}" for problem, count in problems.items())
    st.caption(f":material/info: Chunks with no questions, or fewer than asked for: {named}.")
    count = sum(problems.values())

    def ask_again() -> None:
        if attempt(lambda: space.runs.retry_problems(run.id)) is not None:
            follow_work()
            flash(f"Asking {count_text(count, 'chunk')} again.")

    with st.container(horizontal=True, vertical_alignment="center"):
        if space.runs.offer_asking_again:
            st.button(
                f"Ask {'this one' if count == 1 else f'these {count:,}'} again",
                key="retry_problems",
                icon=":material/replay:",
                help="Existing pairs stay. You pay for these chunks again.",
                on_click=ask_again,
            )
        with st.popover("Which ones", type="tertiary"):
            _names(space, run, count)


def _names(space: Workspace, run: TrainingRun, count: int) -> None:
    chunks = space.documents.chunks()
    shown = space.runs.chunks_with_problem(run.id, limit=_MOST_NAMED)
    for chunk_id, problem in shown:
        chunk = chunks.get(chunk_id)
        document = source_text(chunk) if chunk else "This document was removed"
        st.markdown(f"**{problem}** · :material/description: {document}")
        if chunk:
            st.caption(plain(chunk.text[:_PREVIEW]) + ("…" if len(chunk.text) > _PREVIEW else ""))
    if count > len(shown):
        st.caption(f"and {count - len(shown):,} more")
