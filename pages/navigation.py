"""The script that each session runs: page setup, sign-in, navigation. No queries, no logic."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from pages.ui import context
from pages.ui.components import FLASH, show_error, show_flash, small_screens
from pages.ui.sign_in import sign_in_page
from services.errors import AppError, NotSignedIn

# A file, because the browser would fetch a symbol's picture for the tab from Google.
_ICON = Path(__file__).parent / "ui" / "icon.svg"
st.set_page_config(page_title="Deep Memory Studio", page_icon=_ICON, layout="wide")
small_screens()

PAGES = [
    st.Page("deep_memory.py", title="Deep Memory", icon=":material/neurology:", default=True),
    st.Page("knowledge_base.py", title="Knowledge base", icon=":material/library_books:"),
    st.Page("document.py", title="Document", visibility="hidden"),
    st.Page("judge.py", title="Judge", visibility="hidden"),
    st.Page("search.py", title="Search", icon=":material/search:"),
    st.Page("missed.py", title="Missed questions", icon=":material/search_off:"),
    st.Page("account.py", title="Account", icon=":material/person:"),
]

try:
    signed_in = context.workspace() is not None
    page = st.navigation(PAGES, position="sidebar" if signed_in else "hidden")
    if signed_in:
        with st.container(key=FLASH):  # so that the page below stays put when it comes or goes
            context.keep_signed_in()
            show_flash()
        page.run()
    else:
        sign_in_page()
except NotSignedIn:
    context.forget()
    st.rerun()
except AppError as error:
    show_error(error)
