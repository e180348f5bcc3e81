"""A run in which no chunk gave a question has failed, says why, and asks again when proceeded."""

from __future__ import annotations

import pytest

from services.generation.offline_writer import OfflineQuestionWriter
from services.generation.pair_generator import generate_pairs
from services.generation.written_questions import WrittenQuestions
from services.models import Chunk
from services.runs.lease import RunLost
from services.runs.states import RunStatus
from tests.runs import Script, finished

CHUNKS = [Chunk(f"c{n}", "d", "a.txt", n, f"{n}") for n in range(6)]
IDS = [chunk.id for chunk in CHUNKS]


class Silent:
    """A writer that names a problem of each chunk, and asks nobody."""

    name = "Silent writer"

    def __init__(self, *problems: str | None) -> None:
        self._problems = problems
        self.asked: list[str] = []

    def write(self, chunk: Chunk, count: int) -> WrittenQuestions:
        self.asked.append(chunk.id)
        return WrittenQuestions((), problem=self._problems[chunk.position])

    def waiting(self) -> None:
        return None

    def stop(self) -> None: ...


@pytest.fixture
def script(user, service) -> Script:
    return Script(user, service).start(total_chunks=len(CHUNKS))


def generate(script: Script, writer) -> None:
    generate_pairs(script.lease, CHUNKS, writer, questions_per_chunk=2, concurrency=1)


def test_a_run_without_a_question_fails_with_its_most_frequent_problems(script):
    generate(script, Silent("refused", "empty answer", "empty answer", None, "a", "b"))
    run = script.now
    assert run.status is RunStatus.GENERATING_FAILED
    assert run.error_message.startswith(
        "No chunk gave a question (2 empty answer, 1 a, 1 b)."  # of equals, by name
    )
    assert (run.processed_chunks, run.worker_id) == (6, None)
    [*_, last] = script.store.events(run.id)
    assert (last.kind, last.message) == ("failed", run.error_message)


def test_proceeding_asks_all_of_them_again_and_may_complete(script):
    generate(script, Silent(*["empty answer"] * 6))
    script.proceed()
    assert script.now.processed_chunks == 0
    again = Silent(*["refused"] * 6)
    generate(script, again)
    assert again.asked == IDS
    assert "6 refused" in script.now.error_message

    script.proceed()
    script.lease.begin_generation(IDS)
    script.save("c0")
    script.lease.finish_generation()
    assert (script.now.status, script.now.error_message) == (RunStatus.GENERATED, None)


def test_one_question_is_enough_for_review(script):
    script.lease.begin_generation(IDS)
    chunks, pairs = finished(IDS)
    for chunk in chunks[1:]:
        chunk["problem"] = "refused"
    script.lease.save_pairs(chunks, pairs[:1], {})
    script.lease.finish_generation()
    assert script.now.status is RunStatus.GENERATED


def test_the_offline_writer_says_why_too(script):
    generate(script, OfflineQuestionWriter())
    assert script.now.status is RunStatus.GENERATING_FAILED
    assert "6 " in script.now.error_message


def test_asking_problem_chunks_again_in_vain_keeps_the_run_that_has_pairs(script):
    script.lease.begin_generation(IDS)
    chunks, pairs = finished(IDS[:2])
    chunks[1]["problem"] = "fewer questions than asked"
    script.lease.save_pairs(chunks, pairs, {})
    script.lease.finish_generation()
    script._claimed(script.store.retry_problems(script.run.id))
    script.lease.begin_generation(IDS)
    script.lease.save_pairs([{"chunk_id": "c1", "problem": "refused"}], [], {})
    script.lease.finish_generation()
    assert (script.now.status, script.now.pair_count) == (RunStatus.GENERATED, 2)


def test_who_lost_the_run_can_not_fail_it_either(script):
    late = script.lease
    script.lease.fail("It stopped.")
    script.proceed()
    with pytest.raises(RunLost):
        late.finish_generation()
    assert script.now.status is RunStatus.GENERATING
