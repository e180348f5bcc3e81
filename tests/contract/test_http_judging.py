"""Judging over HTTP: from what nobody judged to figures in which it counts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from services.config import Settings
from services.deep_memory.model_store import ModelStore
from services.local_supabase.stack import LocalSupabase
from services.questions.judgements import Judge, Judgement, JudgementStore
from services.retrieval.stores import models_folder
from services.runs.states import RunStatus
from tests.contract.conftest import Caller
from tests.runs import METRICS
from tests.trained_models import ranking_by

DUES, SOUP = "Ships pay harbour dues when they berth.", "The canteen serves soup on Fridays."
WHO = "Who pays harbour dues?"
NAME = "a/b & c"
SAID = "/deep-memory/test-sets/model-judgements"


@pytest.fixture
def model(caller: Caller, supabase_stack: LocalSupabase) -> Iterator[str]:
    """The path of a trained model; the caller has two documents and a test set."""
    settings = Settings(_env_file=None, data_dir=supabase_stack.data_dir)
    files = [("files", (f"{text[-5]}.txt", text.encode())) for text in (DUES, SOUP)]
    caller.api.post("/documents", files=files).raise_for_status()
    script = caller.script().to(RunStatus.TRAINING)
    ModelStore(models_folder(settings, caller.id)).save(script.run, ranking_by())
    script.lease.finish_training(METRICS, activate=True)
    csv = f"question,answer\n{WHO},when they berth\n".encode()
    sets = "/deep-memory/test-sets"
    caller.api.post(sets, data={"name": NAME}, files={"file": ("own.csv", csv)}).raise_for_status()
    yield f"/deep-memory/models/{script.run.id}"


def unjudged(caller: Caller, model: str) -> dict[str, Any]:
    answer = caller.api.get(f"{model}/unjudged", params={"test_set": NAME})
    return answer.raise_for_status().json()


def test_a_client_gets_chunks_judges_them_and_measures(caller, model):
    left = unjudged(caller, model)
    [chunk] = left["chunks"]
    assert (left["unjudged"], left["judged"], left["left_out"]) == (1, 0, 0)
    assert (chunk["question"], chunk["text"]) == (WHO, SOUP)
    assert {chunk["rank_without"], chunk["rank_with"]} <= {1, 2}

    said = {"question": WHO, "chunk_id": chunk["chunk_id"], "answers": False}
    kept = caller.api.post("/deep-memory/judgements", json={"judgements": [said]})
    assert (kept.status_code, kept.json()) == (200, {"message": "The judgements were kept"})
    left = unjudged(caller, model)
    assert (left["chunks"], left["judged"], left["answering"]) == ([], 1, 0)
    figures = caller.api.post(f"{model}/measure", json={"test_set": NAME}).json()
    assert figures["before"]["bpref"] == 1
    assert figures["intervals"].keys() == figures["after"].keys()

    named = {"question": WHO, "chunk_id": chunk["chunk_id"]}
    assert caller.api.delete("/deep-memory/judgements", params=named).status_code == 200
    assert unjudged(caller, model)["judged"] == 0


def test_agreement_is_told_and_a_models_word_counts_only_when_it_is_let(caller, model):
    [chunk] = unjudged(caller, model)["chunks"]
    nothing = caller.api.get(SAID, params={"test_set": NAME}).json()
    assert (nothing["judged"], nothing["kappa"], nothing["is_enough"]) == (0, None, False)

    said = {"question": WHO, "chunk_id": chunk["chunk_id"], "answers": False}
    caller.api.post("/deep-memory/judgements", json={"judgements": [said]})
    JudgementStore(caller.user.database, caller.id).save(
        [Judgement(WHO, chunk["chunk_id"], True, Judge.MODEL, "It says so.")]
    )
    compared = caller.api.get(SAID, params={"test_set": NAME}).json()
    assert (compared["judged_by_both"], compared["agreed"], compared["kappa"]) == (1, 0, 0)
    assert compared["both"] == [{**said, "model_answers": True, "reason": "It says so."}]
    let = caller.api.put(SAID, json={"test_set": NAME, "counts": True}).json()
    assert (let, compared["counts"]) == ({**compared, "counts": True}, False)
    assert caller.api.put(SAID, json={"test_set": NAME, "counts": False}).json() == compared


def test_what_is_not_there_or_wrong_is_refused_in_words(caller, model):
    [chunk] = unjudged(caller, model)["chunks"]
    api, good = caller.api, {"question": WHO, "chunk_id": chunk["chunk_id"], "answers": True}

    def judge(*judgements: dict[str, Any]):
        return api.post("/deep-memory/judgements", json={"judgements": list(judgements)})

    gone = judge(good, {**good, "chunk_id": "gone"})
    assert (gone.status_code, gone.json()["detail"]) == (
        404,
        "There is no such chunk. Nothing was kept.",
    )
    assert judge({**good, "question": " "}).status_code == 400
    assert judge({**good, "answers": "yes"}).status_code == 422
    assert judge().status_code == 422
    assert api.get(f"{model}/unjudged", params={"test_set": "none"}).status_code == 404
    assert api.get(SAID, params={"test_set": "none"}).status_code == 404
    assert api.put(SAID, json={"test_set": "none", "counts": True}).status_code == 404
    asked = api.post(f"{model}/model-judgements", json={"test_set": NAME})
    assert (asked.status_code, asked.json()["detail"]) == (
        400,
        "No question model is set, so there is none to propose judgements.",
    )
    assert unjudged(caller, model)["judged"] == 0
