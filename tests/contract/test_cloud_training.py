"""A training over DeepLake Cloud: what is sent, how much is measured, how a stop ends it."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from services.deep_memory import cloud_training
from services.deep_memory.cloud_backend import CloudBackend
from services.deep_memory.cloud_jobs import WORKING, Watching
from services.deep_memory.cloud_training import measure_in_cloud, train_in_cloud
from services.deep_memory.measurement import at_most
from services.deep_memory.model_store import ModelStore
from services.deep_memory.run_questions import RunQuestions
from services.deep_memory.test_sets import Expected, OwnQuestion
from services.models import Chunk, Document, TrainingPair, Waiting
from services.retrieval.cloud_calls import CloudProcesses, CloudRetryPolicy
from services.retrieval.cloud_store import CloudVectorStore
from services.retrieval.content import EmbeddedDocument
from services.runs.lease import RunLost
from services.runs.states import RunStatus
from tests.fakes.activeloop_server import FakeActiveloop
from tests.runs import Script, let_lease_run_out

DOCUMENTS, CHUNKS, WIDTH = 20, 2, 16  # chunks of each document
QUESTIONS, HELD_OUT = 40, 8
QUICK = CloudRetryPolicy(attempts=3, first_wait_s=0.01)
NO_PAUSE = Watching(first_s=0.001, longest_s=0.001, given_up_after_s=5)
SEARCHES = "/api/query/"


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


VECTORS = unit(np.random.default_rng(0).normal(size=(QUESTIONS, WIDTH)))
TURNED = unit(VECTORS @ np.linalg.qr(np.random.default_rng(1).normal(size=(WIDTH, WIDTH)))[0])


class Turned:
    """Embeds question n as chunk n, turned: a map can undo it."""

    name, width = "turned", WIDTH

    def embed(self, texts) -> np.ndarray:
        return TURNED[[int(text.split()[-1].rstrip("?")) for text in texts]]

    def waiting(self) -> Waiting | None:
        return None


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One stand-in and one filled knowledge base for all tests."""
    with FakeActiveloop(tmp_path_factory.mktemp("cloud")) as fake:
        reader, writer = (CloudProcesses(fake.token, fake.url, QUICK) for _ in range(2))
        store = CloudVectorStore("hub://acme/kb", "turned", WIDTH, reader=reader, writer=writer)
        store.add([document(number) for number in range(DOCUMENTS)])
        yield fake, store
        reader.close()
        writer.close()


def document(number: int) -> EmbeddedDocument:
    rows = range(number * CHUNKS, (number + 1) * CHUNKS)
    name = f"{number}.txt"
    about = Document(f"d{number}", name, CHUNKS, 100, f"hash{number}", datetime.now(UTC))
    chunks = [Chunk(f"c{n}", f"d{number}", name, n % CHUNKS, f"chunk {n}") for n in rows]
    return EmbeddedDocument(about, chunks, VECTORS[list(rows)])


@pytest.fixture
def fake(shared) -> FakeActiveloop:
    fake = shared[0]
    fake.outcome = "completed"
    fake.jobs.clear()
    fake.models.clear()
    fake.log.clear()
    yield fake
    fake.forgive()


@pytest.fixture
def script(user, service) -> Script:
    return Script(user, service).to(RunStatus.GENERATED).train()


@pytest.fixture
def train(shared, script, tmp_path):
    """Trains the script's run as its worker does."""
    pairs = [
        TrainingPair(f"p{n}", script.run.id, f"Question {n}?", f"c{n}", "", 1.0)
        for n in range(QUESTIONS)
    ]
    pairs.append(TrainingPair("gone", script.run.id, "Question 0?", "gone", "", 1.0))

    def train() -> None:
        train_in_cloud(
            script.lease,
            script.now,
            questions=RunQuestions(pairs),
            store=shared[1],
            embedder=Turned(),
            watching=NO_PAUSE,
            models=ModelStore(tmp_path),
        )

    return train


def unfinished(fake: FakeActiveloop) -> list[str]:
    return [id_ for id_, job in fake.jobs.items() if job["status"] in WORKING]


def test_the_service_trains_on_some_documents_and_this_app_measures_on_the_others(
    fake, script, train
):
    train()
    run = script.now
    assert run.status is RunStatus.COMPLETED
    metrics = run.metrics
    assert (metrics["trainer"], metrics["embedder"]) == ("cloud", "turned")
    assert (metrics["held_out_questions"], metrics["held_out_by"]) == (HELD_OUT, "document")
    assert metrics["trained_questions"] == metrics["trained_chunks"] == QUESTIONS - HELD_OUT
    assert metrics["left_out"] == {"chunk is gone": 1}
    assert metrics["service"]["job_id"] == run.deeplake_job_id
    assert metrics["test_sets"] == []
    assert 0 <= metrics["train_seconds"] < 60
    assert sum(count for *_, count in metrics["ranks"]) == HELD_OUT
    assert metrics["after"]["mrr@10"] > metrics["before"]["mrr@10"]
    assert len(fake.calls(SEARCHES)) == HELD_OUT  # what is measured without a model asks nobody


def test_the_model_in_the_cloud_is_measured_on_some_of_a_persons_own_questions(
    shared, fake, train, monkeypatch
):
    train()
    fake.log.clear()
    monkeypatch.setattr(cloud_training, "MOST_MEASURED", 5)
    own = [OwnQuestion(f"Question {n}?", (Expected(f"{n // 2}.txt", ""),)) for n in range(8)]
    figures = measure_in_cloud("own", own, shared[1].snapshot(), Turned(), shared[1])
    assert (figures["name"], figures["questions"], figures["by_document"]) == ("own", 5, True)
    assert len(fake.calls(SEARCHES)) == 5
    assert figures["after"]["mrr@10"] > figures["before"]["mrr@10"]


def test_questions_of_a_log_are_ranked_with_the_model_and_by_cosine(
    shared, fake, script, train, tmp_path
):
    train()
    fake.log.clear()
    backend = CloudBackend(
        script.user.database, shared[1], ModelStore(tmp_path), Turned(), NO_PAUSE
    )
    asked = [f"Question {n}?" for n in range(3)]
    for number, (used, other) in enumerate(backend.rank_both(asked, script.now)):
        assert used[0] == f"c{number}"
        assert used != other
        assert len(used) == len(other) == 10
    assert len(fake.calls(SEARCHES)) == 3
    assert all(used == other for used, other in backend.rank_both(asked, None))
    assert len(fake.calls(SEARCHES)) == 3  # without a model nobody is asked


def test_a_part_of_the_held_out_questions_is_measured_where_there_are_many(
    fake, script, train, monkeypatch
):
    monkeypatch.setattr(cloud_training, "MOST_MEASURED", 3)
    train()
    assert script.now.metrics["held_out_questions"] == 3
    assert script.now.metrics["trained_questions"] == QUESTIONS - HELD_OUT
    assert len(fake.calls(SEARCHES)) == 3


def test_those_that_are_measured_are_the_same_each_time_in_order_and_none_twice():
    rows = np.arange(100, 200)
    assert at_most(rows, 100).tolist() == rows.tolist()
    some = at_most(rows, 99)
    assert len(set(some.tolist())) == 99
    assert some.tolist() == sorted(some) == at_most(rows, 99).tolist()
    assert set(some) <= set(rows)
    assert at_most(rows, 10).tolist() != rows[:10].tolist()


def test_a_stop_ends_the_measuring_before_the_next_search(fake, script, train):
    def stop(request, answer):
        script.lease.lost.set()
        return answer(request)

    fake.fail(stop, matching=SEARCHES)
    with pytest.raises(RunLost):
        train()
    assert len(fake.calls(SEARCHES)) == 1
    assert script.now.status is RunStatus.TRAINING


def test_a_stop_while_it_is_watched_ends_the_watching(fake, script, train):
    fake.outcome = "stuck"

    def stop(request, answer):
        script.lease.lost.set()
        return answer(request)

    fake.fail(stop, matching="/status")
    with pytest.raises(RunLost):
        train()
    assert len(unfinished(fake)) == 1  # whoever stopped it cancels it
    assert fake.calls(SEARCHES) == []


@pytest.mark.parametrize("by_a_person", [True, False])
def test_a_job_whose_run_was_lost_while_it_was_submitted_is_cancelled_if_a_person_stopped_it(
    fake, script, train, owner, by_a_person
):
    """After a rescue it is left running: whoever proceeds takes it up."""
    fake.outcome = "stuck"

    def lose(request, answer):
        if by_a_person:
            script.store.stop(script.run.id, by="ann")
        else:
            let_lease_run_out(owner, script.run.id)
            script.service.rpc("rescue_runs")
        return answer(request)

    fake.fail(lose, matching="/deepmemory/v1/train")
    with pytest.raises(RunLost):
        train()
    assert len(fake.calls("/deepmemory/v1/train")) == 1
    assert len(unfinished(fake)) == (0 if by_a_person else 1)
    assert (script.now.deeplake_job_id is not None) is by_a_person  # written down as it was told


def test_what_is_told_of_the_training_grows_and_stays_between_its_beginning_and_the_measuring(
    fake, script, train, monkeypatch
):
    monkeypatch.setattr(cloud_training, "_NOTE_EVERY_S", 0.0)
    told = []

    def note(step: str, share: float) -> None:
        told.append((step, share))

    script.lease.note_training = note
    train()
    shares = [share for _, share in told]
    assert shares == sorted(shares)
    assert told[-1] == ("Measuring on held-out questions", 0.95)
    of_the_job = [share for step, share in told[:-1] if "Embedding" not in step]
    assert of_the_job and all(0.2 <= share <= 0.95 for share in of_the_job)
