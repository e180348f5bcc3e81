"""Vectors for a vector database that others run: of questions as search maps them, and of chunks
as it holds them against those questions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from services.deep_memory.models import Models
from services.errors import NotAllowed, NotFound
from services.models import Chunk, TrainingRun
from services.person import Person
from services.ranking.context import in_context


class Vectors:
    """The vectors of one person's questions and chunks. All are float32 and of length 1, or zeros
    for a text of which the embedder knows no word."""

    def __init__(self, person: Person, models: Models) -> None:
        self._embedder = person.studio.places.embedder
        self._store = person.store
        self._models = models

    @property
    def width(self) -> int:
        return self._embedder.width

    def of_questions(self, texts: Sequence[str]) -> tuple[np.ndarray, TrainingRun | None]:
        """The vectors of questions (n, width), mapped by the model that search uses; and its run.

        While search uses none, they are the embedder's, and the run is None.

        Raises:
            NotAllowed: search is to use a model that cannot be used, or that the app does not have.
        """
        chosen = self._models.chosen()
        problem = self._models.problem(chosen) if chosen.is_wanted else ""
        if problem:
            raise NotAllowed(problem, next_step="Use another model, or switch Deep Memory off.")
        query_map = self._models.query_map(chosen.in_use) if chosen.in_use else None
        vectors = self._embedder.embed([text.strip() for text in texts])
        return (vectors if query_map is None else query_map.apply(vectors)), chosen.in_use

    def of_chunks(self, names: Sequence[str]) -> np.ndarray:
        """The vectors (n, width) of chunks of the knowledge base in their context, as an exported
        model has them. A name is a chunk's id, or its text; of several chunks with one text, the
        first is meant.

        Raises:
            NotFound: one of them names no chunk; the message says which.
        """
        snapshot = self._store.snapshot()
        row_of = _rows_of(set(names), snapshot.chunks)
        for number, name in enumerate(names, start=1):
            if name not in row_of:
                raise NotFound(
                    f"Text {number} is not the text or the id of a chunk of the knowledge base.",
                    next_step="Send the chunks as the app lists them, unchanged.",
                )
        rows = [row_of[name] for name in names]
        wanted = {snapshot.chunks[row].document_id for row in rows}
        around = [row for row, chunk in enumerate(snapshot.chunks) if chunk.document_id in wanted]
        documents = [snapshot.chunks[row].document_id for row in around]
        vectors = in_context(snapshot.embeddings[around], documents)
        return vectors[np.searchsorted(around, rows)]

    def of_document(self, texts: Sequence[str]) -> np.ndarray:
        """The vectors (n, width) of the chunks of one document, in order and in their context, as
        if the knowledge base held it. Raises AppError if the embedder does not answer."""
        return in_context(self._embedder.embed(texts), [0] * len(texts))


def _rows_of(names: set[str], chunks: Sequence[Chunk]) -> dict[str, int]:
    """The row of each name that is a chunk's id or, else, the text of a chunk."""
    by_id: dict[str, int] = {}
    by_text: dict[str, int] = {}
    for row, chunk in enumerate(chunks):
        if chunk.id in names:
            by_id[chunk.id] = row
        if chunk.text in names:
            by_text.setdefault(chunk.text, row)
    return by_text | by_id
