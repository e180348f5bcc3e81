"""A log of questions as CSV, XLSX and JSONL: what is read, and what refuses the whole file."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta

import openpyxl
import pytest

from services.deep_memory.test_sets import MOST_QUESTIONS, Expected
from services.errors import DocumentRejected
from services.questions.question_log import LARGEST_FILE, LoggedQuestion, read_log

ROWS = [
    {"Query": "Who pays dues?", "answer": "Ships pay", "count": 3, "asked_at": "2026-11-02"},
    {"Query": "who pays  DUES?", "count": 2, "asked_at": "2026-11-05 14:05"},
    {"Query": "When is soup?", "document": "soup.txt"},
]
READ = [
    LoggedQuestion(
        "Who pays dues?",
        (Expected(answer="Ships pay"),),
        5,
        datetime(2026, 11, 5, 14, 5, tzinfo=UTC),
    ),
    LoggedQuestion("When is soup?", (Expected("soup.txt"),)),
]
COLUMNS = ["Query", "answer", "document", "count", "asked_at"]


def as_csv(delimiter: str = ",") -> bytes:
    lines = [COLUMNS, *([str(row.get(name, "")) for name in COLUMNS] for row in ROWS)]
    return "\n".join(delimiter.join(line) for line in lines).encode("utf-8-sig")


def as_xlsx(rows) -> bytes:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    saved = io.BytesIO()
    book.save(saved)
    return saved.getvalue()


def test_csv_with_commas_or_semicolons_is_read():
    assert read_log("log.csv", as_csv()) == read_log("LOG.CSV", as_csv(";")) == READ


def test_a_workbook_is_read():
    rows = [COLUMNS, *([row.get(name) for name in COLUMNS] for row in ROWS), [None] * 5]
    assert read_log("log.xlsx", as_xlsx(rows)) == READ


def test_json_lines_are_read():
    lines = "\n".join(json.dumps(row) for row in ROWS) + "\n\n"
    assert read_log("log.jsonl", lines.encode()) == READ


@pytest.mark.parametrize("name", ["question", "query", "text", " Text "])
def test_a_list_of_questions_needs_no_more_than_its_column(name):
    assert read_log("log.csv", f"{name}\nWho?\n".encode()) == [LoggedQuestion("Who?")]


def test_what_is_named_exactly_goes_before_the_document():
    row = {"question": "Who?", "chunk_id": "c1", "document": "a.txt"}
    [logged] = read_log("log.jsonl", json.dumps(row).encode())
    assert logged.expected == (Expected("c1"),)


def test_a_question_holds_only_what_can_be_stored_and_searched_for():
    [logged] = read_log("log.jsonl", b'{"question": "Who\\ud800 pays\\u0000?"}')
    assert logged.question == "Who? pays?"


def test_the_time_of_a_question_is_kept_in_utc_however_far_away_it_was_asked():
    [logged] = read_log("log.csv", b"question,asked_at\nWho?,2026-11-28T14:00+20:00\n")
    assert logged.asked_at == datetime(2026, 11, 27, 18, tzinfo=UTC)
    assert logged.asked_at.utcoffset() == timedelta(0)


REFUSED = {
    "another kind": ("log.pdf", b"question\nWho?", "comes in as .csv, .xlsx or .jsonl"),
    "empty": ("log.csv", b"", "no question"),
    "empty workbook": ("log.xlsx", as_xlsx([]), "no question"),
    "no question": ("log.csv", b"question,count\n", "no question"),
    "no column": ("log.csv", b"name,count\nA,1\n", "no column question or query or text"),
    "no key": ("log.jsonl", b'{"name": "A"}', "no column question or query or text"),
    "empty question": ("log.csv", b"question,count\nA,1\n,2\n", "Row 2 has no question"),
    "endless": ("log.csv", b"question\n" + b"x" * 2001, "row 1 is longer than 2,000"),
    "count": ("log.csv", b"question,count\nA,many\n", "Row 1 has a count"),
    "count 0": ("log.csv", b"question,count\nA,0\n", "not from 1 to"),
    "date": ("log.csv", b"question,asked_at\nA,yesterday\n", "Row 1 has an asked_at"),
    "before all dates": ("log.csv", b"question,asked_at\nA,0001-01-01T00:00+14:00\n", "asked_at"),
    "not UTF-8": ("log.csv", "question\nWie heißt es?".encode("latin-1"), "not UTF-8"),
    "not JSON": ("log.jsonl", b"{question", "Line 1 of the file is not JSON"),
    "no object": ("log.jsonl", b'["question"]', "Line 1 of the file is no JSON object"),
    "no workbook": ("log.xlsx", b"question\nWho?", "damaged"),
    "too many": (
        "log.csv",
        b"question\n" + b"\n".join(b"%d?" % n for n in range(MOST_QUESTIONS + 1)),
        "more than 5,000",
    ),
    "too large": ("log.csv", b"x" * (LARGEST_FILE + 1), "larger than 20 MB"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_bad_file_is_refused_whole_with_one_message(kind):
    name, data, message = REFUSED[kind]
    with pytest.raises(DocumentRejected, match=message):
        read_log(name, data)


def test_a_workbook_with_a_cell_far_away_does_not_take_the_memory():
    book = openpyxl.Workbook()
    book.active["A1"], book.active["XFD1048576"] = "question", "Who?"
    saved = io.BytesIO()
    book.save(saved)
    with pytest.raises(DocumentRejected, match="millions of cells apart"):
        read_log("log.xlsx", saved.getvalue())
