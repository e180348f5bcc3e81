"""Generation: every chunk asked once, in order, within bounds, and nothing spent after a stop.

With the real lease on the embedded database, so that it is no more forgiving than that.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from services.errors import GenerationError
from services.generation.pair_generator import (
    Finished,
    generate_pairs,
    usage_row,
    usage_so_far,
)
from services.generation.written_questions import WrittenQuestions
from services.models import Chunk, TokenUsage
from services.pairs.store import PairStore
from services.runs.lease import RunLost
from services.runs.states import RunStatus
from tests.runs import Script, let_lease_run_out

LONG_S = 20  # a bound for what happens at once; never waited for when all is well


class Writer:
    """Writes as told, remembers whom it was asked about, and how many at the same time."""

    name = "Test writer"

    def __init__(self, answer: Callable[[Chunk, int], WrittenQuestions] | None = None) -> None:
        self._answer = answer or about
        self._lock = threading.Lock()
        self._busy = 0
        self.busiest = 0
        self.asked: list[str] = []
        self.stopped = threading.Event()

    def write(self, chunk: Chunk, count: int) -> WrittenQuestions:
        with self._lock:
            self.asked.append(chunk.id)
            self._busy += 1
            self.busiest = max(self.busiest, self._busy)
        try:
            return self._answer(chunk, count)
        finally:
            with self._lock:
                self._busy -= 1

    def waiting(self) -> None:
        return None

    def stop(self) -> None:
        self.stopped.set()


def about(chunk: Chunk, count: int) -> WrittenQuestions:
    questions = tuple(f"What is {number} of {chunk.id}?" for number in range(count))
    return WrittenQuestions(questions, TokenUsage(10, 1))


def chunks_of(count: int) -> list[Chunk]:
    return [Chunk(f"c{n:03}", "d", "a.txt", n, f"Text of {n}. " * 50) for n in range(count)]


@pytest.fixture
def script(user, service) -> Script:
    return Script(user, service).start()


@pytest.fixture
def stored(script) -> Callable[[], list[str]]:
    return lambda: [pair.chunk_id for pair in PairStore(script.user.database).all(script.run.id)]


def generate(script: Script, chunks, writer, *, concurrency=4, **options) -> TokenUsage:
    return generate_pairs(
        script.lease, chunks, writer, questions_per_chunk=2, concurrency=concurrency, **options
    )


def test_every_chunk_is_asked_once_and_the_run_awaits_review(script, stored):
    writer = Writer()
    usage = generate(script, chunks_of(120), writer)
    assert sorted(writer.asked) == [chunk.id for chunk in chunks_of(120)]
    run = script.now
    assert run.status is RunStatus.GENERATED
    assert (run.processed_chunks, run.total_chunks, run.pair_count) == (120, 120, 240)
    assert len(stored()) == 240
    assert usage == usage_so_far(run.usage) == TokenUsage(1200, 120)


def test_one_thread_asks_in_the_order_of_the_chunks(script):
    writer = Writer()
    generate(script, chunks_of(30), writer, concurrency=1)
    assert writer.asked == [chunk.id for chunk in chunks_of(30)]


def test_as_many_calls_run_at_once_as_are_allowed_and_no_more(script):
    meeting = threading.Barrier(3, timeout=LONG_S)  # passes only when three are there together

    def together(chunk: Chunk, count: int) -> WrittenQuestions:
        meeting.wait()
        return about(chunk, count)

    writer = Writer(together)
    generate(script, chunks_of(12), writer, concurrency=3)
    assert writer.busiest == 3


def test_preview_is_the_beginning_of_the_chunk(script):
    [chunk] = chunks_of(1)
    generate(script, [chunk], Writer())
    [pair, _] = PairStore(script.user.database).all(script.run.id)
    assert (pair.chunk_preview, pair.relevance_score) == (chunk.text[:200], 1.0)


def test_characters_that_the_database_can_not_hold_do_not_end_the_run(script):
    odd = Chunk("c", "d", "a.txt", 0, "NUL \0 and half a pair \ud83d")
    writer = Writer(lambda chunk, count: WrittenQuestions(("Why \0 or \udc00?",)))
    generate(script, [odd], writer)
    [pair] = PairStore(script.user.database).all(script.run.id)
    assert (pair.question_text, pair.chunk_preview) == ("Why  or ??", "NUL  and half a pair ?")


def test_chunk_that_yields_nothing_is_counted_and_named_and_stops_nothing(script):
    problems = {"c001": "refused", "c003": None}

    def answer(chunk: Chunk, count: int) -> WrittenQuestions:
        if chunk.id in problems:
            return WrittenQuestions((), problem=problems[chunk.id])
        return about(chunk, count)

    generate(script, chunks_of(5), Writer(answer))
    assert script.now.status is RunStatus.GENERATED
    assert script.now.processed_chunks == 5
    assert script.store.chunks_with_problem(script.run.id) == [
        ("c001", "refused"),
        ("c003", "no questions"),
    ]


def test_error_keeps_what_was_paid_for_asks_nothing_more_and_ends_the_waits(script, stored):
    """Also the calls that were under way when the error came: they are paid for, too."""
    failed = threading.Event()

    def answer(chunk: Chunk, count: int) -> WrittenQuestions:
        if chunk.id == "c002":
            failed.set()
            raise GenerationError("The quota is used up.")
        if chunk.id == "c003":
            assert failed.wait(LONG_S)
            assert writer.stopped.wait(LONG_S)
        return about(chunk, count)

    writer = Writer(answer)
    with pytest.raises(GenerationError, match="quota"):
        generate(script, chunks_of(400), writer, concurrency=2)
    assert {"c000", "c001", "c003"} <= set(stored())
    assert sorted(set(stored())) == sorted(set(writer.asked) - {"c002"})
    assert len(writer.asked) < 400
    assert script.now.status is RunStatus.GENERATING  # the worker says how it ended


def test_error_that_nobody_foresaw_keeps_what_was_finished_before_it(script, stored):
    def answer(chunk: Chunk, count: int) -> WrittenQuestions:
        if chunk.id == "c060":
            raise ZeroDivisionError
        return about(chunk, count)

    with pytest.raises(ZeroDivisionError):
        generate(script, chunks_of(100), Writer(answer), concurrency=1)
    assert sorted(set(stored())) == [f"c{n:03}" for n in range(60)]


def test_second_attempt_asks_only_chunks_without_pairs_and_adds_up_the_usage(script):
    def fails_at_60(chunk: Chunk, count: int) -> WrittenQuestions:
        if chunk.id == "c060":
            raise GenerationError("It stops here.")
        return about(chunk, count)

    first, second = Writer(fails_at_60), Writer()
    with pytest.raises(GenerationError):
        generate(script, chunks_of(80), first, concurrency=1)
    script.lease.fail("It stops here.")
    script.proceed()
    usage = generate(script, chunks_of(80), second, usage=usage_so_far(script.now.usage))
    assert sorted(second.asked) == [f"c{n:03}" for n in range(60, 80)]
    assert usage == TokenUsage(800, 80)
    assert (script.now.processed_chunks, script.now.pair_count) == (80, 160)


def lost_under_way(script, answer_late: Callable[[Chunk], bool], lose, *, concurrency: int):
    """Lose the run while some chunks of 50 are being asked, then let their answers come."""
    under_way, go_on = threading.Semaphore(0), threading.Event()

    def answer(chunk: Chunk, count: int) -> WrittenQuestions:
        if answer_late(chunk):
            under_way.release()
            assert go_on.wait(LONG_S)
        return about(chunk, count)

    writer = Writer(answer)
    with ThreadPoolExecutor(1) as pool:
        work = pool.submit(generate, script, chunks_of(50), writer, concurrency=concurrency)
        for _ in range(concurrency):
            assert under_way.acquire(timeout=LONG_S)
        lose()
        script.lease.lost.set()  # what the beating thread does when it learns of it
        assert writer.stopped.wait(LONG_S)
        go_on.set()
        with pytest.raises(RunLost):
            work.result(LONG_S)
    return writer


def test_stop_asks_nothing_more_and_keeps_the_answers_under_way(script, stored):
    """They are paid for: who proceeds must not pay for them again."""
    writer = lost_under_way(
        script,
        lambda chunk: True,
        lambda: script.store.stop(script.run.id, by="ann"),
        concurrency=3,
    )
    assert len(writer.asked) == 3
    assert sorted(set(stored())) == sorted(writer.asked)
    assert (script.now.status, script.now.processed_chunks) == (RunStatus.GENERATING_FAILED, 3)
    assert script.now.error_message == "Stopped by ann"
    script.proceed()
    second = Writer()
    generate(script, chunks_of(50), second)
    assert not set(second.asked) & set(writer.asked)


def test_app_that_shuts_down_stores_what_is_finished_and_under_way_before_it_goes(script, stored):
    lost_under_way(script, lambda chunk: chunk.id == "c010", lambda: None, concurrency=1)
    assert sorted(set(stored())) == [f"c{n:03}" for n in range(11)]


def test_answers_after_a_stop_are_stored_at_once_and_wait_for_no_other(script, stored, monkeypatch):
    """Whoever goes on with the run, or ends the process, may be near."""
    monkeypatch.setattr("services.generation.pair_generator._BATCH_S", LONG_S)
    hangs, go_on, never = threading.Event(), threading.Event(), threading.Event()

    def answer(chunk: Chunk, count: int) -> WrittenQuestions:
        if chunk.id == "c000":
            hangs.set()
            never.wait()
        elif chunk.id == "c001":
            assert go_on.wait(LONG_S)
        return about(chunk, count)

    with ThreadPoolExecutor(1) as pool:
        work = pool.submit(generate, script, chunks_of(2), Writer(answer), concurrency=2)
        assert hangs.wait(LONG_S)
        script.store.stop(script.run.id, by="ann")
        script.lease.lost.set()
        go_on.set()
        deadline = time.monotonic() + LONG_S / 2  # before a batch would be due
        while not stored() and time.monotonic() < deadline:
            time.sleep(0.02)
        found = set(stored())
        never.set()
        with pytest.raises(RunLost):
            work.result(LONG_S)
    assert found == {"c001"}


def test_answers_under_way_of_a_run_that_was_handed_on_change_nothing(script, owner, stored):
    def hand_on() -> None:
        let_lease_run_out(owner, script.run.id)
        script.service.rpc("rescue_runs")
        script.store.proceed(script.run.id)

    writer = lost_under_way(script, lambda chunk: True, hand_on, concurrency=3)
    assert len(writer.asked) == 3
    assert stored() == []


def test_run_of_an_empty_knowledge_base_ends_without_asking(script):
    writer = Writer()
    generate(script, [], writer)
    assert (writer.asked, script.now.status) == ([], RunStatus.GENERATING_FAILED)
    assert "knowledge base is empty" in script.now.error_message


@pytest.mark.parametrize("ends", ["well", "badly", "stopped"])
def test_a_writer_is_stopped_however_the_generation_ends(script, ends):
    """Its calls that wait to be repeated would outlive the run."""

    def answer(chunk: Chunk, count: int) -> WrittenQuestions:
        if ends == "badly":
            raise GenerationError("The quota is used up.")
        if ends == "stopped":
            script.lease.lost.set()
        return about(chunk, count)

    writer = Writer(answer)
    with contextlib.suppress(GenerationError, RunLost):
        generate(script, chunks_of(2), writer, concurrency=1)
    assert writer.stopped.is_set()


def test_a_batch_is_due_when_it_is_full_or_has_waited_and_never_when_it_is_empty(monkeypatch):
    monkeypatch.setattr("services.generation.pair_generator.time.monotonic", lambda: 100.0)
    [chunk] = chunks_of(1)
    assert not Finished(begun_at=0.0).is_due
    for begun_at, is_due in ((99.0, False), (98.9, True)):
        batch = Finished(begun_at=begun_at)
        batch.add(chunk, about(chunk, 1))
        assert batch.is_due is is_due
    batch = Finished(begun_at=100.0)
    for _ in range(49):
        batch.add(chunk, about(chunk, 1))
        assert not batch.is_due
    batch.add(chunk, about(chunk, 1))
    assert batch.is_due


def test_a_chunk_without_questions_has_a_problem_even_when_the_writer_names_none():
    batch = Finished()
    [chunk] = chunks_of(1)
    batch.add(chunk, WrittenQuestions(()))
    batch.add(chunk, WrittenQuestions((), problem="refused"))
    batch.add(chunk, WrittenQuestions(("Why?",), problem="cut off"))
    batch.add(chunk, WrittenQuestions(("How?",)))
    assert [row["problem"] for row in batch.chunks] == ["no questions", "refused", "cut off", None]
    assert [row["question_text"] for row in batch.pairs] == ["Why?", "How?"]


def test_nothing_is_asked_while_the_hold_is_not_confirmed(script, monkeypatch):
    """The worker may have slept: its run may be another's by now."""
    looks = iter([False, False, False])
    monkeypatch.setattr(
        type(script.lease), "is_confirmed", property(lambda self: next(looks, True))
    )
    writer = Writer()
    generate(script, chunks_of(1), writer, concurrency=1)
    assert next(looks, None) is None  # it looked until it was
    assert writer.asked == ["c000"]


def test_usage_that_a_row_does_not_have_counts_as_none():
    assert usage_so_far({}) == TokenUsage(0, 0)
    assert usage_so_far({"output_tokens": 3}) == TokenUsage(0, 3)
    assert usage_so_far(usage_row(TokenUsage(5, 7))) == TokenUsage(5, 7)


def test_no_more_threads_are_started_than_there_are_chunks_to_ask(script):
    before = threading.active_count()
    seen = []

    def count_threads(chunk: Chunk, count: int) -> WrittenQuestions:
        seen.append(sum(t.name.startswith("ask-") for t in threading.enumerate()))
        return about(chunk, count)

    generate(script, chunks_of(2), Writer(count_threads), concurrency=50)
    assert max(seen) <= 2
    assert threading.active_count() <= before + 2
