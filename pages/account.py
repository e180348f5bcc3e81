"""Who is signed in, and which settings are present. Never their values."""

from __future__ import annotations

import streamlit as st

from pages.ui import context
from services.config import Settings

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
            "The embedded one runs on this machine. Set SUPABASE_URL, SUPABASE_PUBLISHABLE_KEY "
            "and SUPABASE_SECRET_KEY for a hosted one.",
        ),
        (
            "DeepLake Cloud",
            settings.is_cloud,
            "The vector store is a folder of this machine. Set DEEPLAKE_PATH=hub://... and "
            "ACTIVELOOP_TOKEN for the cloud.",
        ),
        (
            "OpenAI, or a server that speaks like it",
            bool(settings.openai_api_key or settings.openai_base_url),
            "Questions and embeddings are made offline. Set OPENAI_API_KEY or OPENAI_BASE_URL.",
        ),
    ]


st.subheader("Connections")
for name, present, otherwise in _present(settings):
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{name}**")
            label, color = ("Set", "green") if present else ("Built in", "gray")
            st.badge(label, color=color)
        if not present:
            st.caption(otherwise)

st.subheader("In use")
st.table(
    {
        "Question writer": context.studio().writer.name,
        "Embedder": context.studio().embedder.name,
        "Trainer": settings.deep_memory_trainer,
        "Questions for each chunk": str(settings.questions_per_chunk),
    }
)
st.caption("Values are set in the environment, in `.env` or in `.streamlit/secrets.toml`.")
