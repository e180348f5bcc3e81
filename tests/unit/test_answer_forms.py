"""How questions are read from what models write around them."""

from __future__ import annotations

import pytest

from services.generation.answer_forms import (
    AnswerForm,
    NoQuestions,
    WrongForm,
    questions_in,
    refuses_the_form,
    request_body,
)
from services.generation.completions import Completion
from services.models import TokenUsage
from services.openai_api.errors import Refusal

LIST = '{"questions": ["Who books a berth?"]}'


def read(content: str, form: AnswerForm) -> list[str]:
    return questions_in(Completion(content, None, TokenUsage(), is_metered=True), form)


@pytest.mark.parametrize(
    "content",
    [
        f"```json\n{LIST}\n```",
        f"Here you are: {LIST} Good luck {{and thanks}}!",
        f"The set {{a, b}} is the passage's. {LIST}",
        f'{{"answer": {LIST}}}',
        f'{{"questions": ["Another one?"]}}\n{LIST}',
        f'<think>Maybe {{"questions": ["What?"]}}</think>{LIST}',
        f"I was told to think.\n</think>\n\n{LIST}",
        '{"a":' * 5_000 + LIST,
    ],
)
def test_a_list_is_found_in_whatever_a_model_wraps_it(content):
    assert read(content, AnswerForm.JSON) == ["Who books a berth?"]


@pytest.mark.parametrize(
    "content", ['{"questions": "none"}', "{} {", '{"questions": ' + "[" * 100_000, "Sure!"]
)
def test_json_without_a_list_is_not_in_the_asked_form(content):
    with pytest.raises(WrongForm):
        read(content, AnswerForm.JSON)


@pytest.mark.parametrize(
    ("line", "query"),
    [
        ("3.5 million users of what?", "3.5 million users of what?"),
        ("10:30 train to where?", "10:30 train to where?"),
        ("-5 degrees where?", "-5 degrees where?"),
        ('1. "Who books a berth?"', "Who books a berth?"),
        ("(2) berth booking notice", "berth booking notice"),
        ("• 3.5 million users", "3.5 million users"),
        ("**Who books a berth?**", "Who books a berth?"),
        ("**1. Who books a berth?**", "Who books a berth?"),
        ("**1.** Who books a berth?", "Who books a berth?"),
        ("- **berth** booking notice", "berth booking notice"),
        ("What is 2**10 or 3**4?", "What is 2**10 or 3**4?"),
        ("誰が予約しますか\uff1f", "誰が予約しますか\uff1f"),
        ("من يحجز الرصيف\u061f", "من يحجز الرصيف\u061f"),
    ],
)
def test_a_line_is_a_question_without_its_marks(line, query):
    assert read(f"Sure, here they are:\n\n{line}\n", AnswerForm.TEXT) == [query]


@pytest.mark.parametrize(
    "line", ["**Questions:**", "- **Short ones:**", "---", "* * *", "- ", "???", "Good luck!"]
)
def test_what_only_frames_the_questions_is_none(line):
    assert read(f"{line}\n1. berth notice\n{line}", AnswerForm.TEXT) == ["berth notice"]
    with pytest.raises(WrongForm):
        read(line, AnswerForm.TEXT)


def test_thoughts_are_no_questions():
    content = "<think>\nWhat is asked?\n- a berth\n</think>\n\nWho books a berth?"
    assert read(content, AnswerForm.TEXT) == ["Who books a berth?"]


def test_a_draft_with_which_a_thought_begins_is_no_answer():
    draft = '{"questions": ["A draft?"]}'
    with pytest.raises(NoQuestions):
        read(f"{draft}</think>", AnswerForm.JSON)
    assert read(draft, AnswerForm.JSON) == ["A draft?"]


def test_a_request_of_a_file_asks_for_the_strictest_form():
    body = request_body("Write questions.", "The passage.")
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert body["messages"][1]["content"] == "The passage."
    form = body["response_format"]["json_schema"]
    assert (body["response_format"]["type"], form["strict"]) == ("json_schema", True)
    assert form["schema"]["additionalProperties"] is False
    assert form["schema"]["required"] == list(form["schema"]["properties"]) == ["questions"]


@pytest.mark.parametrize(
    ("status", "message", "param", "is_the_form"),
    [
        (400, "response_format is not known", "", True),
        (422, "no json_schema here", "", True),
        (501, "JSON_OBJECT is not implemented", "", True),
        (400, "unsupported", "response_format", True),
        (400, "the passage is too long", "", False),
        (401, "response_format", "", False),
        (500, "response_format", "", False),
    ],
)
def test_a_refused_form_is_told_from_a_refused_request(status, message, param, is_the_form):
    refusal = Refusal(status, code="", kind="", param=param, words=message)
    assert refuses_the_form(refusal) is is_the_form


@pytest.mark.parametrize("form", AnswerForm)
@pytest.mark.parametrize(
    ("content", "problem", "told"),
    [
        ('{"questions": ["Why?"]}', "refused", "refused"),
        ("", None, "empty answer"),
        ("  <think>What?</think> \n", None, "empty answer"),
    ],
)
def test_an_answer_without_questions_says_why(form, content, problem, told):
    completion = Completion(content, problem, TokenUsage(), is_metered=True)
    with pytest.raises(NoQuestions) as none:
        questions_in(completion, form)
    assert none.value.problem == told
    assert not isinstance(none.value, WrongForm)


def test_an_empty_list_is_a_list():
    assert read('{"questions": []}', AnswerForm.JSON) == []
    assert read(' {"questions": ["Why?", "Why?", " "]} ', AnswerForm.SCHEMA) == [
        "Why?",
        "Why?",
        " ",
    ]
