"""Ranked lists of chunks, without and with a trained model."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import PurePath

import streamlit as st

from pages.ui.components import plain
from services.models import Chunk, SearchHit

INDEXING = (
    "The words of this knowledge base are being indexed, as they are after each change: this takes "
    "seconds for 10,000 chunks, minutes for 1,000,000. Meanwhile search is by plain cosine; search "
    "again soon."
)
_PREVIEW = 240  # characters
_PAGE_WORDS = {".xlsx": "sheet", ".pptx": "slide"}


def hit_list(
    hits: Sequence[SearchHit],
    moved: Mapping[str, int | None] | None = None,
    relevant: Collection[str] = (),
    below: Callable[[SearchHit], None] | None = None,
) -> None:
    """One card per hit, best first, with a link to the chunk in its document.

    `moved` says by chunk id how many ranks each went up, None for a new one. `relevant` holds the
    ids of the chunks, or the names of the documents, that answer the question: they are marked.
    `below` draws what stands at the end of a card.
    """
    for hit in hits:
        badges = [_moved_text(moved[hit.chunk_id])] if moved else []
        if answers(hit, relevant):
            badges.append(":blue-badge[:material/task_alt: answers it]")
        with st.container(border=True):
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                st.markdown(f"**{hit.rank}.**", width="content")
                st.page_link(
                    "document.py", label=plain(hit.document), query_params={"chunk": hit.chunk_id}
                )
                st.markdown(f"{hit.score:.3f} {' '.join(badges)}", width="content")
            if place := place_text(hit.document, hit.heading_path, hit.page):
                st.caption(f":material/location_on: {place}")
            st.caption(plain(hit.text[:_PREVIEW]) + ("…" if len(hit.text) > _PREVIEW else ""))
            if len(hit.text) > _PREVIEW:
                with st.expander("Whole chunk"):
                    st.text(hit.text)
            if below is not None:
                below(hit)


def page_word(document: str) -> str:
    """What the pages of a document of this name are."""
    return _PAGE_WORDS.get(PurePath(document).suffix.lower(), "page")


def place_text(document: str, heading_path: Sequence[str], page: int | None) -> str:
    """Where in its document a chunk is: "Page 12 · Limits / By plan"."""
    path = " / ".join(plain(title) for title in heading_path)
    numbered = f"{page_word(document).capitalize()} {page}" if page else ""
    return " · ".join(part for part in (numbered, path) if part)


def source_text(chunk: Chunk) -> str:
    """A chunk's document, and where it is in it."""
    place = place_text(chunk.document, chunk.heading_path, chunk.page)
    return f"{plain(chunk.document)} · {place}" if place else plain(chunk.document)


def answers(hit: SearchHit, relevant: Collection[str]) -> bool:
    return hit.chunk_id in relevant or hit.document in relevant


def _moved_text(moved: int | None) -> str:
    if moved is None:
        return ":green-badge[:material/fiber_new: new]"
    if moved > 0:
        return f":green-badge[:material/arrow_upward: {moved} up]"
    if moved < 0:
        return f":orange-badge[:material/arrow_downward: {-moved} down]"
    return ":gray-badge[same rank]"
