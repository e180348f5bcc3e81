"""Pairs come in exactly as they went out, and a wrong file is refused whole, in words."""

from __future__ import annotations

import contextlib
import io
import json
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.errors import DocumentRejected
from services.models import Chunk, TrainingPair
from services.pairs.exchange import NewPair, read_pairs, to_beir, to_csv, to_jsonl

WRITERS = {"pairs.jsonl": to_jsonl, "pairs.csv": to_csv, "pairs.zip": to_beir}
ODD = [
    "Wie hoch ist die Miete für «Größe 42»? 👩‍🔬",
    'She said "no",\tthen; left?',
    "First line\nsecond line\r\nthird\rfourth\u2028fifth\x85?",
    "  spaces around  ",
    "=1+1",
    "\\n is not a line",
]
# What Postgres can store as text.
questions = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)


def pair(number: int, question: str, relevance: float = 1.0) -> TrainingPair:
    return TrainingPair(
        f"p{number}", "run", question, f"chunk,{number % 2}", "prev\niew", relevance
    )


CHUNKS = {"chunk,0": Chunk("chunk,0", "d", 'a "doc".txt', 0, "Text\nof it")}


@pytest.mark.parametrize("name", WRITERS)
def test_what_went_out_comes_in_exactly(name):
    pairs = [pair(n, text, 1 / (n + 1)) for n, text in enumerate([*ODD, "One third?", "Whole?"])]
    expected = [NewPair(p.question_text, p.chunk_id, p.relevance_score) for p in pairs]
    assert read_pairs(name, WRITERS[name](pairs, CHUNKS)) == expected


@pytest.mark.parametrize("name", WRITERS)
@given(
    st.lists(
        st.tuples(questions.filter(str.strip), st.floats(1e-9, 1)), min_size=1, max_size=5
    )
)  # fmt: skip
def test_any_question_and_any_relevance_survive(name, rows):
    pairs = [pair(n, text, relevance) for n, (text, relevance) in enumerate(rows)]
    expected = [NewPair(p.question_text, p.chunk_id, p.relevance_score) for p in pairs]
    assert read_pairs(name, WRITERS[name](pairs, CHUNKS)) == expected


def test_beir_holds_whole_chunks_and_whole_grades_for_the_tools_that_read_it():
    packed = to_beir([pair(0, "Who?"), pair(1, "What?", 0.5)], CHUNKS)
    with zipfile.ZipFile(io.BytesIO(packed)) as file:
        corpus = [json.loads(line) for line in file.read("corpus.jsonl").splitlines()]
        qrels = file.read("qrels/train.tsv").decode().splitlines()
    assert corpus == [
        {"_id": "chunk,0", "title": 'a "doc".txt', "text": "Text\nof it"},
        {"_id": "chunk,1", "title": "", "text": "prev\niew"},
    ]
    assert qrels == ["query-id\tcorpus-id\tscore", "p0\tchunk,0\t1", "p1\tchunk,1\t0.5"]


def beir(queries: str = '{"_id": "q", "text": "Who?"}', qrels: str = "q\tc\t1", folder="") -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr(f"{folder}queries.jsonl", queries)
        file.writestr(f"{folder}qrels/train.tsv", f"query-id\tcorpus-id\tscore\n{qrels}")
    return packed.getvalue()


def test_beir_has_a_question_once_and_all_its_chunks():
    pairs = [pair(0, "Who?"), pair(1, "Who?"), pair(2, "When?")]
    packed = to_beir(pairs, {})
    with zipfile.ZipFile(io.BytesIO(packed)) as file:
        assert len(file.read("queries.jsonl").splitlines()) == 2
    new = read_pairs("a.zip", packed)
    assert new == [NewPair(p.question_text, p.chunk_id) for p in pairs]


def test_a_zip_with_any_byte_wrong_is_read_or_refused():
    packed = bytearray(beir())
    for place in range(len(packed)):
        packed[place] ^= 0x55
        with contextlib.suppress(DocumentRejected):
            read_pairs("a.zip", bytes(packed))
        packed[place] ^= 0x55
    assert read_pairs("a.zip", bytes(packed))


def test_public_beir_sets_are_read_in_their_folder_with_grades_and_numbers_as_ids():
    data = beir('{"_id": 7, "text": "Who?", "metadata": {}}', "7\tc1\t2\n7\tc2\t0", "scifact/")
    assert read_pairs("scifact.zip", data) == [NewPair("Who?", "c1", 1.0)]


def test_a_file_without_relevance_counts_every_pair_as_relevant():
    assert read_pairs("a.CSV", b"chunk_id,question_text\nc1,Who?\n") == [NewPair("Who?", "c1")]


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("a.txt", b"Who?", ".jsonl, .csv"),
        ("a.jsonl", b"", "no pair"),
        ("a.jsonl", b'{"question_text": "Who?", "chunk_id": "c"}\n{"questi', "Line 2 .* not JSON"),
        ("a.jsonl", b'["Who?"]', "Line 1"),
        ("a.jsonl", b'{"question_text": "Who?"}', "Line 1 .* lacks"),
        ("a.jsonl", b'{"question_text": " ", "chunk_id": "c"}', "no question"),
        ("a.csv", b"question,chunk_id\nWho?,c\n", "no column question_text"),
        ("a.csv", b"question_text,chunk_id\nWho?\n", "Pair 1 has no question or no chunk"),
        ("a.csv", b'question_text,chunk_id\n"Who?,c\n', "not CSV"),
        ("a.csv", "question_text,chunk_id\nWer für?,c".encode("latin-1"), "UTF-8"),
        ("a.csv", b"question_text,chunk_id,relevance_score\nWho?,c,much\n", "no number"),
        ("a.csv", b"question_text,chunk_id,relevance_score\nWho?,c,nan\n", "from 0 to 1"),
        (
            "a.jsonl",
            b'{"question_text": "Who?", "chunk_id": "c", "relevance_score": 1' + b"0" * 400 + b"}",
            "no number",
        ),
        ("a.jsonl", b"[" * 100_000, "Line 1 .* not JSON"),
        ("a.zip", b"PK no zip", "damaged"),
        ("a.zip", beir(qrels="q\tc"), "Line 2 of the qrels"),
        ("a.zip", beir(qrels="q9\tc\t1"), "does not have"),
        ("a.zip", beir(queries="{"), "Line 1 of queries.jsonl"),
    ],
)
def test_a_wrong_file_is_refused_with_its_place(name, data, says):
    with pytest.raises(DocumentRejected, match=says):
        read_pairs(name, data)


def test_a_zip_without_judgements_is_told_what_it_lacks():
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("queries.jsonl", "")
    with pytest.raises(DocumentRejected, match=r"no qrels/train\.tsv"):
        read_pairs("a.zip", packed.getvalue())
