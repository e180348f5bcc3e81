"""`POST /v1/embeddings`, called by OpenAI's own client: vectors of questions and of chunks."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import replace

import httpx
import jwt
import numpy as np
import openai
import pytest

from services.config import Settings
from services.deep_memory.model_store import ModelStore
from services.deep_memory.query_map import QueryMap
from services.http.embeddings import LARGEST_BODY, MOST_INPUTS
from services.models import TrainingRun
from services.ranking.context import in_context
from services.retrieval.embeddings import WordLlamaEmbedder
from services.retrieval.stores import models_folder
from services.runs.states import RunStatus
from tests.contract.conftest import Caller
from tests.running_app import RunningApp
from tests.runs import METRICS
from tests.trained_models import ranking_by

QUERY, CHUNK, DOCUMENT = "deep-memory-query", "deep-memory-chunk", "deep-memory-document"
WIDTH = WordLlamaEmbedder.width
MATRIX = np.random.default_rng(0).normal(size=(WIDTH, WIDTH)).astype(np.float32)
QUESTIONS = ["Who pays harbour dues?", "What is for lunch on Fridays?"]
DOCUMENTS = {
    "port.md": "# Dues\n\nShips pay harbour dues.\n\n# Pilots\n\n"
    + "The pilot boards a vessel. " * 80,
    "soup.md": "# Soup\n\nThe canteen serves soup.\n\n# Cook\n\n"
    + "The cook is from Marseille. " * 80,
}

Client = Callable[[Caller], openai.OpenAI]


@pytest.fixture
def client(app: RunningApp) -> Iterator[Client]:
    """OpenAI's client with nothing but another address and the person's token for a key."""
    made = []

    def make(caller: Caller) -> openai.OpenAI:
        token = caller.user.access_token()
        made.append(openai.OpenAI(base_url=f"{app.url}/v1", api_key=token, max_retries=0))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def chunks(caller: Caller) -> list[dict]:
    """The chunks of `DOCUMENTS` in the order of the knowledge base, as the app lists them."""
    files = [("files", (name, text.encode())) for name, text in DOCUMENTS.items()]
    added = caller.api.post("/documents", files=files).raise_for_status().json()["documents"]
    found = []
    for document in added:
        listed = caller.api.get(f"/documents/{document['id']}/chunks").raise_for_status().json()
        found += [{**chunk, "document": document["id"]} for chunk in listed["chunks"]]
    assert len(found) > len(DOCUMENTS) + 2
    return found


@pytest.fixture
def use_model(caller: Caller, supabase_stack) -> Callable[..., TrainingRun]:
    """Completes a run of the caller with a map by this matrix; search uses it, if it is to."""

    def use(matrix: np.ndarray = MATRIX, *, enabled: bool = True) -> TrainingRun:
        script = caller.script().to(RunStatus.TRAINING)
        settings = Settings(_env_file=None, data_dir=supabase_stack.data_dir)
        model = replace(ranking_by(), query_map=QueryMap(matrix.astype(np.float32)))
        ModelStore(models_folder(settings, caller.id)).save(script.run, model)
        script.lease.finish_training(METRICS, activate=True)
        body = {**caller.own, "enabled": enabled}
        caller.api.put("/deep-memory/settings", json=body).raise_for_status()
        return script.now

    return use


def vectors_of(answer: openai.types.CreateEmbeddingResponse) -> np.ndarray:
    assert [entry.index for entry in answer.data] == list(range(len(answer.data)))
    return np.array([entry.embedding for entry in answer.data], np.float32)


def expected_of_document(texts: list[str]) -> np.ndarray:
    return in_context(WordLlamaEmbedder().embed(texts), [0] * len(texts))


def test_questions_are_mapped_by_the_model_that_search_uses_and_the_answer_names_it(
    caller, client, use_model
):
    run = use_model()
    answer = client(caller).embeddings.create(model=QUERY, input=QUESTIONS)
    mapped = QueryMap(MATRIX).apply(WordLlamaEmbedder().embed(QUESTIONS))
    np.testing.assert_allclose(vectors_of(answer), mapped, atol=1e-6)
    assert answer.model == f"{QUERY}:{run.id}"


@pytest.mark.parametrize("is_trained", [False, True], ids=["no model", "switched off"])
def test_questions_are_plain_while_search_uses_no_model(caller, client, use_model, is_trained):
    if is_trained:
        use_model(enabled=False)
    answer = client(caller).embeddings.create(model=QUERY, input=QUESTIONS)
    np.testing.assert_allclose(vectors_of(answer), WordLlamaEmbedder().embed(QUESTIONS), atol=1e-6)
    assert answer.model == f"{QUERY}:plain"


def test_questions_are_refused_where_the_chosen_model_cannot_map_them(
    caller, client, use_model, supabase_stack
):
    """Plain vectors in its place would spoil the ranking without a word."""
    run = use_model()
    settings = Settings(_env_file=None, data_dir=supabase_stack.data_dir)
    ModelStore(models_folder(settings, caller.id)).remove(run.id)
    with pytest.raises(openai.BadRequestError, match="The file of this model is gone"):
        client(caller).embeddings.create(model=QUERY, input=QUESTIONS)


def test_questions_are_refused_where_deeplake_cloud_has_the_chosen_model(caller, client):
    script = caller.script().to(RunStatus.TRAINING)
    script.lease.finish_training({**METRICS, "trainer": "cloud"}, activate=True)
    caller.api.put("/deep-memory/settings", json={**caller.own, "enabled": True})
    with pytest.raises(openai.BadRequestError, match="DeepLake Cloud"):
        client(caller).embeddings.create(model=QUERY, input=QUESTIONS)


@pytest.mark.parametrize("name", ["text", "id"])
def test_chunks_are_answered_in_their_context_however_they_are_sent(caller, client, chunks, name):
    """By their text or their id, in any order and any parts: their neighbours are known."""
    whole = in_context(
        WordLlamaEmbedder().embed([_in_context(chunk) for chunk in chunks]),
        [chunk["document"] for chunk in chunks],
    )
    ask = client(caller).embeddings
    answer = ask.create(model=CHUNK, input=[chunk[name] for chunk in chunks])
    np.testing.assert_allclose(vectors_of(answer), whole, atol=1e-5)
    assert answer.model == CHUNK
    shuffled = [2, 0, len(chunks) - 1, 2]
    answer = ask.create(model=CHUNK, input=[chunks[row][name] for row in shuffled])
    np.testing.assert_allclose(vectors_of(answer), whole[shuffled], atol=1e-5)


def _in_context(chunk: dict) -> str:
    """What the app embeds: below the heading that a later part of a section does not repeat."""
    heads = [head for head in chunk["heading_path"] if f"# {head}" not in chunk["text"]]
    return f"{' > '.join(heads)}\n\n{chunk['text']}" if heads else chunk["text"]


def test_what_is_no_chunk_of_ones_own_is_not_found(caller, new_caller, client, chunks):
    """Not another person's either, by its id or its text."""
    text = chunks[0]["text"]
    with pytest.raises(openai.NotFoundError, match="Text 2 is not the text or the id of a chunk"):
        client(caller).embeddings.create(model=CHUNK, input=[text, f"{text}!"])
    for name in (text, chunks[0]["id"]):
        with pytest.raises(openai.NotFoundError, match="Text 1 "):
            client(new_caller()).embeddings.create(model=CHUNK, input=name)


def test_a_map_is_not_used_for_another_persons_questions(caller, new_caller, client, use_model):
    use_model()
    answer = client(new_caller()).embeddings.create(model=QUERY, input=QUESTIONS)
    assert answer.model == f"{QUERY}:plain"
    np.testing.assert_allclose(vectors_of(answer), WordLlamaEmbedder().embed(QUESTIONS), atol=1e-6)


def test_a_document_that_is_not_in_the_app_is_embedded_as_if_it_were(caller, client):
    texts = ["Ships pay dues.", "The pilot boards.", "Soup on Fridays."]
    answer = client(caller).embeddings.create(model=DOCUMENT, input=texts)
    np.testing.assert_allclose(vectors_of(answer), expected_of_document(texts), atol=1e-6)
    alone = client(caller).embeddings.create(model=DOCUMENT, input=texts[0])
    np.testing.assert_allclose(vectors_of(alone), WordLlamaEmbedder().embed(texts[:1]), atol=1e-6)


def test_numbers_and_base64_are_the_same_vectors_and_usage_is_counted(app, caller):
    body = {"model": DOCUMENT, "input": ["Ships pay dues.", "Soup"]}
    headers = {"Authorization": caller.api.headers["Authorization"]}

    def answer(**more: str) -> dict:
        url = f"{app.url}/v1/embeddings"
        return httpx.post(url, json={**body, **more}, headers=headers).raise_for_status().json()

    numbers, packed = answer(), answer(encoding_format="base64")
    decoded = [
        np.frombuffer(base64.b64decode(entry["embedding"]), "<f4") for entry in packed["data"]
    ]
    np.testing.assert_array_equal(
        np.array([entry["embedding"] for entry in numbers["data"]], np.float32), decoded
    )
    assert numbers["object"] == "list"
    assert {entry["object"] for entry in numbers["data"]} == {"embedding"}
    assert numbers["usage"] == packed["usage"] == {"prompt_tokens": 5, "total_tokens": 5}


def test_dimensions_may_only_be_what_they_are(caller, client):
    ask = client(caller).embeddings
    assert ask.create(model=QUERY, input="dues", dimensions=WIDTH).data
    with pytest.raises(openai.BadRequestError, match=f"only be {WIDTH}"):
        ask.create(model=QUERY, input="dues", dimensions=64)


@pytest.mark.parametrize(
    ("body", "status", "param", "code", "said"),
    [
        ({"model": "text-embedding-3-small"}, 404, "model", "model_not_found", QUERY),
        ({"input": []}, 400, "input", None, "1 to 2,048 texts"),
        ({"input": ["x"] * (MOST_INPUTS + 1)}, 400, "input", None, "these are 2,049"),
        ({"input": ["dues", " "]}, 400, "input", None, "text 2 is empty"),
        ({"input": [[1, 2, 3]]}, 400, "input", None, "numbers of tokens are not read"),
        ({"input": "\ud800"}, 400, "input", None, "half of a character"),
        ({"input": None}, 400, "input", None, "a text or a list of texts"),
        ({"encoding_format": "int8"}, 400, "encoding_format", None, "'float' or 'base64'"),
        ({"dimensions": "64"}, 400, "dimensions", None, "integer"),
        ({"shorten": True}, 400, "shorten", None, "not permitted"),
        ({"\ud800": True}, 400, None, None, "unicode"),
    ],
)
def test_what_is_malformed_is_refused_in_openais_shape(
    app, caller, body, status, param, code, said
):
    content = json.dumps({"model": QUERY, "input": "dues", **body})
    headers = {"Authorization": caller.api.headers["Authorization"]}
    refused = httpx.post(
        f"{app.url}/v1/embeddings",
        content=content,
        headers={**headers, "Content-Type": "application/json"},
    )
    error = refused.json()["error"]
    assert (refused.status_code, error["param"], error["code"]) == (status, param, code)
    assert error["type"] == "invalid_request_error"
    assert said in error["message"]


def test_as_many_texts_as_are_allowed_are_embedded_at_once(caller, client):
    texts = [f"Ship number {number} pays dues." for number in range(MOST_INPUTS)]
    answer = client(caller).embeddings.create(model=QUERY, input=texts)
    assert vectors_of(answer).shape == (MOST_INPUTS, WIDTH)


def test_strangers_are_refused_in_openais_shape(app, caller, claims):
    forged = jwt.encode({**claims, "sub": caller.id}, "x" * 48)
    body = {"model": QUERY, "input": "dues"}
    for headers in ({}, {"Authorization": f"Bearer {forged}"}):
        refused = httpx.post(f"{app.url}/v1/embeddings", json=body, headers=headers)
        assert (refused.status_code, set(refused.json())) == (401, {"error"})
        assert refused.json()["error"]["code"] == "invalid_api_key"
        assert refused.headers["www-authenticate"] == "Bearer"
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=f"{app.url}/v1", api_key="sk-mine").embeddings.create(**body)


def test_other_paths_methods_and_sizes_are_refused_in_openais_shape(app, caller):
    headers = {"Authorization": caller.api.headers["Authorization"]}
    url = f"{app.url}/v1"
    refused = [
        (httpx.get(f"{url}/embeddings", headers=headers), 405),
        (httpx.post(f"{url}/chat/completions", json={}, headers=headers), 404),
        (httpx.get(f"{url}/models", headers=headers), 404),
        (httpx.post(f"{url}/embeddings", content=b"x" * (LARGEST_BODY + 1), headers=headers), 413),
    ]
    for answer, status in refused:
        assert (answer.status_code, set(answer.json())) == (status, {"error"})
