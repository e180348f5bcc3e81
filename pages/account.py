"""Who is signed in, and which settings are present; their values are never shown."""

from __future__ import annotations

import streamlit as st

from pages.ui import context
from pages.ui.components import plain
from services.config import Settings
from services.openai_api.connection_check import check_connection

space = context.require_workspace()
settings = context.studio().settings

st.title(":material/person: Account")
with st.container(border=True, horizontal=True, vertical_alignment="center"):
    st.markdown(f"Signed in as `{space.user.identity.email}`")
    st.button("Sign out", key="sign_out", icon=":material/logout:", on_click=context.sign_out)


def _present(settings: Settings) -> list[tuple[str, bool, str]]:
    """(what, whether its settings are present, what it means)."""
    return [
        (
            "Supabase",
            not settings.is_embedded,
            "The embedded one runs on this machine. For a hosted one, set SUPABASE_URL, "
            "SUPABASE_PUBLISHABLE_KEY and SUPABASE_SECRET_KEY.",
        ),
        (
            "DeepLake Cloud",
            settings.is_cloud,
            "The vector store is a folder on this machine. For the cloud, set "
            "DEEPLAKE_PATH=hub://... and ACTIVELOOP_TOKEN.",
        ),
        (
            "OpenAI, or a server with its API",
            bool(settings.openai_api_key or settings.openai_base_url),
            "Questions and embeddings are made offline. For a model, set OPENAI_API_KEY or "
            "OPENAI_BASE_URL.",
        ),
    ]


st.subheader("Connections")
for name, present, otherwise in _present(settings):
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{name}**")
            st.badge("Set" if present else "Built in", color="green" if present else "gray")
        if not present:
            st.caption(otherwise)


def _test_connection() -> None:
    """Send each configured model one request, on a button, because it costs tokens."""
    if not st.button("Test connection", key="test_connection", icon=":material/network_check:"):
        return
    with st.spinner("Requesting one question and one embedding (a few hundred tokens)"):
        report = check_connection(settings)
    for problem in report.problems:
        st.error(plain(problem), icon=":material/error:")
    if report.answer_form is not None:
        st.success(
            f"`{report.question_model}` writes questions, answering as {report.answer_form.value}.",
            icon=":material/check:",
        )
    if report.embedding_width is not None:
        st.success(
            f"`{report.embedding_model}` gives vectors of {report.embedding_width:,} numbers.",
            icon=":material/check:",
        )


if settings.openai_api_key or settings.openai_base_url:
    _test_connection()

st.subheader("In use")
st.table(
    {
        "Question writer": context.studio().writer.name,
        "Embedder": context.studio().embedder_name,
        "Trainer": settings.deep_memory_trainer,
        "Questions per chunk": str(settings.questions_per_chunk),
        "Supabase address (for HTTP callers)": context.studio().endpoint.url,
    }
)
st.caption("Values are set in the environment, in `.env` or in `.streamlit/secrets.toml`.")
