"""Who is signed in, and the services for them: the only place where pages get services from."""

from __future__ import annotations

import streamlit as st

from services.accounts.auth import SignedInUser
from services.accounts.visitors import Visitor
from services.http.session_cookie import COOKIE, TICKET_HEADER
from services.studio import Studio, current_studio
from services.workspace import Workspace

_WORKSPACE = "_workspace"
_COOKIE_TO_KEEP = "_cookie_to_keep"
_SIGNED_OUT = "_signed_out"


def studio() -> Studio:
    return current_studio()


def workspace() -> Workspace | None:
    """The signed-in person's services; None when nobody is signed in.

    They live as long as the browser's session: a Supabase client belongs to one person only.
    """
    if _WORKSPACE not in st.session_state:
        cookie = st.context.cookies.get(COOKIE)
        if not cookie or st.session_state.get(_SIGNED_OUT):
            return None
        user = studio().accounts.restore(cookie)
        if user is None:
            return None
        st.session_state[_WORKSPACE] = Workspace(studio(), user)
    return st.session_state[_WORKSPACE]


def require_workspace() -> Workspace:
    """The same, for the parts of a page that only a signed-in person reaches."""
    found = workspace()
    assert found is not None, "pages run for signed-in people only"
    return found


def visitor() -> Visitor:
    """Whoever is at this browser."""
    return Visitor(st.context.ip_address, st.context.cookies.get(COOKIE))


def sign_in(user: SignedInUser) -> None:
    st.session_state[_WORKSPACE] = Workspace(studio(), user)
    st.session_state[_COOKIE_TO_KEEP] = user.cookie
    st.session_state.pop(_SIGNED_OUT, None)


def sign_out() -> None:
    user = require_workspace().user
    assert isinstance(user, SignedInUser), "a browser session was signed in"
    studio().accounts.sign_out(user)
    forget()


def forget() -> None:
    """Drop everything that this browser session holds about the person."""
    st.session_state.clear()
    st.session_state[_SIGNED_OUT] = True


def keep_signed_in() -> None:
    """After a sign-in, have the browser fetch its cookie, so that F5 does not sign out."""
    cookie = st.session_state.pop(_COOKIE_TO_KEEP, None)
    if cookie:
        ticket = studio().tickets.issue(cookie)
        st.html(
            f"<script>fetch('/session', {{method: 'POST', headers: "
            f"{{'{TICKET_HEADER}': '{ticket}'}}}})</script>",
            unsafe_allow_javascript=True,
        )
