"""The stand-in refuses what the real API refuses: a fake must not be more forgiving."""

from __future__ import annotations

import json

import numpy as np
import openai
import pytest

from tests.fakes.openai_server import MAX_INPUTS, FakeOpenAI

ASK = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "2 questions"}]}
SCHEMA = {
    "type": "object",
    "properties": {"questions": {"type": "array", "items": {"type": "string"}}},
    "required": ["questions"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def client():
    with FakeOpenAI() as fake:
        yield openai.OpenAI(api_key=fake.key, base_url=fake.base_url, max_retries=0)


def as_schema(schema, name="questions"):
    form = {"name": name, "strict": True, "schema": schema}
    return {"type": "json_schema", "json_schema": form}


@pytest.mark.parametrize(
    "wrong",
    [
        {"messages": []},
        {"messages": [{"role": "robot", "content": "hello"}]},
        {"response_format": {"type": "yaml"}},
        {"response_format": {"type": "json_object"}},
        {"response_format": as_schema({**SCHEMA, "additionalProperties": True})},
        {"response_format": as_schema({**SCHEMA, "required": []})},
        {"response_format": as_schema({"type": "array", "items": {"type": "string"}})},
        {"response_format": as_schema(SCHEMA, name="a name with blanks")},
        {"model": "gpt-5-mini", "temperature": 0.2},
        {"extra_body": {"max_questions": 3}},
    ],
)
def test_a_wrong_chat_request_is_refused(client, wrong):
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(**{**ASK, **wrong})


def test_a_right_schema_is_taken(client):
    answer = client.chat.completions.create(**ASK, response_format=as_schema(SCHEMA))
    assert answer.choices[0].message.content


def test_an_unknown_key_or_model_is_refused(client):
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="sk-other").models.list()
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(**{**ASK, "model": "gpt-2"})


@pytest.mark.parametrize(
    "texts", [[], [""], ["word"] * (MAX_INPUTS + 1), ["word " * 10_000], ["word " * 5_000] * 60]
)
def test_embeddings_beyond_a_limit_are_refused(client, texts):
    with pytest.raises(openai.BadRequestError):
        client.embeddings.create(model="text-embedding-3-small", input=texts)


def test_embeddings_have_the_models_width_keep_the_order_and_know_shared_words(client):
    texts = ["berth booking for vessels", "vessels need a berth booking", "coffee roasting curves"]
    answer = client.embeddings.create(model="text-embedding-3-small", input=texts)
    vectors = np.array([entry.embedding for entry in answer.data])
    alone = client.embeddings.create(model="text-embedding-3-small", input=texts[2])
    assert vectors.shape == (3, 1536)
    assert np.allclose(vectors[2], alone.data[0].embedding)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.5


def line_of(**changes) -> str:
    line = {"custom_id": "c1", "method": "POST", "url": "/v1/chat/completions", "body": ASK}
    return json.dumps({**line, **changes})


def upload(client, *lines: str, name="a.jsonl", purpose="batch") -> str:
    return client.files.create(file=(name, "\n".join(lines).encode()), purpose=purpose).id


@pytest.mark.parametrize(
    "wrong", [{"name": "a.txt"}, {"purpose": "batches"}], ids=["extension", "purpose"]
)
def test_a_wrong_upload_is_refused(client, wrong):
    with pytest.raises(openai.BadRequestError):
        upload(client, line_of(), **wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"input_file_id": "file-unheard-of"},
        {"endpoint": "/v1/chat"},
        {"completion_window": "1h"},
        {"metadata": {"part": 7}},
        {"metadata": {"k" * 65: "v"}},
    ],
    ids=["file", "endpoint", "window", "number", "key"],
)
def test_a_wrong_batch_is_refused(client, wrong):
    right = {"endpoint": "/v1/chat/completions", "completion_window": "24h"}
    with pytest.raises(openai.BadRequestError):
        client.batches.create(**{"input_file_id": upload(client, line_of()), **right, **wrong})


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ([line_of(), line_of()], "duplicate_custom_id"),
        ([line_of(method="GET")], "invalid_method"),
        ([line_of(url="/v1/embeddings")], "mismatched_url"),
        ([line_of(), '{"custom_id'], "invalid_json_line"),
        (
            [line_of(), line_of(custom_id="c2", body={**ASK, "model": "gpt-5-mini"})],
            "mismatched_model",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_batch_of_a_wrong_file_fails_when_it_is_validated(client, lines, code):
    batch = client.batches.create(
        input_file_id=upload(client, *lines),
        endpoint="/v1/chat/completions",
        completion_window="24h",
    )
    batch = client.batches.retrieve(batch.id)
    assert (batch.status, batch.errors.data[0].code) == ("failed", code)
    with pytest.raises(openai.ConflictError):
        client.batches.cancel(batch.id)
