"""Own test questions are read, found in the knowledge base and measured as the sample's are."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from services.deep_memory.local_training import measure_test_set
from services.deep_memory.test_sets import (
    MOST_QUESTIONS,
    Expected,
    OwnQuestion,
    find_answers,
    read_test_set,
    sample_set,
)
from services.deep_memory.trained_model import DeepMemoryModel
from services.deep_memory.verdicts import Verdict
from services.errors import DocumentRejected, NotAllowed
from services.knowledge.sample import relevant_chunks, sample_questions
from services.models import Chunk
from services.ranking.index import RankingIndex
from services.ranking.ranker import FIXED_WEIGHTS
from services.retrieval.content import Snapshot
from services.retrieval.embeddings import WordLlamaEmbedder
from services.retrieval.nearest import VectorIndex
from tests.trained_models import ranking_by

TEXTS = [
    "Rent is due on the\nfirst day of the month.",
    "Late rent costs a fee of ten per cent.",
    "The probe measures the water level every hour.",
    "Batteries of a probe last for two years.",
]


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    """Two documents of two chunks each."""
    names = ["rent.md", "rent.md", "probe.md", "probe.md"]
    chunks = tuple(
        Chunk(f"c{row}", f"id-{name}", name, row % 2, text)
        for row, (name, text) in enumerate(zip(names, TEXTS, strict=True))
    )
    return Snapshot(chunks, WordLlamaEmbedder().embed(TEXTS), "v1")


def own(*expected: Expected, question: str = "Who?") -> OwnQuestion:
    return OwnQuestion(question, expected)


@pytest.mark.parametrize(
    ("expected", "rows"),
    [
        (Expected("c1"), {1}),
        (Expected(answer="due on the first  day"), {0}),
        (Expected("rent.md", "a fee of ten per cent"), {1}),
        (Expected("probe", "last for two years"), {3}),
        (Expected("probe.md", "due on the first day"), set()),
        (Expected(answer="nowhere at all"), set()),
        (Expected("c9"), set()),
    ],
)
def test_an_answer_is_a_chunk_or_words_of_a_document_or_words_alone(snapshot, expected, rows):
    found = find_answers([own(expected)], snapshot)
    assert found.relevant == ([rows] if rows else [])
    assert (found.by_document, found.not_found) == (False, int(not rows))


@pytest.mark.parametrize("name", ["probe.md", "probe", "id-probe.md"])
def test_a_set_that_names_documents_is_measured_by_documents(snapshot, name):
    found = find_answers([own(Expected(name)), own(Expected("c0"), Expected("c2"))], snapshot)
    assert found.by_document
    assert found.relevant == [{1}, {0, 1}]


def test_the_samples_questions_are_found_as_training_finds_them():
    documents = {question.document for question in sample_questions()}
    chunks = tuple(
        Chunk(f"{name}-{row}", name, name, row, question.answer)
        for name in sorted(documents)
        for row, question in enumerate(q for q in sample_questions() if q.document == name)
    )
    found = find_answers(sample_set(), Snapshot(chunks, np.zeros((len(chunks), 1)), "v"))
    expected = [relevant_chunks(question, chunks) for question in sample_questions()]
    assert [{chunks[row].id for row in rows} for rows in found.relevant] == expected


def test_one_question_in_several_rows_has_several_answers():
    data = b"question,document,answer\nWho?,a.md,\nWho?,,Ann did\nWhy?,b.md,since then\n"
    assert read_test_set("mine.csv", data) == [
        OwnQuestion("Who?", (Expected("a.md"), Expected(answer="Ann did"))),
        OwnQuestion("Why?", (Expected("b.md", "since then"),)),
    ]


def test_a_question_that_the_documents_do_not_answer_comes_without_an_answer():
    data = b"question,document,answerable\nWho?,a.md,yes\nWhy?,, No \nWhy?,,no\nHow?,b.md,\n"
    who, why, how = read_test_set("mine.csv", data)
    assert (who.is_unanswerable, why.is_unanswerable, how.is_unanswerable) == (False, True, False)
    assert why == OwnQuestion("Why?", ())


def test_it_is_neither_found_nor_missed_in_the_knowledge_base(snapshot):
    found = find_answers([own(Expected("c0")), own(question="Why?"), own(Expected("c9"))], snapshot)
    assert (found.texts, found.not_found) == (["Who?"], 1)


def test_beir_gives_its_test_split_before_its_training_split():
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("x/queries.jsonl", '{"_id": "q1", "text": "Who?"}\n')
        file.writestr("x/qrels/train.tsv", "query-id\tcorpus-id\tscore\nq1\told\t1\n")
        file.writestr("x/qrels/test.tsv", "query-id\tcorpus-id\tscore\nq1\tc1\t2\nq1\tc2\t0\n")
    expected = [OwnQuestion("Who?", (Expected("c1"),))]
    assert read_test_set("x.zip", packed.getvalue()) == expected


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("a.txt", b"", r"\.csv"),
        ("a.csv", b"text,answer\n", "no column question"),
        ("a.csv", b"question,answer\n", "no question with an answer"),
        ("a.csv", b"question,answer\nWho?,\n", "Row 1 has no chunk_id"),
        ("a.csv", b"question,answer\n ,Ann\n", "Row 1 has no question"),
        ("a.csv", b"question,answerable\nWho?,no\n", "no question with an answer"),
        ("a.csv", b"question,answer,answerable\nWho?,,yes\n", "Row 1 has no chunk_id"),
        ("a.csv", b"question,answer,answerable\nWho?,Ann,no\n", "Row 1 has an answer, but"),
        ("a.csv", b"question,answer,answerable\nWho?,Ann,perhaps\n", "Row 1 is to have yes or no"),
        ("a.csv", b"question,answer,answerable\nWho?,Ann,\nwho?,,no\n", "in one row and not in"),
        (
            "a.csv",
            b"question,answer\n" + b"".join(b"q%d,a\n" % n for n in range(MOST_QUESTIONS + 1)),
            "more than 5,000",
        ),
    ],
)
def test_a_wrong_file_is_refused_in_words(name, data, says):
    with pytest.raises(DocumentRejected, match=says):
        read_test_set(name, data)


def measure(questions, snapshot, model: DeepMemoryModel) -> dict:
    embedder = WordLlamaEmbedder()
    documents = [chunk.document_id for chunk in snapshot.chunks]
    index = RankingIndex(VectorIndex(snapshot.embeddings), TEXTS, documents, embedder.embed)
    return measure_test_set("mine", questions, snapshot, index, embedder, model)


@pytest.mark.parametrize("source", ["c2", "probe.md"])
def test_figures_are_those_of_before_and_after_with_verdict_and_moves(snapshot, source):
    questions = [own(Expected(source), question="How is the water level measured by a probe?")]
    questions.append(own(Expected("gone")))
    figures = measure(questions, snapshot, ranking_by(turn=-1))  # turns search round
    assert (figures["name"], figures["questions"], figures["not_found"]) == ("mine", 1, 1)
    assert figures["by_document"] == (source == "probe.md")
    assert figures["before"]["recall@1"] == 1
    assert figures["after"]["recall@1"] == 0
    assert figures["loss_count"] == 1
    [loss] = figures["losses"]
    assert (loss["before"], loss["relevant"]) == (1, [source])
    assert figures["ranks"] == [[1, loss["after"], 1]]


def test_questions_without_an_answer_are_measured_apart_and_count_nowhere_else(snapshot):
    asked = [own(Expected("c2"), question="How is the water level measured by a probe?")]
    unanswerable = own(question="Who painted the Mona Lisa?")
    model = replace(ranking_by(), lowest_score=0.3)
    alone, both = (
        measure(questions, snapshot, model) for questions in (asked, [*asked, unanswerable])
    )
    said = both.pop("unanswerable")
    assert both == alone
    assert (said["questions"], said["said_so"]) == (1, 1.0)
    assert (said["answerable_questions"], said["refused_answerable"]) == (1, 0.0)


def test_a_model_that_changes_nothing_is_no_change(snapshot):
    questions = [own(Expected("probe.md"), question="How long do batteries last?")]
    as_it_is = replace(ranking_by(), weights=FIXED_WEIGHTS)
    assert measure(questions, snapshot, as_it_is)["verdict"] == Verdict.NO_CHANGE


def test_a_set_about_other_documents_is_refused_in_words(snapshot):
    with pytest.raises(NotAllowed, match="has none"):
        measure([own(Expected("gone"))], snapshot, ranking_by())
