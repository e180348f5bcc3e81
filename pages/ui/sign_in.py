"""Sign in, sign up, or continue as the demo analyst."""

from __future__ import annotations

import streamlit as st

from pages.ui import context
from pages.ui.components import FLASH, attempt, show_flash


def sign_in_page() -> None:
    _, middle, _ = st.columns([1, 2, 1])
    with middle:
        st.title(":material/neurology: Deep Memory Studio")
        st.markdown(
            "Make the search over your documents find what it misses now: "
            "generate questions, review them, train, compare."
        )
        with st.container(key=FLASH):  # its own container, or the tabs below would reset
            show_flash()
        if context.studio().local_supabase is not None:
            _demo()
        sign_in, sign_up = st.tabs(["Sign in", "Sign up"])
        with sign_in:
            _form("sign_in", "Sign in")
        with sign_up:
            _form("sign_up", "Create account")


def _demo() -> None:
    with st.container(border=True):
        st.markdown("**Just looking?** Use a demo account that exists only on this machine.")
        st.button(
            "Continue as demo analyst",
            key="demo",
            type="primary",
            icon=":material/play_arrow:",
            on_click=lambda: attempt(lambda: context.sign_in(context.studio().sign_in_as_demo())),
        )


def _form(name: str, label: str) -> None:
    with st.form(name, border=False):
        st.text_input("E-mail", key=f"{name}_email", autocomplete="email")
        st.text_input(
            "Password",
            key=f"{name}_password",
            type="password",
            autocomplete="current-password" if name == "sign_in" else "new-password",
            help="At least 8 characters." if name == "sign_up" else None,
        )
        st.form_submit_button(label, on_click=_submit, args=(name,))


def _submit(name: str) -> None:
    accounts = context.studio().accounts
    act = accounts.sign_in if name == "sign_in" else accounts.sign_up
    email = st.session_state[f"{name}_email"].strip()
    password = st.session_state[f"{name}_password"]
    attempt(lambda: context.sign_in(act(email, password, context.visitor())))
