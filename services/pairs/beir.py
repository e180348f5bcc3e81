"""BEIR, the layout of public retrieval data sets, in a zip: corpus.jsonl, queries.jsonl, qrels.

See Thakur et al., BEIR: A Heterogeneous Benchmark for Zero-shot Evaluation, 2021.
"""

from __future__ import annotations

import io
import json
import lzma
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from services.errors import DocumentRejected

_LARGEST_UNPACKED = 500_000_000  # bytes: a small zip can hold far more than memory does
# What zipfile raises while reading; each compression method has its own errors.
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    NotImplementedError,
    RuntimeError,
    EOFError,
    OSError,
    ValueError,
)
_QRELS_HEADING = ("query-id", "corpus-id", "score")


class Passage(NamedTuple):
    id: str
    title: str
    text: str


class Judgement(NamedTuple):
    """How well passage `corpus_id` answers `question`: the higher the better, 0 is not at all."""

    question_id: str
    question: str
    corpus_id: str
    score: float


def write_beir(passages: Iterable[Passage], judgements: Sequence[Judgement], split: str) -> bytes:
    """Return the zip, with the judgements in qrels/<split>.tsv. Scores are kept exactly."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("corpus.jsonl", json_lines(
            {"_id": passage.id, "title": passage.title, "text": passage.text}
            for passage in passages
        ))  # fmt: skip
        questions = {judged.question_id: judged.question for judged in judgements}
        file.writestr(
            "queries.jsonl",
            json_lines({"_id": id_, "text": text} for id_, text in questions.items()),
        )
        rows = ("\t".join(_QRELS_HEADING), *(_qrels_line(judged) for judged in judgements))
        file.writestr(f"qrels/{split}.tsv", "\n".join(rows) + "\n")
    return packed.getvalue()


def _qrels_line(judged: Judgement) -> str:
    # BEIR's tools expect whole numbers.
    score = int(judged.score) if judged.score == int(judged.score) else judged.score
    return f"{judged.question_id}\t{judged.corpus_id}\t{score}"


def read_beir(data: bytes, splits: Sequence[str]) -> list[Judgement]:
    """Return the judgements of the first of `splits` that the zip has, in whatever folder.

    Raises:
        DocumentRejected: it is not such a zip; the message says what is missing or wrong.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            if sum(entry.file_size for entry in file.infolist()) > _LARGEST_UNPACKED:
                raise DocumentRejected("The zip holds more than 500 MB. Nothing was read.")
            queries = _text_of(file, ["queries.jsonl"])
            qrels = _text_of(file, [f"qrels/{split}.tsv" for split in splits])
    except _DAMAGED as error:
        raise DocumentRejected("The zip is damaged or locked with a password.") from error
    texts = {
        str(row["_id"]): str(row["text"])
        for row in read_json_lines(queries, "queries.jsonl", ("_id", "text"))
    }
    return [_judgement(row, number, texts) for number, row in _qrels(qrels)]


def _text_of(file: zipfile.ZipFile, names: Sequence[str]) -> str:
    for name in names:
        for entry in file.namelist():
            if entry == name or entry.endswith(f"/{name}"):
                return decoded(file.read(entry))
    raise DocumentRejected(f"The zip has no {' or '.join(names)}. Nothing was read.")


def _qrels(text: str) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(text.splitlines(), start=1):
        row = line.split("\t")
        if line.strip() and (number > 1 or row[0] != _QRELS_HEADING[0]):
            yield number, row


def _judgement(row: Sequence[str], number: int, texts: dict[str, str]) -> Judgement:
    try:
        question_id, corpus_id, score = row
        return Judgement(question_id, texts[question_id], corpus_id, float(score))
    except ValueError as error:
        raise DocumentRejected(
            f"Line {number} of the qrels is not query-id, corpus-id and score. Nothing was read."
        ) from error
    except KeyError as error:
        raise DocumentRejected(
            f"Line {number} of the qrels names a question that queries.jsonl does not have."
        ) from error


def json_lines(rows: Iterable[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def read_json_lines(text: str, name: str, keys: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the objects of a JSONL file, each of which has `keys`.

    Raises:
        DocumentRejected: a line is no JSON object or lacks a key; the message names the line.
    """
    # Not splitlines: a question may contain one of the other characters at which that splits.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DocumentRejected(f"Line {number} of {name} is not JSON.") from error
        if not isinstance(row, dict):
            raise DocumentRejected(f"Line {number} of {name} is no JSON object.")
        if any(row.get(key) is None for key in keys):
            raise DocumentRejected(f"Line {number} of {name} lacks {' or '.join(keys)}.")
        yield row


def decoded(data: bytes) -> str:
    """The text of a file in UTF-8, with or without the byte order mark of spreadsheets.

    Raises:
        DocumentRejected: it is in another encoding.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DocumentRejected("The file is not UTF-8 text. Nothing was read.") from error
