"""A table of pgvector that is filled and searched with vectors of `/v1/embeddings`.

pip install openai "psycopg[binary]". `studio` is OpenAI's client with another address:
`OpenAI(base_url="http://localhost:8501/v1", api_key=token)`, where `token` is a Supabase access
token; `chunks` are the lines of an exported model's chunks.jsonl.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from openai import OpenAI

MOST_INPUTS = 2_048  # in one request


def fill(database: psycopg.Connection, studio: OpenAI, chunks: Sequence[dict[str, Any]]) -> None:
    """Make the table `passages` of all chunks. Training again does not change their vectors."""
    database.execute("create extension if not exists vector")
    database.execute(
        "create table passages (position int primary key, id text, text text, embedding vector)"
    )
    for first in range(0, len(chunks), MOST_INPUTS):
        some = chunks[first : first + MOST_INPUTS]
        answer = studio.embeddings.create(
            model="deep-memory-chunk", input=[chunk["id"] for chunk in some]
        )
        rows = [
            (first + entry.index, chunk["id"], chunk["text"], str(entry.embedding))
            for chunk, entry in zip(some, answer.data, strict=True)
        ]
        with database.cursor() as cursor:
            cursor.executemany("insert into passages values (%s, %s, %s, %s)", rows)


def search(
    database: psycopg.Connection, studio: OpenAI, question: str, k: int = 10
) -> list[tuple[str, float]]:
    """The ids of the `k` best chunks with their cosine, best first."""
    answer = studio.embeddings.create(model="deep-memory-query", input=question)
    return database.execute(
        "select id, 1 - (embedding <=> %(query)s::vector) from passages"
        " order by embedding <=> %(query)s::vector, position limit %(k)s",
        {"query": str(answer.data[0].embedding), "k": k},
    ).fetchall()
