"""The question writer and the embedder against what other servers refuse and answer."""

from __future__ import annotations

import pytest

from services.config import Settings
from services.errors import EmbedderUnavailable, GenerationError
from services.generation.openai_writer import OpenAIQuestionWriter
from services.models import Chunk
from services.openai_api.client import RetryPolicy, make_openai_client
from services.openai_api.connection_check import check_connection
from services.retrieval.embedders import make_embedder
from services.retrieval.openai_embedder import OpenAIEmbedder
from tests.fakes.odd_answers import (
    OWN_WORDS,
    THOUGHTS,
    broken_off,
    error_beside_choices,
    error_in_the_choice,
    thinking_aloud,
)
from tests.fakes.openai_server import FakeOpenAI, failing
from tests.fakes.other_servers import (
    ALWAYS,
    BATCH_LIMITS,
    CONTEXTS,
    REFUSE_PARAMETER,
    at_most,
    context_of,
    too_long_alone,
    unsupported,
    without,
)
from tests.fakes.wire import Fault, Reply

CHUNK = Chunk("c1", "d1", "Harbour rules.pdf", 0, "Vessels above 40 metres book a berth by telex.")
PASSAGE = Chunk("c3", "d1", "Quays.txt", 0, " ".join(f"quay{n}mooring" for n in range(60)))
LONG = Chunk("c2", "d1", "Long.txt", 0, "Vessels book berths. " * 1_000)  # some 5,000 tokens
QUICK = RetryPolicy(longest_s=5, attempts=3, first_wait_s=0.01)
DECOY = '{"questions": ["What did I think of?"]}'


@pytest.fixture
def fake():
    with FakeOpenAI(widths={"house-model": 12}) as server:
        yield server


def settings_for(fake: FakeOpenAI, **changes) -> Settings:
    values = {"openai_api_key": fake.key, "openai_base_url": fake.base_url, **changes}
    return Settings(_env_file=None, **values)


def writer_for(fake: FakeOpenAI) -> OpenAIQuestionWriter:
    return OpenAIQuestionWriter(make_openai_client(settings_for(fake)), "gpt-4o-mini", QUICK)


def embedder_for(fake: FakeOpenAI, **options) -> OpenAIEmbedder:
    return OpenAIEmbedder(make_openai_client(settings_for(fake)), "house-model", QUICK, **options)


def bodies(fake: FakeOpenAI, status: int | None = None) -> list[dict]:
    calls = fake.calls("/v1/")
    return [call.request.json() for call in calls if status in (None, call.status)]


# Chat


@pytest.mark.parametrize("refuse", REFUSE_PARAMETER.values(), ids=REFUSE_PARAMETER)
def test_a_server_that_knows_only_max_tokens_is_asked_so_and_finding_out_happens_once(fake, refuse):
    fake.fail(without("max_completion_tokens", refuse), times=ALWAYS)
    writer = writer_for(fake)
    assert [len(writer.write(CHUNK, 3).questions) for _ in range(3)] == [3, 3, 3]
    assert ["max_tokens" in body for body in bodies(fake)] == [False, True, True, True]


def test_a_server_that_knows_neither_schemas_nor_the_new_name_is_found_out_all_the_same(fake):
    fake.obeys_schemas = False
    fake.fail(without("max_completion_tokens"), times=ALWAYS)
    writer = writer_for(fake)
    assert writer.write(CHUNK, 3).problem is None
    assert (writer.form, writer.limit.name) == ("json", "max_tokens")


def test_a_server_that_refuses_every_name_of_the_limit_says_so_itself(fake):
    fake.fail(without("max_completion_tokens", unsupported), times=1)
    fake.fail(without("max_tokens", unsupported), times=ALWAYS)
    with pytest.raises(GenerationError, match=r"It says: .Unsupported parameter: 'max_tokens'"):
        writer_for(fake).write(CHUNK, 3)
    assert len(fake.calls()) == 3


@pytest.mark.parametrize("count", [1, 3, 10])
@pytest.mark.parametrize("refuse", CONTEXTS.values(), ids=CONTEXTS)
def test_a_context_of_4000_tokens_is_enough_for_a_passage(fake, refuse, count):
    fake.fail(context_of(4_000, refuse), times=ALWAYS)
    writer = writer_for(fake)
    assert [writer.write(PASSAGE, count).problem for _ in range(3)] == [None] * 3
    assert len(fake.calls()) <= 4  # once to find out that there is no room to think


def test_a_request_asks_for_no_more_tokens_than_its_questions_and_some_thoughts_need(fake):
    writer = writer_for(fake)
    for count in (1, 10):
        writer.write(CHUNK, count)
    few, many = (body["max_completion_tokens"] for body in bodies(fake))
    assert few < many < 4_000


@pytest.mark.parametrize("refuse", CONTEXTS.values(), ids=CONTEXTS)
def test_a_passage_that_does_not_fit_is_a_problem_of_that_passage_alone(fake, refuse):
    fake.fail(context_of(4_000, refuse), times=ALWAYS)
    writer = writer_for(fake)
    written = writer.write(LONG, 3)
    assert (written.questions, written.problem) == ((), "too long for the model")
    assert len(fake.calls()) == 2  # a 500 that says so is not tried again and again
    assert writer.write(CHUNK, 3).problem is None
    assert writer.limit.has_room_to_think  # one long passage takes the room from no other


@pytest.mark.parametrize(
    "fault",
    [error_beside_choices(502), error_in_the_choice(502), broken_off, error_beside_choices("x_y")],
    ids=["beside the choices", "in the choice", "broken off", "with a code of its own"],
)
def test_an_error_in_a_200_is_the_servers_and_is_tried_again(fake, fault: Fault):
    fake.fail(fault, times=2)
    assert writer_for(fake).write(CHUNK, 3).problem is None
    fake.fail(fault, times=ALWAYS)
    with pytest.raises(GenerationError, match="answered with an error"):
        writer_for(fake).write(CHUNK, 3)
    assert len(fake.calls()) == 3 + QUICK.attempts


@pytest.mark.parametrize("fault", OWN_WORDS.values(), ids=OWN_WORDS)
def test_words_in_place_of_an_answer_are_an_error_and_reach_the_person(fake, fault: Fault):
    fake.fail(fault, times=2)
    assert writer_for(fake).write(CHUNK, 3).problem is None
    fake.fail(fault, times=ALWAYS)
    with pytest.raises(GenerationError, match=r"answered with an error.*CUDA is out"):
        writer_for(fake).write(CHUNK, 3)
    with pytest.raises(EmbedderUnavailable, match=r"answered with an error.*CUDA is out"):
        embedder_for(fake).embed(["text"])


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (401, "refused the key"),
        (402, "quota"),
        (403, "does not allow"),
        ("insufficient_quota", "quota"),
        ("model_not_found", "no model named"),
    ],
)
def test_an_error_in_a_200_that_no_waiting_mends_ends_the_run_at_once(fake, code, words):
    fake.fail(error_beside_choices(code), times=ALWAYS)
    with pytest.raises(GenerationError, match=words):
        writer_for(fake).write(CHUNK, 3)
    assert len(fake.calls()) == 1


@pytest.mark.parametrize("kind", THOUGHTS)
def test_thoughts_that_the_server_hands_on_are_not_the_questions(fake, kind):
    fake.fail(thinking_aloud(f"Perhaps {DECOY}?", kind), times=ALWAYS)
    writer = writer_for(fake)
    written = writer.write(CHUNK, 3)
    assert (len(written.questions), written.problem) == (3, None)
    assert not any("think of" in question for question in written.questions)
    assert writer.form == "schema"


def test_the_servers_own_words_reach_the_person_without_key_and_passage(fake):
    def repeats_everything(request, answer):
        message = f"[{fake.key}] no `tools` for <b>you</b>: {request.json()['messages'][1]}"
        return Reply(400, {"error": {"message": message}})

    fake.fail(repeats_everything)
    with pytest.raises(GenerationError) as failure:
        writer_for(fake).write(CHUNK, 3)
    assert 'It says: "[…] no `tools` for <b>you</b>: {' in str(failure.value)
    assert fake.key not in str(failure.value)
    assert not any(word in str(failure.value) for word in ("Vessels", "metres", "telex"))


# Embeddings


@pytest.mark.parametrize("refuse", BATCH_LIMITS.values(), ids=BATCH_LIMITS)
def test_a_server_with_a_batch_limit_is_sent_half_until_it_fits_and_that_is_remembered(
    fake, refuse
):
    fake.fail(at_most(32, refuse), times=ALWAYS)
    texts = [f"text {number}" for number in range(300)]

    embedded = embedder_for(fake).embed(texts)

    sizes = [len(body["input"]) for body in bodies(fake)]
    assert sizes[:5] == [300, 150, 75, 37, 18]
    assert max(sizes[5:]) == 18
    assert (embedded == embedder_for(fake).embed(texts)).all()  # another embedder, which knows
    assert {call.status for call in fake.calls()[len(sizes) :]} == {200}


def test_what_one_model_or_server_refuses_says_nothing_of_another(fake):
    fake.fail(at_most(32), times=ALWAYS)
    embedder_for(fake).embed(["text"] * 64)
    with FakeOpenAI(widths={"house-model": 12}) as other:
        embedder_for(other).embed(["text"] * 64)
        assert len(bodies(other)[0]["input"]) == 64


def test_a_setting_says_how_many_texts_go_in_a_request(fake):
    fake.fail(at_most(32), times=ALWAYS)
    settings = settings_for(fake, embedding_model="house-model", embedding_batch=32)
    assert make_embedder(settings).embed(["text"] * 100).shape == (100, 12)
    assert {call.status for call in fake.calls()} == {200}


def test_one_text_that_is_too_long_is_named_by_the_server_and_halves_nothing_for_others(fake):
    fake.fail(too_long_alone(512), times=ALWAYS)
    texts = ["short"] * 40
    with pytest.raises(EmbedderUnavailable, match=r"must have less than 512 tokens. Given: 600"):
        embedder_for(fake).embed([*texts, "long " * 600])
    before = len(fake.calls())
    embedder_for(fake).embed(texts)
    assert len(bodies(fake)[before]["input"]) == 40


@pytest.mark.parametrize(
    "fault", [failing(401), failing(403), failing(404), failing(500), error_beside_choices(401)]
)
def test_only_a_refusal_of_the_request_is_halved(fake, fault):
    fake.fail(fault, times=ALWAYS)
    with pytest.raises(Exception, match=r"refused the key|allow|no model|fails"):
        embedder_for(fake).embed(["text"] * 64)
    assert {len(body["input"]) for body in bodies(fake)} == {64}


def test_an_error_in_a_200_is_told_as_the_servers_by_the_embedder_too(fake):
    fake.fail(error_beside_choices("upstream_down"), times=ALWAYS)
    with pytest.raises(EmbedderUnavailable, match=r"upstream_down.*Provider returned error"):
        embedder_for(fake).embed(["text"])


def test_the_connection_test_finds_a_server_out_as_a_run_does(fake):
    fake.fail(without("max_completion_tokens"), times=ALWAYS)
    report = check_connection(settings_for(fake, embedding_model="house-model"))
    assert report.problems == ()
