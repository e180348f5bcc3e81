"""The app: `streamlit run streamlit_app.py`. Starts the services, mounts the screens, drains."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import streamlit as st

from pages.ui.components import show_uncaught
from services.errors import AppError
from services.http.api import api_mount
from services.http.embeddings import embeddings_mount
from services.http.no_delay import answer_without_delay
from services.http.session_cookie import session_routes
from services.logs import show_logs
from services.studio import start_studio

show_logs()


def _say(message: str) -> None:
    print(f"Deep Memory Studio: {message}", flush=True)


@asynccontextmanager
async def lifespan(_app: st.App) -> AsyncIterator[dict[str, object]]:
    try:
        studio = start_studio(_say)
    except AppError as error:
        _say(f"cannot start. {error} {error.next_step}")
        # Any other exit would bury that message under the server's traceback.
        os._exit(1)
    answer_without_delay()
    _say("ready")
    yield {}
    _say("stopping")
    studio.stop()


app = st.App(
    "pages/navigation.py",
    lifespan=lifespan,
    routes=[*session_routes(), api_mount(), embeddings_mount()],
    on_script_error=show_uncaught,
)
