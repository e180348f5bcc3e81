"""The question writer against a strict stand-in for the OpenAI API, over HTTP."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from openai import RateLimitError

from services.config import Settings
from services.errors import ConfigurationError, GenerationError
from services.generation.openai_writer import OpenAIQuestionWriter
from services.generation.pricing import estimate_generation
from services.generation.question_writers import make_question_writer
from services.models import Chunk, TokenUsage
from services.openai_api.client import RetryPolicy, make_openai_client
from tests.fakes.openai_server import (
    Allowance,
    FakeOpenAI,
    answering,
    answering_with_message,
    content_filtered,
    cut_off,
    failing,
    insufficient_quota,
    rate_limited,
    refuse,
    saying,
)
from tests.fakes.wire import Fault, Reply, answer_by_half, hang_up, web_page

CHUNK = Chunk("c1", "d1", "Harbour rules.pdf", 0, "Vessels above 40 metres book a berth by telex.")
QUICK = RetryPolicy(longest_s=5, attempts=3, first_wait_s=0.01)


@pytest.fixture
def fake():
    with FakeOpenAI() as server:
        yield server


def settings_for(fake: FakeOpenAI, **changes) -> Settings:
    values = {"openai_api_key": fake.key, "openai_base_url": fake.base_url, **changes}
    return Settings(_env_file=None, **values)


def writer_for(
    fake: FakeOpenAI, model: str = "gpt-4o-mini", retry_policy: RetryPolicy = QUICK, **changes
):
    client = make_openai_client(settings_for(fake, **changes))
    return OpenAIQuestionWriter(client, model, retry_policy)


def test_a_strict_server_takes_the_request_and_the_tokens_are_reported(fake):
    written = writer_for(fake).write(CHUNK, 3)

    assert len(written.questions) == 3
    assert written.problem is None
    assert written.usage.input_tokens > 0
    assert written.usage.output_tokens > 0


@pytest.mark.parametrize("model", ["gpt-4o-mini", "gpt-4.1-nano", "gpt-5-mini"])
def test_every_listed_model_takes_the_request(fake, model):
    assert len(writer_for(fake, model).write(CHUNK, 1).questions) == 1


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        (refuse, "refused"),
        (content_filtered, "refused"),
        (cut_off, "cut off"),
        (saying('{"questions": []}'), "empty answer"),
        (saying('{"questions": ["", "  "]}'), "empty answer"),
        (saying('{"questions": ["...", "?"]}'), "empty answer"),  # the example, word for word
        (saying(None), "empty answer"),
        (saying("<think>Who books? I wonder"), "empty answer"),
        (answering(choices=[]), "empty answer"),
        (answering(choices=[{"message": None, "finish_reason": 3}]), "empty answer"),
        (answering(choices=[{"finish_reason": "content_filter"}]), "refused"),
        (saying('{"questions": "none"}'), "not in the asked form"),
        (saying("Here are your questions!"), "not in the asked form"),
    ],
)
def test_an_answer_without_questions_is_named_paid_once_and_ends_nothing(fake, fault, problem):
    writer = writer_for(fake)
    writer.write(CHUNK, 1)  # decides the form of the answers
    fake.fail(fault)

    written = writer.write(CHUNK, 3)

    assert (written.questions, written.problem) == ((), problem)
    assert written.usage.input_tokens > 0
    assert len(fake.calls("/chat/completions")) == 2
    assert writer.write(CHUNK, 3).problem is None


@pytest.mark.parametrize(
    "fault",
    [
        answering(usage="unknown"),
        answering(usage={"prompt_tokens": 5.5, "completion_tokens": None}),
        answering_with_message(refusal=False),
        answering_with_message(
            content=[
                {"type": "thinking", "thinking": []},
                {"type": "text", "text": '{"questions": ["Who books'},
                {"type": "text", "text": ' a berth?"]}'},
            ]
        ),
    ],
    ids=["no usage", "odd usage", "refusal is false", "content in parts"],
)
def test_what_is_odd_beside_the_questions_costs_none_of_them(fake, fault):
    fake.fail(fault)
    written = writer_for(fake).write(CHUNK, 1)
    assert (len(written.questions), written.problem) == (1, None)
    assert len(fake.calls()) == 1


def test_fewer_questions_than_asked_are_kept_and_named(fake):
    fake.fail(saying('{"questions": ["Who books a berth?"]}'))
    written = writer_for(fake).write(CHUNK, 3)
    assert written.questions == ("Who books a berth?",)
    assert written.problem == "fewer questions than asked"


def test_more_questions_than_asked_and_repeated_ones_are_left_out(fake):
    fake.fail(saying('{"questions": ["Who books?", "who  books?", "By what?", "When?"]}'))
    written = writer_for(fake).write(CHUNK, 2)
    assert len(written.questions) == 2
    assert len({question.casefold() for question in written.questions}) == 2
    assert written.problem is None


def test_a_passage_that_is_too_long_for_the_model_is_a_problem_of_that_passage_alone(fake):
    long = Chunk("c2", "d1", "Long.txt", 0, "word " * 120_000)
    assert writer_for(fake).write(long, 3).problem == "too long for the model"


@pytest.mark.parametrize(
    ("code", "problem"),
    [("invalid_prompt", "refused"), ("json_validate_failed", "not in the asked form")],
)
def test_a_passage_that_the_server_refuses_is_a_problem_of_that_passage_alone(fake, code, problem):
    writer = writer_for(fake)
    writer.write(CHUNK, 1)  # decides the form of the answers
    fake.fail(failing(400, code))
    assert writer.write(CHUNK, 3).problem == problem
    assert len(fake.calls()) == 2


def test_a_server_that_finds_the_answer_not_in_its_form_is_asked_in_the_next_one(fake):
    fake.fail(failing(400, "json_validate_failed"))
    writer = writer_for(fake)
    assert writer.write(CHUNK, 3).problem is None
    assert writer.form == "json"


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (failing(401, "invalid_api_key"), "refused the key"),
        (failing(403, "model_not_allowed"), "does not allow this key"),
        (insufficient_quota, "quota"),
        (failing(404, "model_not_found"), "no model named gpt-4o-mini"),
        (failing(400, "unsupported_parameter"), "refused the request"),
    ],
)
def test_what_no_waiting_mends_ends_the_run_at_the_first_call(fake, fault, words):
    fake.fail(fault, times=99)
    with pytest.raises(GenerationError, match=words) as failure:
        writer_for(fake).write(CHUNK, 3)
    assert failure.value.next_step
    assert len(fake.calls()) == 1


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (rate_limited(0), "rate limit"),
        (failing(500), "status 500"),
        (failing(501), "status 501"),
        (failing(503), "status 503"),
        (hang_up, "could not be reached"),
        (answer_by_half, "could not be reached"),
        (web_page, "not the OpenAI API's"),
        (lambda request, answer: Reply(200, {"id": "1"}), "not the OpenAI API's"),
        (failing(200, "upstream_down"), r"answered with an error \(code upstream_down\)"),
        (failing(200, CHUNK.text), r"answered with an error \(without a code\)"),
    ],
)
def test_what_may_pass_is_tried_again_and_ends_the_run_only_when_it_stays(
    fake, fault: Fault, words
):
    fake.fail(fault, times=2)
    assert writer_for(fake).write(CHUNK, 3).problem is None
    assert len(fake.calls()) == 3

    fake.fail(fault, times=99)
    with pytest.raises(GenerationError, match=words):
        writer_for(fake).write(CHUNK, 3)
    assert len(fake.calls()) == 3 + QUICK.attempts


def test_a_server_that_is_away_ends_the_run_with_the_network_named():
    with FakeOpenAI() as fake:
        writer = writer_for(fake)
    with pytest.raises(GenerationError, match="could not be reached"):
        writer.write(CHUNK, 3)


def test_a_wait_that_the_server_asks_for_is_not_counted_as_an_attempt(fake):
    fake.fail(rate_limited(0.01), times=QUICK.attempts + 3)
    assert writer_for(fake).write(CHUNK, 3).problem is None


def test_waits_that_were_asked_for_leave_the_attempts_for_what_fails_after_them(fake):
    fake.fail(rate_limited(0.01), times=QUICK.attempts)
    fake.fail(hang_up, times=QUICK.attempts - 1)
    assert writer_for(fake).write(CHUNK, 3).problem is None


def test_a_longer_wait_than_the_retry_policy_allows_ends_the_run_without_waiting(fake):
    fake.fail(rate_limited(3600))
    with pytest.raises(GenerationError, match=r"until .* UTC \(in 60 minutes\)"):
        writer_for(fake).write(CHUNK, 3)
    assert len(fake.calls()) == 1
    assert writer_for(fake).write(CHUNK, 3).problem is None  # who proceeds by hand may try


def test_stopping_ends_a_long_wait_at_once(fake):
    fake.fail(rate_limited(100), times=99)
    writer = writer_for(fake, retry_policy=RetryPolicy(longest_s=200))
    outcome = []

    def write():
        try:
            writer.write(CHUNK, 3)
        except GenerationError as error:
            outcome.append(error)

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    while not fake.calls():
        thread.join(0.01)
    writer.stop()
    thread.join(30)
    assert len(outcome) == 1
    assert len(fake.calls()) == 1  # no last try: nothing more is spent


def test_a_server_of_ones_own_needs_no_key(fake):
    fake.key = "no-key-needed"
    settings = Settings(_env_file=None, openai_base_url=fake.base_url)
    assert make_question_writer(settings).write(CHUNK, 2).problem is None


def test_neither_the_key_nor_the_passage_is_logged_or_shown(fake, caplog):
    caplog.set_level(logging.INFO, logger="services")
    fake.fail(failing(401, "invalid_api_key"))
    with pytest.raises(GenerationError) as failure:
        writer_for(fake).write(CHUNK, 3)
    assert caplog.records
    for text in (caplog.text, str(failure.value), failure.value.next_step):
        assert fake.key not in text
        assert CHUNK.text not in text


def test_many_threads_share_one_writer(fake):
    writer = writer_for(fake)
    written = []
    threads = [
        threading.Thread(
            target=lambda n=n: written.append(
                writer.write(Chunk(f"c{n}", "d", "D", n, f"passage{n} about harbours"), 2)
            )
        )
        for n in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(written) == 16
    assert all(fake.calls(text=f"passage{n} ") for n in range(16))


@pytest.mark.parametrize(
    ("abilities", "form", "calls"),
    [
        ({}, "schema", 1),
        ({"obeys_schemas": False}, "json", 2),
        ({"obeys_schemas": False, "obeys_json": False}, "text", 3),
        ({"obeys_schemas": False, "refuses_with": 422}, "json", 2),
        ({"obeys_schemas": False, "obeys_json": False, "refuses_with": 501}, "text", 3),
        ({"ignores_forms": True}, "text", 3),
    ],
)
def test_a_server_is_asked_in_the_strictest_form_it_obeys_and_finding_out_happens_once(
    abilities, form, calls
):
    with FakeOpenAI(**abilities) as fake:
        writer = writer_for(fake)
        for _ in range(3):
            written = writer.write(CHUNK, 3)
            assert len(written.questions) == 3
            assert not any(question[0].isdigit() for question in written.questions)
        assert writer.form == form
        assert len(fake.calls("/chat/completions")) == calls + 2


def test_what_it_takes_to_find_the_form_is_part_of_the_usage():
    with FakeOpenAI(ignores_forms=True) as fake:
        writer = writer_for(fake)
        first, later = writer.write(CHUNK, 3), writer.write(CHUNK, 3)
    assert first.usage.input_tokens > 2.5 * later.usage.input_tokens


def test_a_refusal_of_the_first_chunk_says_nothing_of_the_form(fake):
    fake.fail(refuse)
    writer = writer_for(fake)
    assert writer.write(CHUNK, 3).problem == "refused"
    assert writer.form is None
    writer.write(CHUNK, 3)
    assert writer.form == "schema"


def test_a_cap_ends_the_run_before_the_next_call_and_proceeding_may_spend_as_much_again(fake):
    settings = settings_for(
        fake, model_prices={"gpt-4o-mini": (1_000.0, 1_000.0)}, run_cost_cap_usd=0.25
    )
    writer = make_question_writer(settings)
    written = writer.write(CHUNK, 3)
    assert written.usage.input_tokens > 250  # a quarter of a dollar is spent
    with pytest.raises(GenerationError, match="cap of"):
        writer.write(CHUNK, 3)
    assert len(fake.calls()) == 1
    assert make_question_writer(settings).write(CHUNK, 3).problem is None


def test_an_answer_that_does_not_say_its_cost_counts_for_the_cap_as_estimated(fake):
    prices = {"gpt-4o-mini": (1_000.0, 1_000.0)}
    estimated = estimate_generation([CHUNK], 3, "gpt-4o-mini", prices).cost_usd
    settings = settings_for(fake, model_prices=prices, run_cost_cap_usd=1.5 * estimated)
    writer = make_question_writer(settings)
    fake.fail(answering(usage=None), times=2)
    assert [writer.write(CHUNK, 3).usage for _ in range(2)] == [TokenUsage()] * 2
    with pytest.raises(GenerationError, match="cap of"):
        writer.write(CHUNK, 3)


def test_a_cap_without_a_price_is_refused_because_it_would_not_hold(fake):
    settings = settings_for(fake, question_model="llama3.1", run_cost_cap_usd=1.0)
    with pytest.raises(ConfigurationError, match="price of llama"):
        make_question_writer(settings)


@pytest.mark.parametrize(
    "allowance",
    [
        {"requests": Allowance(per_minute=1_200, level=12)},
        {"tokens": Allowance(per_minute=6_000_000, level=60_000)},
    ],
    ids=["requests", "tokens"],
)
def test_threads_keep_within_the_limits_that_the_headers_tell(allowance):
    with FakeOpenAI(**allowance) as fake:
        writer = writer_for(fake)
        with ThreadPoolExecutor(8) as threads:
            written = list(threads.map(lambda _: writer.write(CHUNK, 1), range(40)))

    assert all(answer.questions for answer in written)
    assert {call.status for call in fake.calls()} == {200}  # none was refused
    assert len(fake.calls()) == 40


def test_whoever_does_not_heed_the_headers_is_refused():
    with FakeOpenAI(requests=Allowance(per_minute=1_200, level=12)) as fake:
        client = make_openai_client(settings_for(fake)).with_options(max_retries=0)
        with ThreadPoolExecutor(8) as threads:
            calls = [threads.submit(client.models.list) for _ in range(40)]
        assert any(isinstance(call.exception(), RateLimitError) for call in calls)
