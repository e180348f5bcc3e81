"""The chunks that answer the questions of a log, where the log names an answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.deep_memory.test_sets import OwnQuestion, document_starts, find_answers
from services.questions.question_log import LoggedQuestion
from services.retrieval.content import Snapshot


@dataclass(frozen=True, slots=True)
class KnownAnswers:
    """Question -> ids of its chunks. `exact`: the log names the chunk or quotes it; `documents`: it
    names a document, in which any chunk may be the one."""

    exact: Mapping[str, set[str]]
    documents: Mapping[str, set[str]]

    def of(self, question: str) -> set[str]:
        """Empty if the log names no answer, or one that is not in the knowledge base."""
        return self.exact.get(question) or self.documents.get(question) or set()


def known_answers(logged: Sequence[LoggedQuestion], snapshot: Snapshot) -> KnownAnswers:
    """Look up what the log names. A document counts where nothing more exact is named."""
    chunk_ids = {chunk.id for chunk in snapshot.chunks}
    exact, by_document = [], []
    for asked in logged:
        named = tuple(e for e in asked.expected if e.answer or e.source in chunk_ids)
        if named:
            exact.append(OwnQuestion(asked.question, named))
        elif asked.expected:
            by_document.append(OwnQuestion(asked.question, asked.expected))
    return KnownAnswers(_found(exact, snapshot), _found(by_document, snapshot))


def _found(questions: Sequence[OwnQuestion], snapshot: Snapshot) -> dict[str, set[str]]:
    found = find_answers(questions, snapshot)
    of_place: dict[int, set[str]] = {}
    places = document_starts(snapshot.chunks, numbered=True).tolist()
    for row, chunk in enumerate(snapshot.chunks):
        of_place.setdefault(places[row] if found.by_document else row, set()).add(chunk.id)
    return {
        text: set().union(*(of_place[place] for place in relevant))
        for text, relevant in zip(found.texts, found.relevant, strict=True)
    }
