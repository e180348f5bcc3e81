"""What a model thinks is told from what it answers, in whatever marks it thinks."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.generation.answer_forms import AnswerForm, NoQuestions, WrongForm, questions_in
from services.generation.completions import Completion, read_completion
from services.generation.thoughts import without_thoughts
from services.models import TokenUsage
from tests.fakes.odd_answers import THOUGHTS

DECOY = '{"questions": ["What did I think of?"]}'
REAL = '{"questions": ["Who books a berth?"]}'
BERTH = ["Who books a berth?"]
KINDS = pytest.mark.parametrize(("begin", "end"), THOUGHTS.values(), ids=THOUGHTS)
PAIRED = {kind: marks for kind, marks in THOUGHTS.items() if "gpt-oss" not in kind}


def read(content: str, form: AnswerForm = AnswerForm.JSON) -> list[str]:
    return questions_in(Completion(content, None, TokenUsage(), is_metered=True), form)


@KINDS
@pytest.mark.parametrize("frame", ["{}", "```json\n{}\n```", "Here you are: {} Good luck!"])
def test_a_decoy_in_a_thought_is_not_the_question(begin, end, frame):
    assert read(f"{begin}Maybe {DECOY}, or so.{end}{frame.format(REAL)}") == BERTH


@KINDS
def test_a_thought_is_no_question_in_plain_lines_either(begin, end):
    content = f"{begin}What is asked?\n- a berth\n1. the telex{end}\nSure!\n1. Who books a berth?"
    assert read(content, AnswerForm.TEXT) == BERTH


@KINDS
@pytest.mark.parametrize("form", [AnswerForm.JSON, AnswerForm.TEXT])
def test_thoughts_that_never_end_are_an_empty_answer(begin, end, form):
    with pytest.raises(NoQuestions, match="empty answer"):
        read(f"{begin}Is it this one?\n{DECOY}\n- or a berth", form)


@pytest.mark.parametrize(("begin", "end"), PAIRED.values(), ids=PAIRED)
def test_a_decoy_in_a_thought_after_the_answer_is_not_the_question(begin, end):
    assert read(f"{REAL}\n{begin}Was {DECOY} better?{end}") == BERTH
    assert read(f"{REAL} and {begin}was {DECOY} better?{end}") == BERTH
    assert read(f"{REAL}\n{begin}Was {DECOY} better?") == BERTH  # and cut off there


@pytest.mark.parametrize(
    "content",
    [
        f"<think>a <think>b {DECOY}</think> c {DECOY}</think>{REAL}",
        f"<think>a <reasoning>b</reasoning> {DECOY}</think>{REAL}",
        f"<think>I may use <think> tags. {DECOY}</think>{REAL}",
        f'<THINKING effort="low">{DECOY}</THINKING >{REAL}',
        f"I was told to think. {DECOY}\n</thinking>\n\n{REAL}",
        f"<think>a</think><think>{DECOY}</think>{REAL}<think>{DECOY}",
        f"<|channel|>analysis<|message|>{DECOY}<|end|><|start|>assistant<|channel|>commentary"
        f"<|message|>{DECOY}<|channel|>final<|message|>{REAL}<|return|>",
        f"{DECOY}<|start|>assistant<|channel|>final<|message|>{REAL}<|end|>",
        f"```\n<thinking>{DECOY}</thinking>\n{REAL}\n```",
        f"```json\n{DECOY}\n```\nOn second thoughts:\n```json\n{REAL}\n```",
        f'{DECOY} {{"questions": "none"}} {REAL} {{"note": "done"}}',
        f'<think>{DECOY}</think>{{"answer": {REAL}, "thoughts": "<think>"}}',
    ],
)
def test_the_last_list_outside_of_thoughts_counts(content):
    assert read(content) == BERTH


def test_a_question_about_a_mark_is_a_question():
    asked = ["What does the <think> tag do?", "Where does [THINK] end, and </think>?"]
    assert read(json.dumps({"questions": asked})) == asked
    assert read("\n".join(asked), AnswerForm.TEXT) == asked


def test_a_list_in_thoughts_alone_is_no_answer():
    with pytest.raises(NoQuestions, match="empty answer"):
        read(f"<thinking>{DECOY}</thinking>")
    with pytest.raises(WrongForm):
        read(f"<thinking>{DECOY}</thinking>I can't.")


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning", "thinking"])
def test_thoughts_that_the_server_keeps_apart_are_not_read(field):
    message = {"content": None, field: DECOY}
    with pytest.raises(NoQuestions, match="empty answer"):
        questions_in(read_completion({"choices": [{"message": message}]}), AnswerForm.JSON)


spoken = st.sampled_from(["", "Sure. ", "Here it is:\n", "```json\n"])
thoughts = st.tuples(st.sampled_from(sorted(PAIRED)), st.sampled_from(["Hm. ", DECOY, "a?\n- b\n"]))


@settings(deadline=None)
@given(st.lists(st.one_of(spoken, thoughts), max_size=6), st.lists(thoughts, max_size=3))
def test_whatever_is_thought_around_it_the_answer_is_read(before, after):
    def text(part):
        if isinstance(part, str):
            return part
        begin, end = PAIRED[part[0]]
        return f"\n{begin}{part[1]}{end}"

    content = "".join(map(text, before)) + "\n" + REAL + "".join(map(text, after))
    assert read(content) == BERTH


@settings(deadline=None)
@given(st.text(alphabet='<>/|[]◁▷ think\n{}"', max_size=80))
def test_no_text_is_lost_or_made_up_by_looking_for_thoughts(content):
    aloud = without_thoughts(content)
    remaining = iter(content)
    assert all(c in remaining for c in aloud)  # a subsequence
