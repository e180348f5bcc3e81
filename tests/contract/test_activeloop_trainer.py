"""The cloud trainer: real client, strict stand-in, every way a job can go."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import numpy as np
import pytest

from services.deep_memory.activeloop_trainer import (
    ActiveloopTrainer,
    CloudPairs,
    ServiceFigures,
)
from services.deep_memory.cloud_jobs import Submission, Watching, WatchingStopped, cancel_job
from services.errors import TrainingError
from services.models import Chunk, Document
from services.retrieval.cloud_calls import CloudProcesses, CloudRetryPolicy
from services.retrieval.cloud_store import CloudVectorStore
from services.retrieval.content import EmbeddedDocument
from tests.fakes.activeloop_server import (
    FakeActiveloop,
    done_but,
    done_but_hang_up,
    failing,
    wrong_json,
)
from tests.fakes.wire import Reply, answer_by_half, hang_up

CHUNKS, WIDTH = 40, 16
QUICK = CloudRetryPolicy(attempts=3, first_wait_s=0.01)
NO_PAUSE = Watching(first_s=0.001, longest_s=0.001, given_up_after_s=5)


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One stand-in, two processes and one filled knowledge base for all tests."""
    with FakeActiveloop(tmp_path_factory.mktemp("cloud")) as fake:
        reader, writer = (CloudProcesses(fake.token, fake.url, QUICK) for _ in range(2))
        store = CloudVectorStore("hub://acme/kb", "words", WIDTH, reader=reader, writer=writer)
        vectors = unit(np.random.default_rng(0).normal(size=(CHUNKS, WIDTH)))
        document = Document("d", "D.txt", CHUNKS, 100, "hash", datetime.now(UTC))
        chunks = [Chunk(f"c{n}", "d", "D.txt", n, f"chunk {n}") for n in range(CHUNKS)]
        store.add([EmbeddedDocument(document, chunks, vectors)])
        yield fake, store
        reader.close()
        writer.close()


@pytest.fixture
def fake(shared):
    fake = shared[0]
    fake.available, fake.outcome, fake.refuses_to_cancel = True, "completed", 0
    fake.jobs.clear()
    fake.models.clear()
    fake.log.clear()
    yield fake
    fake.forgive()


@pytest.fixture
def store(shared):
    return shared[1]


@pytest.fixture
def pairs(store) -> CloudPairs:
    """Questions whose embeddings are those of their chunks, turned: a map that can be learned."""
    chunks = store.snapshot().embeddings
    turned = unit(chunks @ np.linalg.qr(np.random.default_rng(1).normal(size=(WIDTH, WIDTH)))[0])
    relevant = [[(f"c{n}", 1.0)] for n in range(CHUNKS)]
    return CloudPairs([f"question {n}" for n in range(CHUNKS)], relevant, turned)


@dataclass
class Run:
    """What a run's row and its screen would have seen."""

    store: CloudVectorStore
    recorded: list[Submission] = field(default_factory=list)
    progress: list[tuple[str, float]] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def train(self, pairs: CloudPairs, watching: Watching = NO_PAUSE) -> ServiceFigures:
        return ActiveloopTrainer(self.store, watching).train(
            pairs,
            record=self.recorded.append,
            recorded=self.recorded[-1] if self.recorded else None,
            on_progress=lambda words, share: self.progress.append((words, share)),
            stop=self.stop,
        )


@pytest.fixture
def run(store) -> Run:
    return Run(store)


def submissions(fake: FakeActiveloop) -> int:
    return len(fake.calls("/deepmemory/v1/train"))


def test_a_training_is_recorded_before_and_after_it_is_submitted_and_its_figures_are_read(
    fake, run, pairs
):
    figures = run.train(pairs)
    (job_id,) = fake.jobs
    sent = pairs.fingerprint
    assert run.recorded == [Submission(sent), Submission(sent, job_id)]
    assert figures == ServiceFigures(job_id, 0.855, 0.026)
    shares = [share for _, share in run.progress]
    assert shares == sorted(shares)
    assert all(0 <= share <= 1 for share in shares)
    assert "Waiting" in run.progress[1][0]


def test_after_training_a_search_in_the_cloud_finds_what_it_missed(fake, run, pairs, store):
    def found(deep_memory: bool) -> int:
        hits = [store.search(v, 1, deep_memory=deep_memory)[0].chunk_id for v in pairs.vectors]
        return sum(hit == f"c{n}" for n, hit in enumerate(hits))

    before = found(False)
    run.train(pairs)
    assert found(False) == before
    assert found(True) > before + CHUNKS / 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"questions": [], "relevant": [], "vectors": np.zeros((0, WIDTH))}, "no pairs"),
        ({"relevant": [[("c0", 1.0)]]}, "do not fit"),
        ({"vectors": np.full((CHUNKS, WIDTH), np.nan)}, "not numbers"),
        ({"questions": [" "] * CHUNKS}, "empty"),
        ({"relevant": [[("gone", 1.0)]] * CHUNKS}, "no longer in the knowledge base"),
        ({"relevant": [[("c0", 0.0)]] * CHUNKS}, "relevance"),
    ],
)
def test_pairs_that_do_not_fit_are_refused_before_anything_is_sent(fake, run, pairs, change, words):
    with pytest.raises(TrainingError, match=words):
        run.train(replace(pairs, **change))
    assert run.recorded == []
    assert fake.calls(text="train") + fake.calls("_queries") == []


def test_a_relevance_between_0_and_1_becomes_the_whole_number_that_the_service_takes(
    fake, run, pairs
):
    graded = [[(f"c{n}", np.float64((n + 1) / 100))] for n in range(CHUNKS)]
    run.train(replace(pairs, relevant=graded))
    assert submissions(fake) == 1


@pytest.mark.parametrize("died_at", ["submitting", "watching", "completed"])
def test_a_job_of_an_attempt_that_died_is_found_again_and_not_submitted_twice(
    fake, run, pairs, died_at
):
    run.train(pairs)
    (job_id,) = fake.jobs
    if died_at == "submitting":  # the job began, and nobody was left to hear its id
        del run.recorded[1]
    if died_at != "completed":
        fake.jobs[job_id]["status"] = "training"
    figures = run.train(pairs)
    assert figures.job_id == job_id
    assert run.recorded[-1].job_id == job_id
    assert submissions(fake) == 1


def test_a_death_before_the_submission_submits_once_and_takes_no_older_job(fake, run, pairs):
    run.train(pairs)
    (older,) = fake.jobs
    run.recorded[:] = [Submission(pairs.fingerprint, known=(older,))]
    run.progress.clear()
    assert run.train(pairs).job_id != older
    assert submissions(fake) == 2
    assert "again" in run.progress[0][0]


@pytest.mark.parametrize("died_at", ["submitting", "watching"])
def test_a_job_that_trains_on_other_questions_is_cancelled_and_not_measured(
    fake, run, pairs, died_at
):
    run.train(pairs)
    (older,) = fake.jobs
    fake.jobs[older]["status"] = "training"
    if died_at == "submitting":
        del run.recorded[1]
    run.progress.clear()
    rest = CloudPairs(pairs.questions[5:], pairs.relevant[5:], pairs.vectors[5:])
    figures = run.train(rest)
    assert list(fake.jobs) == [figures.job_id] != [older]
    assert submissions(fake) == 2
    assert "changed" in run.progress[0][0] and "again" in run.progress[0][0]


def test_questions_in_another_order_are_the_same_questions(fake, run, pairs):
    run.train(pairs)
    run.train(CloudPairs(pairs.questions[::-1], pairs.relevant[::-1], pairs.vectors[::-1]))
    assert submissions(fake) == 1


@pytest.mark.parametrize("status", ["failed", None])
def test_a_job_that_failed_or_is_gone_is_submitted_anew_by_the_next_attempt(
    fake, run, pairs, status
):
    job_id = "0123456789abcdef01234567"
    run.recorded[:] = [Submission(pairs.fingerprint, job_id)]
    if status:
        fake.jobs[job_id] = {"id": job_id, "dataset_id": "acme/kb", "status": status}
    run.train(pairs)
    assert submissions(fake) == 1
    assert "again" in run.progress[0][0]


def done_but_garbled(request, answer):
    answer(request)
    return wrong_json(request, answer)


LOST = [answer_by_half, done_but_garbled, done_but_hang_up]
LOST += [done_but(status) for status in (500, 502, 503, 504)]


@pytest.mark.parametrize("fault", LOST)
def test_a_submission_whose_answer_was_lost_is_looked_up_and_not_repeated(fake, run, pairs, fault):
    fake.fail(fault, times=99, matching="/deepmemory/v1/train")
    run.train(pairs)
    assert submissions(fake) == 1
    assert len(fake.jobs) == 1


def nothing_listed(request, answer):
    """The list of jobs, before the newest are in it."""
    return Reply(200, [])


def test_a_job_that_is_listed_late_is_waited_for_and_not_submitted_again(fake, run, pairs):
    fake.fail(done_but(502), matching="/deepmemory/v1/train")
    fake.fail(nothing_listed, times=4, matching="/kb/jobs")  # before it, and three times after
    run.train(pairs)
    assert submissions(fake) == 1
    assert any("Looking for it" in words for words, _ in run.progress)


def test_of_jobs_that_show_up_together_one_is_watched_and_the_others_are_cancelled(
    fake, run, pairs
):
    fake.fail(done_but(502), matching="/deepmemory/v1/train")
    fake.fail(nothing_listed, times=6, matching="/kb/jobs")  # longer than anybody looks
    figures = run.train(pairs)
    assert submissions(fake) == 2
    assert list(fake.jobs) == [figures.job_id]
    assert any("cancelling all but one" in words for words, _ in run.progress)


def test_when_nobody_knows_whether_a_training_began_it_is_said_and_proceeding_looks_first(
    fake, run, pairs
):
    fake.fail(done_but(502), failing(502), failing(502), matching="/deepmemory/v1/train")
    fake.fail(nothing_listed, times=99, matching="/kb/jobs")
    with pytest.raises(TrainingError, match="Whether a training began is not known"):
        run.train(pairs)
    (job_id,) = fake.jobs

    fake.forgive()
    assert run.train(pairs).job_id == job_id
    assert submissions(fake) == 3


@pytest.mark.parametrize("status", ["pending", "training"])
def test_no_training_is_submitted_beside_another_and_its_questions_are_left_to_it(
    fake, run, pairs, status
):
    others = "0123456789abcdef01234567"
    fake.jobs[others] = {"id": others, "dataset_id": "acme/kb", "status": status}
    with pytest.raises(TrainingError, match=f"goes on in DeepLake Cloud .job {others}") as failure:
        run.train(pairs)
    assert "Proceed when it has ended" in failure.value.next_step
    assert not fake.calls("_queries")
    assert (submissions(fake), run.recorded) == (0, [])

    fake.finish(others)
    run.train(pairs)
    assert submissions(fake) == 1


@pytest.mark.parametrize("status", [400, 405, 409, 422])
def test_a_job_on_other_questions_that_can_not_be_cancelled_is_not_trained_beside(
    fake, run, pairs, status
):
    run.train(pairs)
    (older,) = fake.jobs
    fake.jobs[older]["status"] = "training"
    fake.refuses_to_cancel, fake.outcome = status, "stuck"
    fewer = CloudPairs(pairs.questions[5:], pairs.relevant[5:], pairs.vectors[5:])
    for _ in range(2):  # proceeding once more changes nothing
        with pytest.raises(TrainingError, match="refused to cancel") as failure:
            run.train(fewer)
        assert "goes on there" in str(failure.value)
        assert "wait; then proceed" in failure.value.next_step
    assert submissions(fake) == 1

    fake.finish(older)
    fake.outcome = "completed"
    run.train(fewer)
    assert submissions(fake) == 2


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_submission_that_was_refused_for_the_moment_is_repeated(fake, run, pairs, status):
    fake.fail(failing(status), matching="/deepmemory/v1/train")
    run.train(pairs)
    assert submissions(fake) == 2
    assert len(fake.jobs) == 1


@pytest.mark.parametrize("fault", [failing(429), failing(500), failing(502), wrong_json])
def test_a_fault_while_watching_that_passes_is_not_seen(fake, run, pairs, fault):
    fake.fail(fault, times=2, matching="/status")
    run.train(pairs)
    assert submissions(fake) == 1


def test_a_plan_without_deep_memory_is_named_and_nothing_is_overwritten(fake, run, pairs):
    fake.available = False
    with pytest.raises(TrainingError, match="not part of this organization's Activeloop plan"):
        run.train(pairs)
    assert submissions(fake) == 0
    assert not fake.calls("_queries")


def test_an_error_where_the_plan_is_read_is_not_taken_for_a_plan_without_deep_memory(
    fake, run, pairs
):
    fake.fail(failing(500), times=99, matching="/features/deepmemory")
    with pytest.raises(TrainingError, match="fails at the moment"):
        run.train(pairs)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (failing(401), "refused the token"),
        (failing(403), "no right"),
        (failing(404), "was deleted"),
        (failing(429), "rate limit"),
        (failing(500), "fails at the moment"),
        (hang_up, "could not be reached"),
        (wrong_json, "does not understand"),
    ],
)
def test_a_fault_while_watching_that_stays_is_named_and_the_job_is_taken_up_by_proceeding(
    fake, run, pairs, fault, words
):
    fake.fail(fault, times=99, matching="/status")
    with pytest.raises(TrainingError, match=words) as failure:
        run.train(pairs)
    assert "kept" in str(failure.value) + failure.value.next_step

    fake.forgive()
    run.train(pairs)
    assert submissions(fake) == 1


def test_a_job_that_fails_says_why_in_the_services_words(fake, run, pairs):
    fake.outcome = "failed"
    with pytest.raises(TrainingError, match="ran out of memory"):
        run.train(pairs)


def test_a_job_that_is_stuck_is_given_up_and_left_to_be_looked_at_again(fake, run, pairs):
    fake.outcome = "stuck"
    with pytest.raises(TrainingError, match="stopped moving"):
        run.train(pairs, replace(NO_PAUSE, given_up_after_s=0.0))
    (job,) = fake.jobs.values()
    assert job["status"] == "training"


def test_stopping_ends_the_watching_and_cancelling_ends_the_job(fake, run, pairs, store):
    fake.outcome = "stuck"

    def stop_at_the_second_look(words: str, share: float) -> None:
        run.progress.append((words, share))
        if len(run.progress) == 3:
            run.stop.set()

    trainer = ActiveloopTrainer(store, NO_PAUSE)
    with pytest.raises(WatchingStopped):
        trainer.train(
            pairs,
            record=run.recorded.append,
            on_progress=stop_at_the_second_look,
            stop=run.stop,
        )
    assert len(fake.jobs) == 1
    cancel_job(store, run.recorded[-1])
    assert fake.jobs == {}
    cancel_job(store, run.recorded[-1])  # safe once more


def test_cancelling_says_so_when_the_job_may_still_run(fake, run, pairs, store):
    run.train(pairs)
    fake.fail(failing(500), times=99)
    with pytest.raises(TrainingError, match="may still be running"):
        cancel_job(store, run.recorded[-1])


def test_cancelling_says_so_when_it_is_refused_and_the_job_goes_on(fake, run, pairs, store):
    run.train(pairs)
    (job_id,) = fake.jobs
    fake.refuses_to_cancel = 409
    cancel_job(store, run.recorded[-1])  # it has ended
    fake.jobs[job_id]["status"], fake.outcome = "training", "stuck"
    for recorded in run.recorded:  # with its id, and looked up
        with pytest.raises(TrainingError, match="refused to cancel"):
            cancel_job(store, recorded)


def test_cancelling_finds_a_job_whose_id_nobody_heard(fake, run, pairs, store):
    run.train(pairs)
    (job_id,) = fake.jobs
    fake.jobs[job_id]["status"] = "training"
    cancel_job(store, run.recorded[0])
    assert fake.jobs == {}


def test_a_job_whose_answer_is_lost_while_it_is_stopped_is_recorded_all_the_same(fake, run, pairs):
    def stopped_meanwhile(request, answer):
        run.stop.set()
        return answer_by_half(request, answer)

    fake.fail(stopped_meanwhile, matching="/deepmemory/v1/train")
    with pytest.raises(WatchingStopped):
        run.train(pairs)
    (job_id,) = fake.jobs
    assert run.recorded[-1].job_id == job_id
