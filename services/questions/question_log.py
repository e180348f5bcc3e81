"""Reads a log of questions that were asked elsewhere, with answers or without: CSV, XLSX, JSONL."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from services.accounts.database import storable
from services.deep_memory.test_sets import MOST_QUESTIONS, Expected
from services.errors import DocumentRejected
from services.pairs.beir import decoded, read_json_lines
from services.pairs.rules import LONGEST_QUESTION, question_key
from services.reading.blocks import Source
from services.reading.delimited import dialect_of, rows_of
from services.reading.spreadsheet import first_sheet

LARGEST_FILE = 20_000_000  # bytes
_QUESTION_COLUMNS = ("question", "query", "text")
_MOST_TIMES = 1_000_000


@dataclass(frozen=True, slots=True)
class LoggedQuestion:
    """A question of a log. Without `expected`, nobody has said what answers it."""

    question: str
    expected: tuple[Expected, ...] = ()
    times: int = 1  # how often it was asked
    asked_at: datetime | None = None  # the last time; None: the log does not say


def read_log(file_name: str, data: bytes) -> list[LoggedQuestion]:
    """The questions of a log, each once: rows of the same question are added up.

    The question stands in the column `question`, `query` or `text`; `chunk_id`, `document`,
    `answer`, `count` and `asked_at` are read if they are there. Case in names makes no difference.

    Raises:
        DocumentRejected: the file or one of its rows is invalid. The whole file is refused.
    """
    if len(data) > LARGEST_FILE:
        raise DocumentRejected(f"The file is larger than {LARGEST_FILE // 1_000_000} MB.")
    asked: dict[str, LoggedQuestion] = {}
    for number, row in _rows(file_name, data):
        logged = _logged(row, number)
        key = question_key(logged.question)
        asked[key] = _added(asked[key], logged) if key in asked else logged
        if len(asked) > MOST_QUESTIONS:
            raise DocumentRejected(f"The file holds more than {MOST_QUESTIONS:,} questions.")
    if not asked:
        raise DocumentRejected("The file holds no question.")
    return list(asked.values())


def _rows(file_name: str, data: bytes) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows with a value, each with its number, from 1, and its values by column."""
    match file_name.lower().rpartition(".")[2]:
        case "jsonl":
            for number, row in enumerate(read_json_lines(decoded(data), "the file", ()), start=1):
                values = {name.strip().lower(): _text(value) for name, value in row.items()}
                _require_question_column(values)
                yield number, values
        case "csv":
            yield from _table(_csv(decoded(data)))
        case "xlsx":
            yield from _table(first_sheet(Source(file_name, data)))
        case _:
            raise DocumentRejected("A log of questions comes in as .csv, .xlsx or .jsonl.")


def _csv(text: str) -> list[list[str]]:
    delimiter, _ = dialect_of(text)
    try:
        return list(rows_of(text.splitlines(keepends=True), delimiter))
    except csv.Error as error:
        raise DocumentRejected("The file is not CSV.") from error


def _table(rows: Sequence[Sequence[str]]) -> Iterator[tuple[int, dict[str, str]]]:
    if not rows:
        return
    heading = [name.strip().lower() for name in rows[0]]
    _require_question_column(heading)
    for number, row in enumerate(rows[1:], start=1):
        if any(cell.strip() for cell in row):
            yield number, dict(zip(heading, row, strict=False))


def _require_question_column(names: Any) -> None:
    if not any(name in names for name in _QUESTION_COLUMNS):
        raise DocumentRejected(f"The file has no column {' or '.join(_QUESTION_COLUMNS)}.")


def _logged(row: Mapping[str, str], number: int) -> LoggedQuestion:
    question = next((row[name] for name in _QUESTION_COLUMNS if name in row), "")
    question = storable(question).strip()
    if not question:
        raise DocumentRejected(f"Row {number} has no question.")
    if len(question) > LONGEST_QUESTION:
        raise DocumentRejected(
            f"The question of row {number} is longer than {LONGEST_QUESTION:,} characters."
        )
    source = (row.get("chunk_id") or row.get("document") or "").strip()
    expected = Expected(source, row.get("answer", "").strip())
    return LoggedQuestion(
        question,
        () if expected == Expected() else (expected,),
        _times(row.get("count", ""), number),
        _moment(row.get("asked_at", ""), number),
    )


def _added(one: LoggedQuestion, other: LoggedQuestion) -> LoggedQuestion:
    moments = [moment for moment in (one.asked_at, other.asked_at) if moment]
    return LoggedQuestion(
        one.question,
        tuple(dict.fromkeys((*one.expected, *other.expected))),
        min(one.times + other.times, _MOST_TIMES),
        max(moments, default=None),
    )


def _times(text: str, number: int) -> int:
    try:
        times = int(text.strip() or "1")
    except ValueError as error:
        raise DocumentRejected(f"Row {number} has a count that is no whole number.") from error
    if not 1 <= times <= _MOST_TIMES:
        raise DocumentRejected(f"Row {number} has a count that is not from 1 to {_MOST_TIMES:,}.")
    return times


def _moment(text: str, number: int) -> datetime | None:
    if not text.strip():
        return None
    try:
        moment = datetime.fromisoformat(text.strip())
        # Postgres knows no offset beyond 16 hours.
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise DocumentRejected(
            f"Row {number} has an asked_at that is no date like 2026-11-28 or 2026-11-28 14:05."
        ) from error


def _text(value: Any) -> str:
    return "" if value is None else str(value)
