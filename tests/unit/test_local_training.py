"""The training job on this machine: trained on some documents, measured on others, completed."""

from __future__ import annotations

import runpy
import zipfile

import numpy as np
import pytest

from benchmarks.chunks import sample_chunks
from services.deep_memory import local_training
from services.deep_memory.local_training import measure_test_set, train_locally
from services.deep_memory.measurement import SEED, pairs_by_question, usable_pairs
from services.deep_memory.model_folder import FOLDER, write_model_folder
from services.deep_memory.model_store import ModelStore
from services.deep_memory.run_questions import RunQuestions
from services.deep_memory.split import split_by_document
from services.deep_memory.test_sets import SAMPLE_TEST_SET, Expected, OwnQuestion, sample_set
from services.knowledge.sample import sample_questions
from services.models import TrainingPair
from services.ranking.index import RankingIndex
from services.retrieval.content import Snapshot
from services.retrieval.embeddings import WordLlamaEmbedder
from services.retrieval.nearest import VectorIndex
from services.runs.lease import RunLost
from services.runs.states import RunStatus
from tests.runs import Script


@pytest.fixture
def script(user, service) -> Script:
    return Script(user, service).to(RunStatus.TRAINING)


@pytest.fixture(scope="module")
def sample() -> Snapshot:
    """The sample knowledge base, embedded as the app does offline."""
    chunks = sample_chunks()
    embeddings = WordLlamaEmbedder().embed([chunk.text for chunk in chunks])
    return Snapshot(tuple(chunks), embeddings, "v1")


@pytest.fixture(scope="module")
def index(sample) -> RankingIndex:
    texts = [chunk.text for chunk in sample.chunks]
    documents = [chunk.document_id for chunk in sample.chunks]
    return RankingIndex(VectorIndex(sample.embeddings), texts, documents, WordLlamaEmbedder().embed)


@pytest.fixture(scope="module")
def pairs(sample) -> list[TrainingPair]:
    """A question for each chunk: some of its own words. One of them about a chunk that is gone."""
    about = {chunk.id: " ".join(chunk.text.split()[5:12]) for chunk in sample.chunks}
    return [
        TrainingPair(f"p{n}", "run", f"What of {words}?", chunk_id, "", 1.0)
        for n, (chunk_id, words) in enumerate([*about.items(), ("gone", "what is gone")])
    ]


@pytest.fixture
def train(script, sample, index, pairs, tmp_path):
    """Trains the script's run as its worker does; returns where the model went."""

    def train() -> ModelStore:
        train_locally(
            script.lease,
            script.run,
            questions=RunQuestions(pairs, test_sets={SAMPLE_TEST_SET: sample_set()}),
            snapshot=sample,
            index=index,
            embedder=WordLlamaEmbedder(),
            models=ModelStore(tmp_path),
            in_use=None,
        )
        return ModelStore(tmp_path)

    return train


def test_a_run_is_trained_on_some_documents_measured_on_others_and_completed(
    script, train, sample, index, pairs
):
    models = train()
    run, metrics, embedder = script.now, script.now.metrics, WordLlamaEmbedder()
    assert run.status is RunStatus.COMPLETED
    relevant = [
        {row for _, row in group}
        for group in pairs_by_question(usable_pairs(pairs, sample, ())[0], sample)
    ]
    split = split_by_document(
        relevant,
        [chunk.document_id for chunk in sample.chunks],
        sample.embeddings,
        seed=SEED,
    )
    assert metrics["held_out_by"] == split.by
    assert metrics["held_out_questions"] == len(split.held_out)
    assert metrics["trained_questions"] == len(split.train)
    # One question may be answered by several chunks.
    assert metrics["trained_chunks"] == len(set().union(*(relevant[row] for row in split.train)))
    assert metrics["left_out"] == {"chunk is gone": 1}
    assert metrics["of_people"] == 0
    assert metrics["embedder"] == embedder.name
    assert 0 < metrics["train_seconds"] < 60
    assert "trainer" not in metrics
    assert sum(count for *_, count in metrics["ranks"]) == len(split.held_out)
    [on_sample] = metrics["test_sets"]
    assert (on_sample["name"], on_sample["questions"]) == (SAMPLE_TEST_SET, len(sample_questions()))
    model = models.load(run)
    assert model.query_map.embedder == embedder.name


def test_the_map_alone_is_measured_as_the_exported_folder_finds(
    script, train, sample, pairs, tmp_path
):
    """The held-out questions, asked of the folder's own search."""
    models = train()
    run = script.now
    with (tmp_path / "model.zip").open("wb") as file:
        query_map = models.load(run).query_map
        write_model_folder(file, run, WordLlamaEmbedder.name, query_map, sample)
    zipfile.ZipFile(tmp_path / "model.zip").extractall(tmp_path)
    search = runpy.run_path(str(tmp_path / FOLDER / "search.py"))["search"]

    asked = pairs_by_question(usable_pairs(pairs, sample, ())[0], sample)
    relevant = [{row for _, row in group} for group in asked]
    documents = [chunk.document_id for chunk in sample.chunks]
    split = split_by_document(relevant, documents, sample.embeddings, seed=SEED)
    found = {"recall@1": [], "recall@10": []}
    for question in split.held_out:
        hits = [chunk["id"] for _, chunk in search(asked[question][0][0].question_text)]
        wanted = {pair.chunk_id for pair, _ in asked[question]}
        for k in (1, 10):
            found[f"recall@{k}"].append(len(wanted.intersection(hits[:k])) / len(wanted))
    alone = run.metrics["map_alone"]
    for name, shares in found.items():
        assert alone["after"][name] == pytest.approx(np.mean(shares)), name
        low, high = alone["intervals"][name]
        assert low <= alone["after"][name] - alone["before"][name] <= high
    assert alone["after"] != run.metrics["after"]  # which words helped to rank


@pytest.mark.parametrize("when", ["Training", "Measuring"])
def test_a_stop_while_it_trains_or_measures_leaves_no_model(
    script, train, tmp_path, when, monkeypatch
):
    monkeypatch.setattr(local_training, "_NOTE_EVERY_S", 0.0)

    def stop_there(step: str, share: float) -> None:
        assert 0 <= share <= 1
        if step.startswith(when):
            script.lease.lost.set()

    script.lease.note_training = stop_there
    with pytest.raises(RunLost):
        train()
    assert list(tmp_path.iterdir()) == []
    assert script.now.status is RunStatus.TRAINING


def test_the_progress_of_training_goes_up_to_where_measuring_begins(script, train, monkeypatch):
    monkeypatch.setattr(local_training, "_NOTE_EVERY_S", 0.0)
    shares = []
    script.lease.note_training = lambda step, share: (
        shares.append(share) if step.startswith("Training (") else None
    )
    train()
    assert shares == sorted(set(shares))
    assert 0.2 < shares[0] < 0.5
    assert shares[-1] == pytest.approx(0.8)


def test_the_progress_is_noted_now_and_then_and_not_with_each_epoch(script, train, monkeypatch):
    monkeypatch.setattr(local_training, "_NOTE_EVERY_S", 3_600.0)
    monkeypatch.setattr(local_training.time, "monotonic", lambda: 10_000.0)
    noted = []
    script.lease.note_training = lambda step, share: noted.append(step)
    train()
    assert sum(step.startswith("Training (") for step in noted) == 1


def test_a_model_is_measured_on_a_test_set_of_the_persons_own(script, train, sample, index):
    model = train().load(script.now)
    own = [
        OwnQuestion(asked.question, (Expected(asked.document, asked.answer),))
        for asked in sample_questions()
    ]
    figures = measure_test_set("own", own, sample, index, WordLlamaEmbedder(), model)
    [on_sample] = script.now.metrics["test_sets"]
    assert (figures["name"], figures["questions"]) == ("own", len(own))
    assert figures["after"] == on_sample["after"]
    assert figures["before"] == on_sample["before"]
