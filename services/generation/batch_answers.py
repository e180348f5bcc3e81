"""The files that OpenAI's Batch API answers with: one line per chunk, in any order."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from services.generation.openai_writer import problem_of_one_chunk, written_in_batch
from services.generation.written_questions import WrittenQuestions
from services.openai_api.errors import (
    UnusableAnswer,
    as_object,
    error_in,
    read_refusal,
    refusal_of,
)


@dataclass(frozen=True, slots=True)
class BatchAnswer:
    """The answer for one chunk: questions or a problem in `written`, or a failure, not charged."""

    chunk_id: str
    written: WrittenQuestions | None
    failure: str = ""  # its code
    is_final: bool = False  # a retry would fail again, for this and every other chunk


def read_lines(text: str) -> list[Any]:
    """Parse JSON lines. Raises UnusableAnswer if `text` is anything else."""
    try:
        return [json.loads(line) for line in text.split("\n") if line.strip()]
    except ValueError as error:
        raise UnusableAnswer("not JSON lines") from error


def read_answer(line: dict[str, Any], count: int) -> BatchAnswer:
    """Read one line of a file: {"custom_id", "response": {"status_code", "body"}, "error"}."""
    chunk_id, response = line.get("custom_id", ""), as_object(line.get("response"))
    status, body = response.get("status_code"), response.get("body")
    try:
        if status == 200:
            return BatchAnswer(chunk_id, written_in_batch(body, count))
        said = error_in(line) or error_in(body)
        refusal = read_refusal(status if isinstance(status, int) else 500, said)
    except UnusableAnswer as unusable:
        named = refusal_of(unusable)
        if named is None:
            return BatchAnswer(chunk_id, None, "no completion")
        refusal = named
    if problem := problem_of_one_chunk(refusal):
        return BatchAnswer(chunk_id, WrittenQuestions((), problem=problem))
    failure = refusal.code or f"status {refusal.status}"
    return BatchAnswer(chunk_id, None, failure, is_final=not refusal.may_pass)
