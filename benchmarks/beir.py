"""Read a data set in BEIR layout: corpus.jsonl, queries.jsonl and qrels/<split>.tsv."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Questions:
    """The questions of one split; `relevant[i]` holds the passage rows that answer question i."""

    texts: list[str]
    relevant: list[set[int]]


@dataclass(frozen=True, slots=True)
class DataSet:
    name: str
    passages: list[str]  # title and text
    documents: list[str]  # the document that each passage is part of
    train: Questions
    test: Questions


def read_beir(folder: Path) -> DataSet:
    """Read the folder; judgements of 0, or of passages missing from the corpus, do not count.

    Raises:
        SystemExit: a file is missing (the message names it) or malformed.
    """
    try:
        corpus = list(_json_lines(folder / "corpus.jsonl"))
        texts = {row["_id"]: row["text"] for row in _json_lines(folder / "queries.jsonl")}
        row_of = {row["_id"]: number for number, row in enumerate(corpus)}
        train, test = (
            _questions(folder / "qrels" / f"{split}.tsv", texts, row_of)
            for split in ("train", "test")
        )
    except (OSError, KeyError, ValueError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise SystemExit(f"{folder} is not a data set in BEIR layout. {reason}") from error
    return DataSet(
        name=folder.resolve().name,
        passages=[f"{row.get('title') or ''} {row['text']}".strip() for row in corpus],
        documents=[_document(row) for row in corpus],
        train=train,
        test=test,
    )


def _document(row: dict[str, Any]) -> str:
    """BEIR has no document ids: use the title, or else the <document> part of <document>-<n>."""
    head, dash, number = str(row["_id"]).rpartition("-")
    return row.get("title") or (head if dash and number.isdigit() else row["_id"])


def _questions(path: Path, texts: dict[str, str], row_of: dict[str, int]) -> Questions:
    relevant: dict[str, set[int]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            if float(row["score"]) > 0 and row["corpus-id"] in row_of:
                relevant.setdefault(row["query-id"], set()).add(row_of[row["corpus-id"]])
    return Questions([texts[query] for query in relevant], list(relevant.values()))


def _json_lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        yield from (json.loads(line) for line in file if line.strip())
