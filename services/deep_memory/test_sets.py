"""Test questions that a person adds: reading their file, finding answers in the knowledge base."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any

import numpy as np

from services.deep_memory.evaluation import RANKING_DEPTH, Evaluation, evaluate_ids
from services.deep_memory.figures import Questions, Ranked, compared
from services.deep_memory.judged_measures import SEARCHED_FOR_JUDGED, judged_measures
from services.deep_memory.split import answering_groups
from services.errors import DocumentRejected, NotAllowed
from services.knowledge.answers import chunks_that_hold, one_spaced
from services.knowledge.sample import sample_questions
from services.models import Chunk
from services.pairs.beir import read_beir
from services.pairs.exchange import read_csv
from services.pairs.rules import is_relevant, question_key
from services.retrieval.content import Snapshot

SAMPLE_TEST_SET = "Hand-written questions of the sample"
FROM_SEARCHES = "Questions from searches"
MOST_QUESTIONS = 5000
CHUNKS_FOR_DOCUMENTS = 100  # best chunks among which the first ten documents are looked for
_SPLITS = ("test", "dev", "train")


@dataclass(frozen=True, slots=True)
class Expected:
    """What answers a question: a chunk or document, with or without words in it, or words alone."""

    source: str = ""  # a chunk's id, a document's id, or its name with or without extension
    answer: str = ""  # verbatim, except for white space


@dataclass(frozen=True, slots=True)
class OwnQuestion:
    question: str
    expected: tuple[Expected, ...]  # any of these answers it; none: the documents have no answer
    refused: frozenset[str] = frozenset()  # ids of chunks that do not, somebody judged

    @property
    def is_unanswerable(self) -> bool:
        """Whether search is to say that nothing answers it. It counts in no other measure."""
        return not self.expected


@dataclass(frozen=True, slots=True)
class FoundAnswers:
    """The questions whose answers are in the knowledge base.

    `relevant` holds rows of the snapshot; if `by_document`, indices into the list of documents.
    `refused` holds the rows that were judged not to answer; by document there are none.
    """

    texts: list[str]
    relevant: list[set[int]]
    by_document: bool
    not_found: int
    refused: list[set[int]]

    @property
    def depth(self) -> int:
        """How many chunks a search has to return for all measures."""
        if self.by_document:
            return CHUNKS_FOR_DOCUMENTS
        return SEARCHED_FOR_JUDGED if any(self.refused) else RANKING_DEPTH

    def only(self, rows: Iterable[int]) -> FoundAnswers:
        rows = list(rows)
        return replace(
            self,
            texts=[self.texts[row] for row in rows],
            relevant=[self.relevant[row] for row in rows],
            refused=[self.refused[row] for row in rows],
        )


def read_test_set(file_name: str, data: bytes) -> list[OwnQuestion]:
    """Read BEIR as zip, or CSV: `question`, and one or more of `chunk_id`, `document`, `answer`.

    Rows with the same question become one question with several answers. A question that the
    documents do not answer has "no" in the column `answerable`, and none of these.

    Raises:
        DocumentRejected: the file or one of its lines is invalid. The whole file is refused.
    """
    match file_name.lower().rpartition(".")[2]:
        case "zip":
            found: list[tuple[str, Expected | None]] = [
                (judged.question, Expected(judged.corpus_id))
                for judged in read_beir(data, _SPLITS)
                if is_relevant(judged.score)
            ]
        case "csv":
            found = [_expected(row, number) for number, row in read_csv(data, ["question"])]
        case _:
            raise DocumentRejected("Test questions come in as .csv or BEIR's .zip.")
    asked: dict[str, tuple[str, list[Expected | None]]] = {}
    for question, answer in found:
        asked.setdefault(question_key(question), (question, []))[1].append(answer)
    questions = [OwnQuestion(text, _answers(answers)) for text, answers in asked.values()]
    if all(question.is_unanswerable for question in questions):
        raise DocumentRejected("The file holds no question with an answer.")
    if len(questions) > MOST_QUESTIONS:
        raise DocumentRejected(f"The file holds more than {MOST_QUESTIONS:,} questions.")
    return questions


def _answers(answers: Sequence[Expected | None]) -> tuple[Expected, ...]:
    known = tuple(answer for answer in answers if answer is not None)
    if known and len(known) < len(answers):
        raise DocumentRejected("A question is answerable in one row and not in another.")
    return known


def _expected(row: Mapping[str, str], number: int) -> tuple[str, Expected | None]:
    """The question of a row and what answers it; None: the documents do not."""
    source = row.get("chunk_id") or row.get("document") or ""
    question, expected = row.get("question", ""), Expected(source, row.get("answer", "").strip())
    if not question.strip():
        raise DocumentRejected(f"Row {number} has no question.")
    match row.get("answerable", "").strip().lower(), expected == Expected():
        case "no", True:
            return question, None
        case "no", False:
            raise DocumentRejected(f"Row {number} has an answer, but is not answerable.")
        case "" | "yes", True:
            raise DocumentRejected(f"Row {number} has no chunk_id, document or answer.")
        case "" | "yes", False:
            return question, expected
        case _:
            raise DocumentRejected(f"Row {number} is to have yes or no as answerable.")


def sample_set() -> list[OwnQuestion]:
    """The sample's hand-written questions."""
    return [
        OwnQuestion(sample.question, (Expected(sample.document, sample.answer),))
        for sample in sample_questions()
    ]


def find_answers(questions: Sequence[OwnQuestion], snapshot: Snapshot) -> FoundAnswers:
    """Find which rows of the snapshot answer the questions; those without an answer are left out.
    `not_found` counts those of them that should have one.

    If one of them names only a document, all are measured by document: a document then ranks
    where its best chunk does.
    """
    place = _Places(snapshot)
    by_document = any(
        not expected.answer and expected.source in place.of_document
        for question in questions
        for expected in question.expected
    )
    texts, relevant, refused = [], [], []
    for question in questions:
        rows = place.rows_of(question)
        if rows:
            texts.append(question.question)
            relevant.append({place.document_of[row] for row in rows} if by_document else rows)
            refused.append(set() if by_document else place.known(question.refused) - rows)
    answerable = sum(not question.is_unanswerable for question in questions)
    return FoundAnswers(texts, relevant, by_document, answerable - len(texts), refused)


def answering_chunks(questions: Sequence[OwnQuestion], snapshot: Snapshot) -> list[frozenset[str]]:
    """For each question, the ids of all chunks that answer it; empty where none is there."""
    place = _Places(snapshot)
    return [
        frozenset(snapshot.chunks[row].id for row in place.rows_of(question))
        for question in questions
    ]


def with_judgements(
    questions: Sequence[OwnQuestion], judged: Mapping[str, Mapping[str, bool]]
) -> list[OwnQuestion]:
    """The questions with what was judged: question key -> chunk id -> whether it answers.

    A chunk that the set itself names stays an answer, whatever was judged.
    """
    return [
        replace(
            question,
            expected=question.expected
            + tuple(Expected(chunk_id) for chunk_id, answers in of.items() if answers),
            refused=frozenset(chunk_id for chunk_id, answers in of.items() if not answers),
        )
        if (of := judged.get(question_key(question.question)))
        else question
        for question in questions
    ]


class _Places:
    """Looks up chunks and documents in the snapshot by id, name or text."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._chunks = snapshot.chunks
        self._row_of = {chunk.id: row for row, chunk in enumerate(snapshot.chunks)}
        self._texts: list[str] = []
        self.document_of = (document_starts(snapshot.chunks, numbered=True)).tolist()
        self.of_document: dict[str, set[int]] = {}
        for row, chunk in enumerate(snapshot.chunks):
            for name in {chunk.document_id, chunk.document, PurePath(chunk.document).stem}:
                self.of_document.setdefault(name, set()).add(row)

    def rows_of(self, question: OwnQuestion) -> set[int]:
        """The rows that answer the question in any of its ways."""
        return set().union(*(self._rows(expected) for expected in question.expected))

    def known(self, chunk_ids: Iterable[str]) -> set[int]:
        return {self._row_of[id_] for id_ in chunk_ids if id_ in self._row_of}

    def _rows(self, expected: Expected) -> set[int]:
        if not expected.source:
            return self._rows_anywhere(one_spaced(expected.answer))
        own = self.of_document.get(expected.source)
        if own is None:
            own = {self._row_of[expected.source]} if expected.source in self._row_of else set()
        if not expected.answer:
            return own
        held = chunks_that_hold(expected.answer, (self._chunks[row] for row in own))
        return {self._row_of[chunk_id] for chunk_id in held}

    def _rows_anywhere(self, answer: str) -> set[int]:
        if not self._texts:
            self._texts = [one_spaced(chunk.text) for chunk in self._chunks]
        return {row for row, text in enumerate(self._texts) if answer in text}


def document_starts(chunks: Iterable[Chunk], *, numbered: bool = False) -> np.ndarray:
    """The first row of each document; if `numbered`, the document number of each row."""
    ids = [chunk.document_id for chunk in chunks]
    is_first = np.array([row == 0 or ids[row] != ids[row - 1] for row in range(len(ids))], bool)
    return np.cumsum(is_first) - 1 if numbered else np.flatnonzero(is_first)


def require_answers(questions: Sequence[OwnQuestion], snapshot: Snapshot) -> FoundAnswers:
    """Like `find_answers`. Raises NotAllowed if the knowledge base answers none of them."""
    found = find_answers(questions, snapshot)
    if not found.texts:
        raise NotAllowed(
            "The knowledge base has none of the chunks, documents and answers of this test set.",
            next_step="Add its documents, or bring questions about those that are there.",
        )
    return found


def evaluate_places(
    ranked: Sequence[Sequence[int]], found: FoundAnswers, snapshot: Snapshot
) -> Evaluation:
    """Evaluate rows of the snapshot, ranked for each question; by document, if `found` is."""
    if found.by_document:
        document = document_starts(snapshot.chunks, numbered=True).tolist()
        ranked = [list(dict.fromkeys(document[row] for row in rows)) for rows in ranked]
    evaluation = evaluate_ids(ranked, found.relevant)
    if not any(found.refused):
        return evaluation
    return replace(evaluation, of_judged=judged_measures(ranked, found.relevant, found.refused))


def figures_of(
    name: str,
    found: FoundAnswers,
    vectors: np.ndarray,
    snapshot: Snapshot,
    ranked: Ranked,
) -> dict[str, Any]:
    """What is kept of a measurement on test questions; their `vectors` are (n, width)."""
    if found.by_document:
        sources = [snapshot.chunks[row].document for row in document_starts(snapshot.chunks)]
        documents: Sequence[Any] = range(len(sources))
    else:
        sources = [chunk.id for chunk in snapshot.chunks]
        documents = [chunk.document_id for chunk in snapshot.chunks]
    groups = answering_groups(found.relevant, documents)
    return {
        "name": name,
        "questions": len(found.texts),
        "not_found": found.not_found,
        "by_document": found.by_document,
        "knowledge_base": snapshot.version,
        **compared(Questions(found.texts, vectors, found.relevant, sources), ranked, groups),
    }
