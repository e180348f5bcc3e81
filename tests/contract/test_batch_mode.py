"""The batch mode at the wire: what was submitted is remembered, and nothing is paid twice."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest

from services.config import Settings
from services.errors import ConfigurationError, GenerationError, NotAllowed
from services.generation.batch_generator import generate_in_batches
from services.generation.batch_ledger import BatchLedger
from services.generation.batch_mode import BatchMode, batches_of, waiting
from services.generation.pair_generator import usage_so_far
from services.generation.pricing import INSTRUCTION_TOKENS, estimate_generation
from services.models import Chunk, TokenUsage
from services.runs.lease import RunLease, RunLost
from services.runs.states import RunStatus
from tests.fakes.odd_answers import broken_off, error_beside_choices, error_in_the_choice
from tests.fakes.openai_server import (
    FakeOpenAI,
    answering,
    cut_off,
    failing,
    insufficient_quota,
    rate_limited,
    refuse,
    saying,
)
from tests.fakes.wire import Fault, answer_by_half, hang_up, web_page
from tests.runs import Script

LONG_S = 20  # a bound for what happens at once; never waited for when all is well
CHUNKS = [Chunk(f"c{n:02}", "d", "a.txt", n, f"Quay{n:02} has mooring{n:02}.") for n in range(12)]
TOKENS_OF_FIVE = 5 * (INSTRUCTION_TOKENS + 6)
MODE = BatchMode(first_pause_s=0.01, longest_pause_s=0.02)
# A request in a batch is logged and matched as a path with its body; files only quote the path.
CHAT, CREATE, CONTENT = "/chat/completions{", "input_file_id", "/content"


class Died(BaseException):
    """The process is killed: nothing catches this."""


class DyingLease(RunLease):
    """A lease whose worker dies before, or right after, one of its statements."""

    before = after = ""

    def call(self, function: str, **parameters: Any) -> Any:
        if function == self.before:
            raise Died
        answer = super().call(function, **parameters)
        if function == self.after:
            raise Died
        return answer


@pytest.fixture
def fake() -> Iterator[FakeOpenAI]:
    with FakeOpenAI() as server:
        yield server


@pytest.fixture
def script(user, service) -> Script:
    return Script(user, service).start(batch_mode=True)


@pytest.fixture
def generate(fake, script) -> Callable[..., TokenUsage]:
    def run(lease: RunLease | None = None, chunks=CHUNKS, **options) -> TokenUsage:
        settings = Settings(
            _env_file=None,
            openai_api_key=fake.key,
            openai_base_url=fake.base_url,
            **options,
        )
        return generate_in_batches(
            lease or script.lease,
            chunks,
            settings,
            questions_per_chunk=2,
            mode=MODE,
            usage=usage_so_far(script.now.usage),
            batch_tokens=TOKENS_OF_FIVE,
        )

    return run


def asked(fake: FakeOpenAI) -> Counter[int]:
    """How often each chunk was answered, and so paid for."""
    calls = [call for call in fake.calls("/chat/completions") if call.status == 200]
    return Counter(
        chunk.position
        for chunk in CHUNKS
        for call in calls
        if f"mooring{chunk.position:02}" in call.request.text
    )


ONCE = Counter(range(12))


def die(script: Script, generate, **when: str) -> None:
    """Kill the worker before or after a statement, and let the person proceed."""
    lease = DyingLease(script.service, script.run)
    lease._key = script.lease._key  # the worker that claimed the run
    lease.__dict__.update(when)
    with pytest.raises(Died):
        generate(lease)
    script.lease.fail("The app stopped.")
    script.proceed()


def test_every_chunk_is_asked_once_in_batches_at_half_the_price_and_the_run_awaits_review(
    generate, script, fake
):
    usage = generate()
    run = script.now
    assert run.status is RunStatus.GENERATED
    assert (run.processed_chunks, run.total_chunks, run.pair_count) == (12, 12, 24)
    assert asked(fake) == ONCE
    assert usage == usage_so_far(run.usage)
    assert usage.input_tokens > 12 * 250
    assert [len(batch.lines) for batch in fake.queue.batches.values()] == [5, 5, 2]
    assert batches_of(run, script.user.database) == []
    kinds = Counter(event.kind for event in script.store.events(run.id))
    assert (kinds["batch_submitted"], kinds["batch_ended"]) == (3, 3)


def test_a_request_in_a_batch_is_the_one_that_the_writer_sends_alone(generate, fake):
    from services.generation.openai_writer import OpenAIQuestionWriter
    from services.openai_api.client import make_openai_client

    generate()
    settings = Settings(_env_file=None, openai_api_key=fake.key, openai_base_url=fake.base_url)
    OpenAIQuestionWriter(make_openai_client(settings), "gpt-4o-mini").write(CHUNKS[0], 2)
    *batch_mode, alone = [json.loads(call.request.text) for call in fake.calls("/chat/completions")]
    assert {**batch_mode[0], "stream": False} == alone


@pytest.mark.parametrize(
    "when",
    [
        {"before": "intend_batch"},
        {"after": "intend_batch"},
        {"before": "record_batch"},
        {"after": "record_batch"},
        {"before": "save_waited_pairs"},
        {"after": "save_waited_pairs"},
        {"before": "forget_batch"},
        {"after": "forget_batch"},
        {"before": "finish_generation"},
    ],
    ids=lambda when: "-".join(*when.items()),
)
def test_a_worker_that_dies_anywhere_has_no_chunk_asked_twice(generate, script, fake, when):
    die(script, generate, **when)
    usage = generate()
    assert asked(fake) == ONCE
    run = script.now
    assert (run.status, run.processed_chunks, run.pair_count) == (RunStatus.GENERATED, 12, 24)
    spent = [json.loads(call.request.text)["messages"] for call in fake.calls("/chat/completions")]
    assert len(spent) == 12
    assert usage.input_tokens == sum(
        (len("\n".join(message["content"] for message in messages)) + 3) // 4 for messages in spent
    )


def test_an_app_that_shuts_down_leaves_its_batch_running_and_the_next_collects_it(
    generate, script, fake
):
    fake.queue.answers_a_look = 0
    with ThreadPoolExecutor(1) as pool:
        work = pool.submit(generate)
        await_batch(fake, "in_progress")
        script.lease.lost.set()
        with pytest.raises(RunLost):
            work.result(LONG_S)
    [left, *_] = fake.queue.batches.values()
    assert left.status == "in_progress"
    script.lease.fail_once("The app was shut down.")
    script.proceed()
    fake.queue.answers_a_look = None
    generate()
    assert asked(fake) == ONCE
    assert script.now.pair_count == 24


def await_batch(fake: FakeOpenAI, status: str) -> None:
    pause = threading.Event()
    for _ in range(LONG_S * 100):
        if status in [batch.status for batch in list(fake.queue.batches.values())]:
            return
        pause.wait(0.01)
    pytest.fail(f"no batch is {status}")


@pytest.mark.parametrize(
    ("lost", "route"),
    [
        (answer_by_half, "purpose"),
        (answer_by_half, CREATE),
        (answer_by_half, "/batches/"),
        (answer_by_half, CONTENT),
        (failing(500), CREATE),
        (hang_up, CREATE),
        (web_page, "purpose"),
    ],
)
def test_an_answer_that_gets_lost_costs_nothing_twice(generate, fake, lost, route):
    fake.fail(lost, matching=route)
    generate()
    assert asked(fake) == ONCE


def test_what_an_expired_batch_left_out_is_submitted_again_and_only_that(generate, script, fake):
    fake.queue.expires_after = 3
    generate()
    assert asked(fake) == ONCE
    sizes = [len(batch.lines) for batch in fake.queue.batches.values()]
    assert sum(sizes) == 12 + 2
    assert script.now.pair_count == 24


def test_requests_that_failed_for_the_moment_are_submitted_again_and_only_they(generate, fake):
    fake.fail(failing(500), rate_limited(1), hang_up, matching=CHAT)
    generate()
    assert asked(fake) == ONCE
    assert len(fake.calls("/chat/completions")) == 12 + 3


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        (refuse, "refused"),
        (cut_off, "cut off"),
        (answering(choices=[]), "empty answer"),
        (answering(choices=[{"finish_reason": "content_filter"}]), "refused"),
        (failing(400, "invalid_prompt"), "refused"),
        (saying('{"questions": "none"}'), "not in the asked form"),
        (failing(400, "context_length_exceeded"), "too long for the model"),
    ],
)
def test_answers_without_questions_are_counted_by_reason_and_not_asked_again(
    generate, script, fake, fault: Fault, problem
):
    fake.fail(fault, times=2, matching=CHAT)
    generate()
    assert script.store.problems(script.run.id) == {problem: 2}
    assert len(fake.calls("/chat/completions")) == 12
    assert script.now.pair_count == 20


def test_a_batch_of_nothing_but_refusals_fails_the_run_and_proceed_submits_all_again(
    generate, script, fake
):
    fake.fail(refuse, times=12, matching=CHAT)
    generate()
    assert script.now.status is RunStatus.GENERATING_FAILED
    assert "12 refused" in script.now.error_message
    script.proceed()
    generate()
    assert (script.now.status, script.now.pair_count) == (RunStatus.GENERATED, 24)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (error_beside_choices(502), "without a single answer .502"),
        (error_in_the_choice(502), "without a single answer .502"),
        (broken_off, "without a single answer .error"),
        (error_beside_choices("insufficient_quota"), "quota"),
    ],
)
def test_an_error_in_a_200_is_no_answer_of_a_batch_either(generate, script, fake, fault, words):
    fake.fail(fault, times=12, matching=CHAT)
    with pytest.raises(GenerationError, match=words):
        generate()
    assert script.store.problems(script.run.id) == {}
    fake.forgive()
    script.lease.fail("It stopped.")
    script.proceed()
    generate()
    assert script.now.pair_count == 24


def test_a_stop_that_comes_while_a_batch_is_submitted_cancels_it(generate, script, fake):
    class StoppedLease(RunLease):
        def call(self, function: str, **parameters: Any) -> Any:
            if function == "record_batch":
                script.store.stop(self.run_id, by="ann")
            return super().call(function, **parameters)

    lease = StoppedLease(script.service, script.run)
    lease._key = script.lease._key
    with pytest.raises(RunLost):
        generate(lease)
    [batch] = fake.queue.batches.values()
    assert batch.status == "cancelling"
    script.proceed()
    generate()
    assert asked(fake) == ONCE


def test_nothing_is_submitted_once_the_run_is_lost_while_the_server_fails(generate, script, fake):
    def stop_and_fail(request, answer):
        script.store.stop(script.run.id, by="ann")
        return failing(500)(request, answer)

    fake.fail(stop_and_fail, matching=CREATE)
    with pytest.raises(RunLost):
        generate()
    assert fake.queue.batches == {}


def test_a_cap_is_not_submitted_past_and_proceeding_may_spend_as_much_again(generate, script, fake):
    prices = {"gpt-4o-mini": (1_000.0, 1_000.0)}
    one = estimate_generation(CHUNKS[:1], 2, "gpt-4o-mini", prices, batch_mode=True).cost_usd
    options = {"model_prices": prices, "run_cost_cap_usd": 7.5 * one}
    with pytest.raises(GenerationError, match="Stopped at the cap of"):
        generate(**options)
    assert script.now.processed_chunks == 7
    script.lease.fail("Stopped at the cap")
    script.proceed()
    generate(**options)
    assert asked(fake) == ONCE
    assert script.now.status is RunStatus.GENERATED


def test_answers_that_do_not_say_their_cost_count_for_the_cap_as_estimated(generate, script, fake):
    prices = {"gpt-4o-mini": (1_000.0, 1_000.0)}
    one = estimate_generation(CHUNKS[:1], 2, "gpt-4o-mini", prices, batch_mode=True).cost_usd
    fake.queue.token_limit = 2_500  # one batch at a time: the last follows the bill of the first
    fake.fail(answering(usage=None), times=99, matching=CHAT)
    with pytest.raises(GenerationError, match="Stopped at the cap of"):
        generate(model_prices=prices, run_cost_cap_usd=10.5 * one)
    assert script.now.processed_chunks == 10
    assert usage_so_far(script.now.usage) == TokenUsage()


def test_a_cap_without_a_price_is_refused_before_anything_is_submitted(generate, fake):
    with pytest.raises(ConfigurationError, match="price of"):
        generate(run_cost_cap_usd=1.0, question_model="gpt-unheard-of")
    assert fake.calls() == []


@pytest.mark.parametrize("batches", [2.5, 0.5], ids=["of-two-batches", "of-half-a-batch"])
def test_a_queue_that_is_full_is_waited_for_and_smaller_batches_are_made(generate, fake, batches):
    in_one_batch = 5 * 300  # what the stand-in counts
    fake.queue.token_limit = int(batches * in_one_batch)
    generate()
    assert asked(fake) == ONCE


def test_a_queue_with_no_room_at_all_ends_the_attempt(generate, fake):
    fake.queue.token_limit = 1
    with pytest.raises(GenerationError, match="queue for batches"):
        generate()


@pytest.mark.parametrize(
    ("fault", "route", "words"),
    [
        (failing(401, "invalid_api_key"), "", "refused the key"),
        (failing(403), CREATE, "does not allow this key"),
        (insufficient_quota, CREATE, "quota of this account"),
        (insufficient_quota, CHAT, "quota of this account"),
        (failing(404), "purpose", "has no Batch API"),
        (failing(404), "/batches/", "knows no batch"),
        (failing(404, "model_not_found"), CHAT, r"refused the batch \(model_not_found"),
        (failing(400), CREATE, "refused the request"),
        (failing(404), CONTENT, "are no longer at"),
        (failing(500), CHAT, "without a single answer"),
    ],
)
def test_what_waiting_does_not_mend_ends_the_attempt_in_words_and_proceed_completes_it(
    generate, script, fake, fault, route, words
):
    fake.fail(fault, times=99, matching=route)
    with pytest.raises(GenerationError, match=words) as failure:
        generate()
    assert failure.value.next_step
    fake.forgive()
    script.lease.fail(str(failure.value))
    script.proceed()
    generate()
    assert script.now.pair_count == 24
    if route != CONTENT:  # those answers are lost, and were said to be asked again
        assert asked(fake) == ONCE


def test_a_server_without_a_batch_api_is_named(user, service):
    script = Script(user, service).start(batch_mode=True)
    with FakeOpenAI(has_batches=False) as fake:
        settings = Settings(_env_file=None, openai_api_key=fake.key, openai_base_url=fake.base_url)
        with pytest.raises(GenerationError, match="has no Batch API"):
            generate_in_batches(script.lease, CHUNKS, settings, questions_per_chunk=2, mode=MODE)


@pytest.mark.parametrize(
    ("status", "words"), [("cancelled", "was cancelled at"), ("expired", "without a single answer")]
)
def test_a_batch_that_somebody_ended_there_is_told_and_not_begun_anew_unasked(
    generate, script, fake, status, words
):
    fake.queue.answers_a_look = 0
    with ThreadPoolExecutor(1) as pool:
        work = pool.submit(generate, chunks=CHUNKS[:5])
        await_batch(fake, "in_progress")
        [batch_id] = fake.queue.batches
        fake.queue.end(batch_id, status)
        with pytest.raises(GenerationError, match=words):
            work.result(LONG_S)
    assert len(fake.queue.batches) == 1
    assert batches_of(script.now, script.user.database) == []


def test_documents_that_went_while_their_questions_were_written_are_left_out(
    generate, script, fake
):
    die(script, generate, before="save_waited_pairs")
    generate(chunks=CHUNKS[2:])
    assert asked(fake) == ONCE
    assert script.now.pair_count == 20


def test_how_far_openai_is_can_be_seen(generate, script, fake):
    fake.queue.answers_a_look = 2
    seen = []

    class WatchedLease(RunLease):
        def call(self, function: str, **parameters: Any) -> Any:
            answer = super().call(function, **parameters)
            if function == "note_batch":
                seen.append(waiting(script.run, script.user.database))
            return answer

    lease = WatchedLease(script.service, script.run)
    lease._key = script.lease._key
    generate(lease, chunks=CHUNKS[:5])
    assert [(now.chunks, now.answered) for now in seen] == [(5, 2), (5, 4), (5, 5)]


def test_a_chunk_can_not_wait_in_two_batches(script):
    script.lease.begin_generation(["c1", "c2"])
    BatchLedger(script.lease).intend(str(uuid4()), ["c1"])
    with pytest.raises(NotAllowed):
        BatchLedger(script.lease).intend(str(uuid4()), ["c2", "c1"])
    [row] = BatchLedger(script.lease).waiting()
    assert row["chunk_ids"] == ["c1"]


def test_a_person_sees_own_batches_and_changes_none(script, new_user):
    BatchLedger(script.lease).intend(str(uuid4()), ["c1"])
    stranger = new_user()
    for table in ("deep_memory_generation_batches", "deep_memory_waiting_chunks"):

        def own(c, table=table):
            return c.table(table).select("*")

        assert len(script.user.database.execute(own).data) == 1
        assert stranger.database.execute(own).data == []
        for person in (script.user, stranger):

            def drop(c, table=table):
                return c.table(table).delete().eq("training_run_id", script.run.id)

            assert person.database.execute(drop).data == []
    with pytest.raises(NotAllowed):
        script.user.database.execute(
            lambda c: c.table("deep_memory_generation_batches").insert(
                {"id": str(uuid4()), "training_run_id": script.run.id}
            )
        )
    assert waiting(script.run, script.user.database).chunks == 1
