"""A model's judgements against a strict stand-in for the OpenAI API, over HTTP."""

from __future__ import annotations

import pytest

from services.config import Settings
from services.errors import GenerationError
from services.models import Chunk
from services.openai_api.client import make_openai_client
from services.questions.judgements import Judge, Judgement
from services.questions.model_cost import estimated_usage
from services.questions.model_judge import ModelJudge
from tests.fakes.openai_server import (
    FakeOpenAI,
    cut_off,
    failing,
    insufficient_quota,
    refuse,
    saying,
)

CHUNK = Chunk("c1", "d1", "rules.md", 0, "Vessels above 40 metres book a berth by telex.")
OTHER = Chunk("c2", "d1", "rules.md", 1, "The canteen serves soup.")
QUESTION = "How do vessels book berths?"


@pytest.fixture
def fake():
    with FakeOpenAI() as server:
        yield server


def judge_at(fake: FakeOpenAI, model: str = "gpt-4o-mini") -> ModelJudge:
    settings = Settings(_env_file=None, openai_api_key=fake.key, openai_base_url=fake.base_url)
    return ModelJudge(make_openai_client(settings), model)


@pytest.mark.parametrize("model", ["gpt-4o-mini", "gpt-5-mini"])
def test_a_strict_server_says_whether_a_chunk_answers_and_why(fake, model):
    judge = judge_at(fake, model)
    assert judge.judge(QUESTION, CHUNK) == Judgement(
        QUESTION, "c1", True, Judge.MODEL, "It has 2 of 3 words."
    )
    assert judge.judge(QUESTION, OTHER).answers is False


@pytest.mark.parametrize(
    "server",
    [
        {"obeys_schemas": False},
        {"obeys_schemas": False, "obeys_json": False},
        {"obeys_schemas": False, "refuses_with": 501},
    ],
)
def test_a_server_that_refuses_a_form_is_asked_in_another_and_remembered(server):
    with FakeOpenAI(**server) as fake:
        judge = judge_at(fake)
        assert judge.judge(QUESTION, CHUNK).answers
        tries = len(fake.calls())
        judge.judge(QUESTION, CHUNK)
        assert len(fake.calls()) == tries + 1


@pytest.mark.parametrize(
    "fault",
    [refuse, cut_off, saying("Yes, it does."), saying('{"answers": "maybe"}'), saying(None)],
)
def test_an_answer_that_is_none_judges_nothing(fake, fault):
    fake.fail(fault)
    assert judge_at(fake).judge(QUESTION, CHUNK) is None


def test_the_last_object_counts_whatever_stands_around_it(fake):
    fake.fail(
        saying('A draft: {"reason": "x", "answers": true}. No: {"reason": "y", "answers": false}!')
    )
    assert judge_at(fake).judge(QUESTION, CHUNK) == Judgement(
        QUESTION, "c1", False, Judge.MODEL, "y"
    )


def test_what_came_back_before_a_failure_is_kept(fake):
    fake.fail(insufficient_quota, matching="canteen", times=100)
    done, failure = judge_at(fake).judge_all([(QUESTION, CHUNK), (QUESTION, OTHER)])
    assert [one.chunk_id for one in done] == ["c1"]
    assert isinstance(failure, GenerationError)
    assert "What was judged so far is kept." in failure.next_step


def test_a_failure_does_not_end_what_is_asked_later(fake):
    fake.fail(failing(401))
    judge = judge_at(fake)
    _, failure = judge.judge_all([(QUESTION, CHUNK)])
    assert failure is not None
    assert judge.judge_all([(QUESTION, CHUNK)])[0] != []


def test_the_estimate_grows_with_the_texts_and_with_thinking():
    one = estimated_usage([(QUESTION, CHUNK)], "gpt-4o-mini")
    two = estimated_usage([(QUESTION, CHUNK)] * 2, "gpt-4o-mini")
    assert (two.input_tokens, two.output_tokens) == (2 * one.input_tokens, 2 * one.output_tokens)
    assert estimated_usage([(QUESTION, CHUNK)], "gpt-5-mini").output_tokens > one.output_tokens
    long = Chunk("c3", "d1", "rules.md", 2, 4000 * "x")
    assert estimated_usage([(QUESTION, long)], "gpt-4o-mini").input_tokens > 1000
