"""Lossless export and import of pairs: JSONL, CSV and BEIR. Pure functions: pairs <-> bytes."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.errors import DocumentRejected
from services.models import Chunk, TrainingPair
from services.pairs.beir import (
    Judgement,
    Passage,
    decoded,
    json_lines,
    read_beir,
    read_json_lines,
    write_beir,
)
from services.pairs.rules import is_relevant

BEIR_SPLIT = "train"
_NEEDED = ("question_text", "chunk_id")
_COLUMNS = (*_NEEDED, "relevance_score", "document", "chunk_preview")


@dataclass(frozen=True, slots=True)
class NewPair:
    """A pair as it is imported: only what training needs."""

    question_text: str
    chunk_id: str
    relevance_score: float = 1.0


def to_jsonl(pairs: Iterable[TrainingPair], chunks: Mapping[str, Chunk]) -> bytes:
    """One object per line. Document and preview are for human readers; import ignores them."""
    return json_lines(_row(pair, chunks) for pair in pairs).encode()


def to_csv(pairs: Iterable[TrainingPair], chunks: Mapping[str, Chunk]) -> bytes:
    """The same columns as `to_jsonl`, in UTF-8 with a byte order mark, for spreadsheets."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, _COLUMNS)
    writer.writeheader()
    writer.writerows(_row(pair, chunks) for pair in pairs)
    return text.getvalue().encode("utf-8-sig")


def to_beir(pairs: Sequence[TrainingPair], chunks: Mapping[str, Chunk]) -> bytes:
    """A zip with the chunks that the pairs ask about: their whole text if still stored."""
    passages = {
        pair.chunk_id: (
            Passage(chunk.id, chunk.document, chunk.text)
            if (chunk := chunks.get(pair.chunk_id))
            else Passage(pair.chunk_id, "", pair.chunk_preview)
        )
        for pair in pairs
    }
    # One query per question, however many chunks answer it. Keyed by the exact text rather than by
    # `question_key`, so that an export can be imported again unchanged.
    ids: dict[str, str] = {}
    judgements = [
        Judgement(
            ids.setdefault(pair.question_text, pair.id),
            pair.question_text,
            pair.chunk_id,
            pair.relevance_score,
        )
        for pair in pairs
    ]
    return write_beir(passages.values(), judgements, BEIR_SPLIT)


_WRITERS: dict[str, Callable[[Sequence[TrainingPair], Mapping[str, Chunk]], bytes]] = {
    "jsonl": to_jsonl,
    "csv": to_csv,
    "zip": to_beir,
}


def write_pairs(ending: str, pairs: Sequence[TrainingPair], chunks: Mapping[str, Chunk]) -> bytes:
    """A file of pairs in the format of this file extension; `chunks` are all that are stored.

    Raises:
        DocumentRejected: there is no such format.
    """
    if ending not in _WRITERS:
        raise DocumentRejected("Pairs go out as .jsonl, .csv or BEIR's .zip.")
    return _WRITERS[ending](pairs, chunks)


def read_pairs(name: str, data: bytes) -> list[NewPair]:
    """Read a file of pairs, in the format of its extension.

    A missing relevance counts as 1, as do BEIR's grades above 1; a grade of 0 yields no pair.

    Raises:
        DocumentRejected: the file or one of its lines is invalid. The whole file is refused.
    """
    match name.lower().rpartition(".")[2]:
        case "jsonl":
            rows = read_json_lines(decoded(data), "the file", _NEEDED)
            pairs = [_pair(row, number) for number, row in enumerate(rows, start=1)]
        case "csv":
            pairs = [_pair(row, number) for number, row in read_csv(data, _NEEDED)]
        case "zip":
            pairs = [
                NewPair(judged.question, judged.corpus_id, min(judged.score, 1.0))
                for judged in read_beir(data, [BEIR_SPLIT])
                if is_relevant(judged.score)
            ]
        case _:
            raise DocumentRejected("Pairs come in as .jsonl, .csv or BEIR's .zip.")
    if not pairs:
        raise DocumentRejected("The file holds no pair.")
    return pairs


def read_csv(data: bytes, needed: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """Return the rows of a CSV file with a header, each with its number, from 1.

    Raises:
        DocumentRejected: it is not CSV, or lacks one of the `needed` columns.
    """
    try:
        reader = csv.DictReader(io.StringIO(decoded(data), newline=""), strict=True)
        missing = [name for name in needed if name not in (reader.fieldnames or ())]
        if missing:
            raise DocumentRejected(f"The file has no column {' or '.join(missing)}.")
        return [
            (number, {name: text for name, text in row.items() if name is not None and text})
            for number, row in enumerate(reader, start=1)
        ]
    except csv.Error as error:
        raise DocumentRejected("The file is not CSV with commas and double quotes.") from error


def _row(pair: TrainingPair, chunks: Mapping[str, Chunk]) -> dict[str, Any]:
    chunk = chunks.get(pair.chunk_id)
    return {
        "question_text": pair.question_text,
        "chunk_id": pair.chunk_id,
        "relevance_score": pair.relevance_score,
        "document": chunk.document if chunk else "",
        "chunk_preview": pair.chunk_preview,
    }


def _pair(row: Mapping[str, Any], number: int) -> NewPair:
    try:
        relevance = float(row.get("relevance_score", 1.0))
    except (TypeError, ValueError, OverflowError) as error:
        raise DocumentRejected(f"Pair {number} has a relevance that is no number.") from error
    pair = NewPair(str(row.get("question_text", "")), str(row.get("chunk_id", "")), relevance)
    if not pair.question_text.strip() or not pair.chunk_id:
        raise DocumentRejected(f"Pair {number} has no question or no chunk.")
    if not (math.isfinite(relevance) and 0 <= relevance <= 1):
        raise DocumentRejected(f"Pair {number} has a relevance that is not from 0 to 1.")
    return pair
