"""What a server says is read from any shape, and told without keys and without what was sent."""

from __future__ import annotations

import json

import httpx2
import pytest
from openai import APIStatusError, OpenAI

from services.openai_api.errors import (
    UnusableAnswer,
    error_in,
    explain,
    is_transient,
    read_refusal,
)
from tests.fakes.other_servers import BATCH_LIMITS, CONTEXTS, REFUSE_PARAMETER

PASSAGE = "Vessels above 40 metres book a berth by telex, says the harbour master."


def said(reply) -> object:
    """The error object as the library hands it on."""
    body = reply.body
    return body.get("error", body) if isinstance(body, dict) else body


@pytest.mark.parametrize("refuse", CONTEXTS.values(), ids=CONTEXTS)
def test_a_context_that_is_too_short_is_seen_in_any_words(refuse):
    reply = refuse(5_000, 100, 4_096)
    assert read_refusal(reply.status, said(reply)).is_too_long


@pytest.mark.parametrize(
    "words",
    [
        "prompt is too long: 210000 tokens > 200000 maximum",
        "max_tokens must be at least 1, got -186.",  # vllm-project/vllm issue 4667
        "max_tokens is too large: 4000. This model supports at most 2048 completion tokens",
        "Trying to keep the first 5000 tokens when context the overflows. However, the model is "
        "loaded with context length of only 4096 tokens, which is not enough.",
    ],
)
def test_a_request_that_is_too_long_is_seen_in_words_alone(words):
    assert read_refusal(400, {"message": words}).is_too_long
    assert read_refusal(200, {"message": words}).is_too_long


def test_a_rate_limit_and_a_refused_key_are_not_a_long_request():
    assert not read_refusal(429, {"message": "Too many tokens, please wait"}).is_too_long
    assert not read_refusal(401, {"message": "no context length for you"}).is_too_long
    assert not read_refusal(400, {"message": "Invalid value for 'role'"}).is_too_long


@pytest.mark.parametrize("refuse", REFUSE_PARAMETER.values(), ids=REFUSE_PARAMETER)
def test_the_parameter_that_a_server_does_not_know_is_found(refuse):
    reply = refuse("max_completion_tokens", 4_000)
    refusal = read_refusal(reply.status, said(reply))
    assert refusal.names("max_completion_tokens")
    assert not refusal.names("response_format")


@pytest.mark.parametrize("refuse", BATCH_LIMITS.values(), ids=BATCH_LIMITS)
def test_a_server_has_words_in_whatever_shape_it_sends_them(refuse):
    reply = refuse(64, 32)
    words = read_refusal(reply.status, said(reply)).words
    assert any(word in words for word in ("batch", "at most 32", "413 Request Entity Too Large"))
    assert "<" not in words or "<400>" in words


@pytest.mark.parametrize(
    ("code", "status", "passes"),
    [
        (502, 502, True),
        ("503", 503, True),
        (429, 429, True),
        (401, 401, False),
        (402, 402, False),
        ("invalid_api_key", 401, False),
        ("insufficient_quota", 429, False),
        ("upstream_down", 500, True),
        (None, 500, True),
        (3001, 500, True),
    ],
)
def test_an_error_in_a_200_passes_or_stays_by_its_code(code, status, passes):
    refusal = read_refusal(200, {"message": "Provider returned error", "code": code})
    assert (refusal.status, refusal.may_pass) == (status, passes)
    assert is_transient(UnusableAnswer("", {"code": code})) is passes


@pytest.mark.parametrize("error", [None, "", {}, False, {"message": "", "code": 0}])
def test_an_empty_error_is_none(error):
    assert error_in({"error": error, "choices": []}) is None


@pytest.mark.parametrize(
    "echo",
    [
        f"Could not parse: {PASSAGE}",
        f"Could not parse: {PASSAGE.upper()}",
        f"Could not parse: {json.dumps(PASSAGE.replace(' ', chr(10)))}",
        f"Could not parse: '{PASSAGE[:40]}...",
        f"Could not parse: <b>{PASSAGE.replace(' ', '  ')}</b>",
    ],
)
def test_what_was_sent_does_not_come_back_in_the_servers_words(echo):
    words = read_refusal(400, {"message": echo}, [PASSAGE]).words
    assert words.startswith("Could not parse:")
    assert not any(word in words.lower() for word in ("vessels", "metres", "harbour"))


@pytest.mark.parametrize(
    "secret",
    ["sk-proj-abcdef0123456789", "sk-ab**********yz", "Bearer abc.def.ghi", "hf_abcdefghijkl"],
)
def test_a_key_does_not_come_back_in_the_servers_words(secret):
    words = read_refusal(403, {"message": f"The key {secret} may not."}).words
    assert words == "The key … may not."


def test_words_are_one_short_line_and_said_to_the_person():
    client = OpenAI(api_key="my-own-secret-of-the-house", base_url="http://localhost:8000/v1")
    message = "No\nway, \x1b[31mmy-own-secret-of-the-house\x1b[0m! " + "because " * 100
    request = httpx2.Request("POST", "http://localhost:8000/v1")
    response = httpx2.Response(422, request=request)
    error = APIStatusError("", response=response, body={"message": message})
    happened, next_step = explain(error, client=client, model="m")
    assert happened.startswith('localhost:8000 refused the request (status 422). It says: "No way,')
    assert "secret" not in happened
    assert "\n" not in happened
    assert "\x1b" not in happened
    assert len(happened) < 350
    assert next_step
