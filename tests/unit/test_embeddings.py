"""The embedders: WordLlama from its wheel, and OpenAI's API against a strict stand-in."""

from __future__ import annotations

import base64
import logging
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from services.config import Settings
from services.errors import ConfigurationError, EmbedderUnavailable, NotAllowed
from services.openai_api.client import RetryPolicy, make_openai_client
from services.retrieval.embedders import make_embedder, require_embedder
from services.retrieval.embeddings import WordLlamaEmbedder
from services.retrieval.minilm_embedder import MOST_TOKENS, MiniLMEmbedder
from services.retrieval.openai_embedder import (
    MAX_INPUTS_PER_REQUEST,
    OpenAIEmbedder,
)
from tests.fakes.openai_server import (
    FakeOpenAI,
    embedding_of,
    failing,
    insufficient_quota,
    rate_limited,
)
from tests.fakes.wire import Fault, Reply, answer_by_half, hang_up, web_page

QUICK = RetryPolicy(longest_s=5, attempts=3, first_wait_s=0.01)


@pytest.fixture
def fake():
    with FakeOpenAI(widths={"text-embedding-3-small": 1536, "house-model": 12}) as server:
        yield server


def openai_embedder(fake: FakeOpenAI, model: str = "house-model", **changes) -> OpenAIEmbedder:
    values = {"openai_api_key": fake.key, "openai_base_url": fake.base_url, **changes}
    client = make_openai_client(Settings(_env_file=None, **values))
    return OpenAIEmbedder(client, model, QUICK)


def test_wordllama_rows_are_normalised_float32_and_near_for_like_texts():
    vectors = WordLlamaEmbedder().embed(["a cat and a kitten", "kittens and cats", "tax law"])

    assert vectors.dtype == np.float32
    assert vectors.shape == (3, 256)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]


def test_wordllama_gives_zeros_for_a_text_without_words_and_no_rows_for_no_texts():
    embedder = WordLlamaEmbedder()

    assert not embedder.embed(["", "a text"])[0].any()
    assert embedder.embed([]).shape == (0, 256)


def test_wordllama_gives_each_thread_the_same_vectors():
    texts = [f"passage number {number} about harbours" for number in range(200)]
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: WordLlamaEmbedder().embed(texts), range(8)))

    assert all(np.array_equal(results[0], result) for result in results)


def test_loading_wordllama_leaves_the_logging_of_the_app_alone():
    script = (
        "import logging\n"
        "from services.retrieval.embeddings import WordLlamaEmbedder\n"
        "WordLlamaEmbedder().embed(['x'])\n"
        "print(logging.getLogger().handlers, logging.getLogger().level)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert run.stdout.strip() == f"[] {logging.WARNING}"


def test_settings_choose_the_embedder(fake):
    offline = make_embedder(Settings(_env_file=None))
    online = make_embedder(
        Settings(_env_file=None, openai_api_key=fake.key, openai_base_url=fake.base_url)
    )

    assert (offline.name, offline.width) == ("wordllama-256", 256)
    assert (online.name, online.width) == ("text-embedding-3-small", 1536)


def test_minilm_needs_no_key_and_is_chosen_by_name():
    embedder = make_embedder(Settings(_env_file=None, embedding_model="minilm"))

    assert (embedder.name, embedder.width, embedder.waiting()) == ("minilm-384", 384, None)


def test_minilm_rows_are_normalised_float32_and_near_for_like_texts_without_like_words():
    vectors = MiniLMEmbedder().embed(["The vessel docks at noon.", "A ship arrives", "tax law"])

    assert (vectors.dtype, vectors.shape) == (np.float32, (3, 384))
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.3
    assert MiniLMEmbedder().embed([]).shape == (0, 384)


def test_minilm_gives_a_text_the_same_vector_alone_and_among_longer_and_shorter_ones():
    texts = [f"berth {number}. " * (number % 40 + 1) for number in range(60)]  # several batches
    together = MiniLMEmbedder().embed(texts)

    alone = np.concatenate([MiniLMEmbedder().embed([text]) for text in texts])
    assert together == pytest.approx(alone, abs=1e-5)


def test_minilm_reads_as_many_tokens_of_a_text_as_it_was_trained_with():
    whole = "harbour " * (MOST_TOKENS - 2)  # and the two that mark its ends
    once, longer, shorter = MiniLMEmbedder().embed([whole, whole + "tax law " * 99, whole[:-9]])

    assert longer == pytest.approx(once)
    assert shorter != pytest.approx(once)


@pytest.mark.parametrize("text", ["", " ", "\0", "日本語 🚢", "a" * 5_000])
def test_minilm_gives_a_usable_vector_for_any_text(text):
    assert np.linalg.norm(MiniLMEmbedder().embed([text])) == pytest.approx(1.0)


def test_minilm_is_loaded_once_and_gives_each_thread_the_same_vectors():
    texts = ["harbour rules", "berth charges", "pilot service"]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: MiniLMEmbedder().embed(texts), range(8)))

    assert all(np.array_equal(results[0], result) for result in results)
    assert MiniLMEmbedder()._load() is MiniLMEmbedder()._load()


@pytest.mark.parametrize("missing", ["_MODEL", "_TOKENIZER"])
@pytest.mark.parametrize("place", [("no-such-package", "model"), ("numpy", "no/such/file")])
def test_minilm_says_what_to_install_if_a_part_is_missing(monkeypatch, missing, place):
    monkeypatch.setattr(f"services.retrieval.minilm_embedder.{missing}", place)
    settings = Settings(_env_file=None, embedding_model="minilm")

    for ask in (make_embedder, require_embedder):
        with pytest.raises(ConfigurationError, match="EMBEDDING_MODEL is minilm") as refused:
            ask(settings)
        assert "pip install -r requirements-minilm.txt" in refused.value.next_step


def test_an_app_without_minilm_asks_for_none_of_its_packages(monkeypatch):
    monkeypatch.setattr("services.retrieval.minilm_embedder._MODEL", ("no-such-package", "x"))
    require_embedder(Settings(_env_file=None))


def test_openai_rows_come_in_the_order_of_the_texts_whatever_the_order_of_the_answer(fake):
    def backwards(request, answer):
        reply = answer(request)
        return replace(reply, body={**reply.body, "data": reply.body["data"][::-1]})

    fake.fail(backwards)
    texts = ["harbour rules", "berth charges", "pilot service"]
    vectors = openai_embedder(fake).embed(texts)

    expected = np.array([embedding_of(text, 12) for text in texts])
    assert vectors == pytest.approx(expected, abs=1e-6)


def test_width_of_an_unknown_model_is_learned_from_the_server_once(fake):
    embedder = openai_embedder(fake)

    assert [embedder.width, embedder.width] == [12, 12]
    assert embedder.embed([]).shape == (0, 12)
    assert len(fake.calls("/embeddings")) == 1


def test_more_texts_than_a_request_may_have_go_in_several(fake):
    texts = [f"text {number}" for number in range(MAX_INPUTS_PER_REQUEST + 1)]

    assert openai_embedder(fake).embed(texts).shape == (len(texts), 12)
    assert [len(call.request.json()["input"]) for call in fake.calls("/embeddings")] == [2048, 1, 1]


def test_a_request_never_has_more_tokens_than_the_server_takes(fake):
    texts = ["word " * 3_000 for _ in range(90)]  # 337,500 tokens as the fake counts

    openai_embedder(fake, "text-embedding-3-small").embed(texts)

    assert {call.status for call in fake.calls("/embeddings")} == {200}
    assert [len(call.request.json()["input"]) for call in fake.calls("/embeddings")] == [39, 39, 12]


def test_a_text_longer_than_the_model_reads_is_refused_before_it_is_sent(fake):
    with pytest.raises(NotAllowed, match="too long"):
        openai_embedder(fake).embed(["fine", "x" * 16_385])
    assert fake.calls() == []


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        (failing(401, "invalid_api_key"), ConfigurationError, "refused the key"),
        (failing(403), ConfigurationError, "does not allow"),
        (failing(404, "model_not_found"), ConfigurationError, "no model named house-model"),
        (insufficient_quota, EmbedderUnavailable, "quota"),
        (rate_limited(60), EmbedderUnavailable, "rate limit"),
        (failing(500), EmbedderUnavailable, "status 500"),
        (hang_up, EmbedderUnavailable, "could not be reached"),
        (answer_by_half, EmbedderUnavailable, "not"),
        (web_page, EmbedderUnavailable, "form"),
        (lambda *_: Reply(200, {"data": []}), EmbedderUnavailable, "form"),
        (lambda *_: Reply(200, {"data": [{"index": 0}]}), EmbedderUnavailable, "form"),
    ],
)
def test_each_failure_has_words_of_its_own_and_names_no_key(fake, fault: Fault, error, words):
    fake.fail(fault, times=3)

    with pytest.raises(error, match=words) as caught:
        openai_embedder(fake).embed(["a text"])
    assert fake.key not in f"{caught.value} {caught.value.next_step}"


def test_a_failure_that_passes_is_not_seen(fake):
    fake.fail(failing(503), web_page)

    assert openai_embedder(fake).embed(["a text"]).shape == (1, 12)


def changed(change) -> Fault:
    """The answer that would have been, with `change` applied to the list of its rows."""

    def fault(request, answer):
        reply = answer(request)
        return replace(reply, body={**reply.body, "data": change(reply.body["data"])})

    return fault


def as_vectors(*vectors) -> Fault:
    return changed(
        lambda rows: [
            {**row, "embedding": vector} for row, vector in zip(rows, vectors, strict=True)
        ]
    )


NOTHING_BUT = 11 * [0.0]


@pytest.mark.parametrize(
    "vector",
    [
        [float("nan"), *NOTHING_BUT],
        [None, *NOTHING_BUT],  # how llama.cpp writes what is not a number
        [float("inf"), *NOTHING_BUT],
        [1e200, *NOTHING_BUT],
        [0.0, *NOTHING_BUT],
        [0, *NOTHING_BUT],
    ],
    ids=["NaN", "null", "infinite", "longer than any", "zeros", "zero as a whole number"],
)
def test_a_vector_that_can_not_be_compared_is_refused_in_words_and_not_asked_again(fake, vector):
    fake.fail(as_vectors([1.0, *NOTHING_BUT], vector))
    with pytest.raises(EmbedderUnavailable, match=r"gave 1 of 2 texts a vector .* Nothing was"):
        openai_embedder(fake).embed(["a text", "another"])
    assert len(fake.calls()) == 1


def test_a_blank_text_may_be_without_a_direction(fake):
    fake.fail(as_vectors([0.0, *NOTHING_BUT]))
    assert not openai_embedder(fake).embed([" "]).any()


def test_vectors_are_normalised_however_long_they_are_and_in_whole_numbers_too(fake):
    for vector in ([3, 4, *NOTHING_BUT[1:]], [3e30, 4e30, *NOTHING_BUT[1:]], [3e-30, 4e-30]):
        fake.fail(as_vectors([*vector, *(12 - len(vector)) * [0.0]]))
        embedded = openai_embedder(fake).embed(["a text"])
        assert embedded.dtype == np.float32
        assert embedded[0, :2] == pytest.approx([0.6, 0.8])


def test_base64_is_read_although_numbers_were_asked_for(fake):
    numbers = embedding_of("a text", 12)
    fake.fail(as_vectors(base64.b64encode(numbers.tobytes()).decode()))
    assert openai_embedder(fake).embed(["a text"])[0] == pytest.approx(numbers, abs=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: [{**row, "index": 0} for row in rows],
        lambda rows: [{**row, "index": row["index"] + 1} for row in rows],
        lambda rows: [{**row, "index": None} for row in rows],
        lambda rows: rows[:1],
        lambda rows: [*rows, rows[0]],
        lambda rows: [{**row, "embedding": []} for row in rows],
        lambda rows: [{**row, "embedding": [row["embedding"]]} for row in rows],
        lambda rows: [{**row, "embedding": "no base64!"} for row in rows],
        lambda rows: [{**row, "embedding": [10**400]} for row in rows],
        lambda rows: [rows[0], {**rows[1], "embedding": rows[1]["embedding"][:5]}],
        lambda rows: dict(enumerate(rows)),
    ],
    ids=[
        "one index for all",
        "from one",
        "no index",
        "one is missing",
        "one twice",
        "no numbers",
        "one for each token",
        "a word",
        "beyond any number",
        "two widths",
        "no list",
    ],
)
def test_what_is_not_one_vector_for_each_text_is_refused(fake, change):
    fake.fail(changed(change), times=3)
    with pytest.raises(EmbedderUnavailable, match="form"):
        openai_embedder(fake).embed(["a text", "another"])


def test_answers_of_another_width_are_refused(fake):
    embedder = openai_embedder(fake)
    assert embedder.width == 12
    fake.widths["house-model"] = 13

    with pytest.raises(EmbedderUnavailable, match="width other than"):
        embedder.embed(["a text"])
