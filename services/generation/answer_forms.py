"""The forms in which a question model is asked to answer, and how each is parsed.

OpenAI's models follow a schema. Many servers with its API refuse one, or accept and ignore it;
they are asked for JSON instead, and as a last resort for plain lines.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from openai import OpenAI
from pydantic import BaseModel

from services.generation.completions import Completion
from services.generation.thoughts import thoughts_in, without_thoughts
from services.openai_api.errors import Refusal

if TYPE_CHECKING:
    from openai._legacy_response import LegacyAPIResponse  # what `with_raw_response` returns


class AnswerForm(StrEnum):
    """From the strictest to the one that every server supports."""

    SCHEMA = "schema"
    JSON = "json"
    TEXT = "text"


class QuestionList(BaseModel):
    questions: list[str]


class NoQuestions(Exception):
    """An answer without questions. `problem` says why, in a word or two."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem


class WrongForm(NoQuestions):
    """The answer is not in the requested form: the model may do better with another form."""

    def __init__(self) -> None:
        super().__init__("not in the asked form")


_HOW_TO_ANSWER = {
    AnswerForm.SCHEMA: "",
    AnswerForm.JSON: (
        '\n\nAnswer with one JSON object and nothing else: {"questions": ["...", "..."]}'
    ),
    AnswerForm.TEXT: "\n\nAnswer with one question on each line and nothing else.",
}
_DECODER = json.JSONDecoder()
_FORM_STATUSES = (400, 422, 501)  # how servers say that they do not support a form
_BOLD = re.compile(r"(?<!\w)\*\*(.+?)\*\*(?!\w)")
_BULLET = re.compile(r"(?:[-*•]|\(?\d{1,2}[.):])\s+")
_LETTER = re.compile(r"[^\W\d_]")
_QUESTION_MARKS = ("?", "\uff1f", "\u061f")  # the Chinese and the Arabic one


def ask(
    client: OpenAI, form: AnswerForm, instructions: str, request: str, **options: Any
) -> LegacyAPIResponse[Any]:
    """Request an answer in `form`; `options` are passed to the API unchanged."""
    messages = _messages(form, instructions, request)
    completions = client.chat.completions.with_raw_response
    if form is AnswerForm.SCHEMA:
        # In the extra body: the library searches `messages` for keys to rename, which takes a third
        # of the work of a call, and there is nothing to rename.
        options["extra_body"] = {"messages": messages}
        return completions.parse(messages=[], response_format=QuestionList, **options)
    if form is AnswerForm.JSON:
        options["response_format"] = {"type": "json_object"}
    return completions.create(messages=messages, **options)


def request_body(instructions: str, request: str) -> dict[str, Any]:
    """The body that `ask` sends in the strictest form, for a file of batch requests."""
    schema = {**QuestionList.model_json_schema(), "additionalProperties": False}
    form = {"name": QuestionList.__name__, "strict": True, "schema": schema}
    return {
        "messages": _messages(AnswerForm.SCHEMA, instructions, request),
        "response_format": {"type": "json_schema", "json_schema": form},
    }


def _messages(form: AnswerForm, instructions: str, request: str) -> list[Any]:
    return [
        {"role": "system", "content": instructions + _HOW_TO_ANSWER[form]},
        {"role": "user", "content": request},
    ]


def refuses_the_form(refusal: Refusal) -> bool:
    """Whether a server refused the form rather than the content of the request."""
    return refusal.status in _FORM_STATUSES and refusal.names(
        "response_format", "json_schema", "json_object"
    )


def questions_in(completion: Completion, form: AnswerForm) -> list[str]:
    """The questions as written, including blank and repeated ones.

    Raises:
        WrongForm: they cannot be parsed.
        NoQuestions: the model refused, was cut off, or gave an empty answer.
    """
    if completion.problem:
        raise NoQuestions(completion.problem)
    content = completion.content.strip()
    return _from_lines(content) if form is AnswerForm.TEXT else _from_json(content)


def _from_json(content: str) -> list[str]:
    """The questions in the last JSON object outside of thoughts that has a list of them.

    Small models like to wrap it in a fence, a sentence or another object, and to write a draft.
    """
    found = list(_lists_in(content))
    unread = content  # with the objects masked: a thought mark within a question is no mark
    for begin, end, _ in found:
        unread = unread[:begin] + "." * (end - begin) + unread[end:]
    thoughts = thoughts_in(unread)
    aloud = [
        questions
        for begin, _, questions in found
        if not any(thought <= begin < end for thought, end in thoughts)
    ]
    if aloud:
        return aloud[-1]
    raise WrongForm if without_thoughts(unread).strip() else NoQuestions("empty answer")


def _lists_in(content: str) -> Iterator[tuple[int, int, list[str]]]:
    """The start, end and questions of each object that fits the schema."""
    at = 0
    for brace in re.finditer("{", content):
        if brace.start() < at:
            continue
        try:
            found, at = _DECODER.raw_decode(content, brace.start())
            yield brace.start(), at, QuestionList.model_validate(found).questions
        except (ValueError, RecursionError):  # no JSON starts here, or it does not fit the schema
            at = brace.start() + 1


def _from_lines(content: str) -> list[str]:
    """The lines that end in a question mark or are list items, without the text around them."""
    if not (aloud := without_thoughts(content).strip()):
        raise NoQuestions("empty answer")
    found = [query for line in aloud.splitlines() if (query := _query_on(line))]
    if not found:
        raise WrongForm
    return found


def _query_on(line: str) -> str | None:
    line = _BOLD.sub(r"\1", line).strip().strip('"')
    bullet = _BULLET.match(line)
    query = line[bullet.end() :].strip(' "') if bullet else line
    is_listed = bullet is not None and not query.endswith(":")  # else it is a heading
    is_query = is_listed or query.endswith(_QUESTION_MARKS)
    return query if is_query and has_letters(query) else None


def has_letters(query: str) -> bool:
    """Whether `query` contains a letter, in any script."""
    return _LETTER.search(query) is not None
