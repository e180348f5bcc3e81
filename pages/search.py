"""One query, two ranked lists side by side: without training, and with the trained model."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from pages.ui import context
from pages.ui.components import attempt, empty_state, flash, plain, show_error
from pages.ui.hits import INDEXING, hit_list
from pages.ui.marks import mark_buttons, question_bar, was_marked
from services.errors import NotAllowed
from services.models import SearchHit
from services.pairs.rules import LONGEST_QUESTION
from services.questions.kept_searches import Source
from services.ranking.untrained import Untrained
from services.retrieval.search import KEPT_ORDER

_WAYS = {
    Untrained.RANKER: "Best without training",
    Untrained.COSINE: "Plain cosine",
    Untrained.WORDS: "Exact words",
}
_WHAT = {
    Untrained.RANKER: "Embeddings, exact words, and what stands around a chunk.",
    Untrained.COSINE: "How similar the embeddings of question and chunk are.",
    Untrained.WORDS: "The words of the question, rare ones first (BM25).",
}
_CLOUD = "The model that DeepLake Cloud trained."
_TRAINED = (
    "The same signals, with the map and the weights that training found best. Questions about "
    "documents without training pairs are left to search without training."
)
_HELP = """The list on the left needs no training. What search uses while Deep Memory is off is the
**best without training**: it scores each chunk by its embedding, by exact words, and by the chunks
around it and its document, with fixed weights. **Plain cosine** and **exact words** (BM25) are
parts of it, to compare with."""
_ASKED, _FOUND = "_asked", "_found"

space = context.require_workspace()

st.title(":material/search: Search")

if space.documents.chunk_count() == 0:
    empty_state(
        ":material/library_books:", "Nothing to search yet", "Add documents to the knowledge base."
    )
    st.page_link("knowledge_base.py", label="Go to the knowledge base")
    st.stop()

if "query" in st.query_params:  # a link to this page asks a question
    st.session_state["query"] = st.query_params["query"]
    del st.query_params["query"]


def _asked() -> None:
    st.session_state[_ASKED] = True


with st.form("search", border=False):
    query_column, k_column, button_column = st.columns([6, 1, 1], vertical_alignment="bottom")
    query = query_column.text_input("Question", key="query", placeholder="In your own words")
    k = k_column.number_input("Hits", min_value=1, max_value=50, value=10, key="k")
    button_column.form_submit_button(
        "Search", type="primary", icon=":material/search:", on_click=_asked
    )

if not query.strip():
    st.caption("Type a question to see what search finds without and with Deep Memory.")
    st.stop()

state = space.models.state()
settings, active, problem = state.settings, state.active, space.models.problem(state)


def _use(*, deep_memory: bool, said: str) -> None:
    if attempt(lambda: space.models.set_enabled(deep_memory)) is not None:
        flash(said)


def _in_use(is_used: bool, *, deep_memory: bool, name: str) -> None:
    """Say that search uses this ranking, or offer a button to use it."""
    if is_used:
        st.caption(":material/check: What search uses now")
        return
    st.button(
        f"Use {name} in search",
        key=f"use_{'deep_memory' if deep_memory else 'untrained'}",
        type="tertiary",
        icon=":material/swap_horiz:",
        on_click=_use,
        kwargs={"deep_memory": deep_memory, "said": f"Search uses {name} now."},
    )


ranks_words = space.models.rank_words
untrained = Untrained.RANKER if ranks_words else Untrained.COSINE
if ranks_words:
    untrained = st.segmented_control(
        "Compare Deep Memory with",
        list(_WAYS),
        default=untrained,
        format_func=_WAYS.__getitem__,
        required=True,
        key="untrained",
        persist_state="session",
        help=_HELP,
    )
is_best = untrained is Untrained.RANKER or not ranks_words
# Neither list is the one that search uses, if no model ranks and the left one is only to compare.
uses_trained = settings.enabled if is_best or (settings.enabled and not problem) else None
search_of = (query, k, active.id if active else None, untrained, uses_trained)
found_for, comparison = st.session_state.get(_FOUND, (None, None))
if not was_marked() or found_for != search_of:
    try:
        comparison = space.search.compare(
            query, int(k), active, untrained=untrained, uses_trained=uses_trained
        )
    except NotAllowed as error:
        show_error(error)
        st.stop()
    st.session_state[_FOUND] = (search_of, comparison)
problem = comparison.problem or problem

# What search itself would have shown.
is_by_model = bool(uses_trained) and comparison.run_id is not None
used = comparison.with_ if is_by_model else comparison.without
first_hit = used[0].chunk_id if used and uses_trained is not None else None
if st.session_state.pop(_ASKED, False) and uses_trained is not None:
    shown = [hit.chunk_id for hit in used]
    run_id = comparison.run_id if is_by_model else None
    space.kept_searches.keep(query, Source.PAGE, shown, run_id)
marks = space.feedback.of(query) if len(query) <= LONGEST_QUESTION else None
if marks is not None:
    question_bar(space, query, marks)


def _marking(side: str) -> Callable[[SearchHit], None] | None:
    if marks is None:
        return None
    return mark_buttons(space, query, marks, side=side, first_hit=first_hit)


def _reranking(*, is_of_trained: bool) -> None:
    """Say how long the reranker took over this list, or why it did not order it."""
    done = comparison.reranking
    if done is None or done.is_of_trained is not is_of_trained:
        return
    if done.problem:
        st.warning(f"{plain(done.problem)} {KEPT_ORDER}", icon=":material/warning:")
        return
    st.caption(
        f":material/swap_vert: Reranked by {plain(done.model)} in {done.seconds:.1f} s"
        + (". The moves are those of training and reranking together." if is_of_trained else "")
    )


without, with_ = st.columns(2)
with without:
    st.subheader(_WAYS[untrained], anchor=False)
    st.caption(_WHAT[untrained])
    if is_best:
        off = not settings.enabled or bool(problem)
        _in_use(off, deep_memory=False, name="this")
    else:
        st.caption("Shown to compare: search does not use this alone.")
    if comparison.is_indexing:
        st.info(INDEXING, icon=":material/hourglass_top:")
    _reranking(is_of_trained=False)
    hit_list(comparison.without, below=_marking("without"))
with with_:
    st.subheader("Deep Memory", anchor=False)
    if problem:
        st.warning(
            f"{problem} Search works without it. Use another model, or train again.",
            icon=":material/warning:",
        )
        st.page_link("deep_memory.py", label="Go to Deep Memory")
    elif not active:
        st.info("No trained model is in use: train one, or choose one.", icon=":material/info:")
        st.page_link("deep_memory.py", label="Go to Deep Memory")
    else:
        st.caption(_TRAINED if ranks_words else _CLOUD)
        _in_use(settings.enabled, deep_memory=True, name="Deep Memory")
        _reranking(is_of_trained=True)
        if comparison.is_answerable is False:
            st.info("Probably nothing here answers this.", icon=":material/search_off:")
        hit_list(comparison.with_, comparison.moved, below=_marking("with"))
