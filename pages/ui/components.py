"""Small pieces that every page uses. They show what they are given and call no service."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Literal

import streamlit as st

from services.errors import AppError, DatabaseUnavailable, DiskFull
from services.models import Waiting
from services.runs.states import RunStatus

log = logging.getLogger(__name__)

FLASH = "flash"  # the key of the container that shows it
_FLASH = "_flash"
_HEADING = re.compile(r"^#{1,6} +(.+)$", re.MULTILINE)
_MARKUP = re.compile(r"([\\`*_{}\[\]()#+\-.!|$~:<>&])")

_Color = Literal["blue", "green", "orange", "red", "violet"]
BADGES: dict[RunStatus, tuple[str, str, _Color]] = {
    RunStatus.GENERATING: ("Generating", ":material/edit_note:", "blue"),
    RunStatus.GENERATED: ("Awaiting review", ":material/rate_review:", "orange"),
    RunStatus.TRAINING: ("Training", ":material/model_training:", "violet"),
    RunStatus.COMPLETED: ("Completed", ":material/check_circle:", "green"),
    RunStatus.GENERATING_FAILED: ("Generating failed", ":material/error:", "red"),
    RunStatus.TRAINING_FAILED: ("Training failed", ":material/error:", "red"),
}


def status_badge(status: RunStatus) -> None:
    label, icon, color = BADGES[status]
    st.badge(label, icon=icon, color=color)


def show_error(error: AppError) -> None:
    """Show what happened and what to do next; an unavailable database is one quiet line."""
    if isinstance(error, DatabaseUnavailable) and not isinstance(error, DiskFull):
        quiet_line()
    else:
        st.error(plain(f"{error} {error.next_step}"), icon=":material/error:")


def show_uncaught(error: Exception) -> bool:
    """The last resort: show whatever exception a page, a fragment or a callback lets through.

    True tells Streamlit that it was shown.
    """
    if isinstance(error, AppError):
        show_error(error)
    else:
        log.error("page_failed", exc_info=error)
        st.error(
            "Something unexpected happened on this page. What was stored is safe; the cause "
            "is in the app's log. Reload the page to continue.",
            icon=":material/error:",
        )
    return True


def quiet_line() -> None:
    """Say that the database is unavailable, and check again automatically."""

    @st.fragment(run_every="4s")
    def waiting() -> None:
        if st.session_state.get("_waited"):
            st.session_state.pop("_waited")
            st.rerun()
        st.session_state["_waited"] = True
        st.caption(
            ":material/cloud_off: The database cannot be reached just now. Nothing is lost; "
            "this page keeps trying."
        )

    waiting()


def flash(message: str, *, icon: str = ":material/check:") -> None:
    """Show `message` once, after the next rerun."""
    st.session_state[_FLASH] = ("success", message, icon)


def show_flash() -> None:
    kind, message, icon = st.session_state.pop(_FLASH, (None, "", ""))
    if kind == "success":
        st.success(message, icon=icon)
    elif kind == "error":
        st.error(message, icon=icon)
        bring_into_view(FLASH)  # a failed click is shown nowhere else


def bring_into_view(key: str) -> None:
    """Scroll to the container of this key, below the app's own header."""
    st.html(  # with the time, because the browser does not run an unchanged script again
        f"""<script>/* {time.monotonic_ns()} */ {{
          const found = document.querySelector('.st-key-{key}');
          if (found) {{ found.style.scrollMarginTop = '4.5rem'; found.scrollIntoView(); }}
        }}</script>""",
        unsafe_allow_javascript=True,
    )


def attempt(action: Callable[[], Any]) -> Any:
    """Run a callback's action; an AppError is shown once at the top of the page, not raised."""
    try:
        return action()
    except AppError as error:
        message = plain(f"{error} {error.next_step}")
        st.session_state[_FLASH] = ("error", message, ":material/error:")
        return None


def empty_state(icon: str, title: str, text: str) -> None:
    with st.container(border=True, horizontal_alignment="center"):
        st.markdown(f"### {icon} {title}", text_alignment="center")
        st.markdown(text, text_alignment="center")


def page_of(rows: int, rows_a_page: int, *, key: str) -> int:
    """Let the person choose a page of `rows`; return its number, from 0. One page needs no choice.

    A page that is gone (rows were removed, a filter was set) becomes the last page.
    """
    pages = max(1, -(-rows // rows_a_page))
    if pages == 1:
        st.session_state.pop(key, None)
        return 0
    if st.session_state.get(key, 1) > pages:
        st.session_state[key] = pages
    return st.pagination(pages, key=key) - 1


def small_screens() -> None:
    """Add the CSS for columns on a phone, for rows that can be clicked anywhere, and for what stays
    in view while a long list is scrolled.

    Below 640 pixels the heading row of a table is hidden, and the cells of a row stand two by two,
    each with its own label.
    """
    st.html(
        """<style>
        @media (max-width: 640px) {
          [class*="st-key-wide_only"] { display: none; }
          [class*="st-key-document_"] [data-testid="stColumn"]
            { min-width: calc(25% - 1rem); flex: 1 1 calc(25% - 1rem); }
          [class*="st-key-document_"] [data-testid="stColumn"]:first-child { flex-basis: 100%; }
          [class*="st-key-run_row"] [data-testid="stColumn"],
          [class*="st-key-model_row"] [data-testid="stColumn"],
          .st-key-figures [data-testid="stColumn"]
            { min-width: calc(50% - 1rem); flex: 1 1 calc(50% - 1rem); }
          .st-key-figures [data-testid="stColumn"]:first-child,
          [class*="st-key-model_row"] [data-testid="stColumn"]:first-child { flex-basis: 100%; }
          [class*="st-key-run_row"] [data-testid="stColumn"]::before
            { font-size: 0.8rem; opacity: 0.6; }
          [class*="st-key-run_row"] [data-testid="stColumn"]:nth-child(3)::before
            { content: "Duration"; }
          [class*="st-key-run_row"] [data-testid="stColumn"]:nth-child(4)::before
            { content: "Progress"; }
          [class*="st-key-run_row"] [data-testid="stColumn"]:nth-child(5)::before
            { content: "Pairs"; }
          [class*="st-key-run_row"] [data-testid="stColumn"]:nth-child(6)::before
            { content: "Recall@10"; }
          [class*="st-key-model_row"] [data-testid="stColumn"]::before
            { font-size: 0.8rem; opacity: 0.6; }
          [class*="st-key-model_row"] [data-testid="stColumn"]:nth-child(2)::before
            { content: "Recall@10"; }
          [class*="st-key-model_row"] [data-testid="stColumn"]:nth-child(3)::before
            { content: "MRR@10"; }
        }
        [data-testid="stLayoutWrapper"]:has(> .st-key-question_bar)
          { position: sticky; top: 3.75rem; z-index: 10; padding: 0.5rem 0;
            background: Canvas; }
        [class*="st-key-rank_change"] button { text-align: left; }
        [class*="st-key-rank_change"] button > div { justify-content: flex-start; }
        [class*="st-key-run_row"] { position: relative; }
        [class*="st-key-run_row"] [class*="st-key-remove"] { position: relative; z-index: 1; }
        [class*="st-key-run_row"] [class*="st-key-toggle"],
        [class*="st-key-run_row"] [class*="st-key-toggle"] button { position: static; }
        [class*="st-key-run_row"] [class*="st-key-toggle"] button::after
          { content: ""; position: absolute; inset: 0; }
        </style>"""
    )


def plain(text: str) -> str:
    """`text` on one line and escaped for st.markdown: documents and server messages are data, not
    markup.

    A dot separates a Markdown heading from what follows, because the line break is gone.
    """
    line = " ".join(_HEADING.sub(r"\1 ·", text).split()).removesuffix(" ·")
    return _MARKUP.sub(r"\\\1", line)


def count_text(count: int, noun: str) -> str:
    """1 question, 2 questions, 1,200 questions."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def money(usd: float) -> str:
    """$1.20, and $0.0034 where cents would say nothing."""
    return f"${usd:,.2f}" if usd >= 0.1 or not usd else f"${usd:.4f}"


def duration_text(seconds: float) -> str:
    """45 s, 3 min, 1 h 20 min."""
    seconds = max(0, round(seconds))
    if seconds < 90:
        return f"{seconds} s"
    if seconds < 5400:
        return f"{round(seconds / 60)} min"
    return f"{seconds // 3600} h {seconds % 3600 // 60} min"


def when_text(moment: datetime) -> str:
    """21 Nov 2026, 14:05, in the viewer's time zone."""
    moment = _for_viewer(moment)
    return f"{moment.day} {moment:%b %Y, %H:%M}"


def waiting_text(waiting: Waiting) -> str:
    """Waiting for OpenAI's rate limit until 14:32, with the date when that is not today."""
    words = f"Waiting for {waiting.what}"
    if waiting.until is None or waiting.until <= datetime.now(UTC):
        return words
    until, now = _for_viewer(waiting.until), _for_viewer(datetime.now(UTC))
    day = "" if until.date() == now.date() else f"{until.day} {until:%b}, "
    return f"{words} until {day}{until:%H:%M}"


def waiting_line(waiting: Waiting | None) -> None:
    """Show why a run stands still; nothing while it moves."""
    if waiting is not None:
        st.markdown(f":material/hourglass_top: {waiting_text(waiting)}")


def _for_viewer(moment: datetime) -> datetime:
    offset = st.context.timezone_offset  # minutes behind UTC, as browsers count
    return moment if offset is None else moment.astimezone(timezone(-timedelta(minutes=offset)))


def ago_text(moment: datetime) -> str:
    seconds = (datetime.now(UTC) - moment).total_seconds()
    return "just now" if seconds < 45 else f"{duration_text(seconds)} ago"


def percent(share: float) -> str:
    return f"{100 * share:.1f}%"
