"""What the screens show of runs, documents and the account is there over HTTP."""

from __future__ import annotations

import time

import pytest

from services.config import MOST_QUESTIONS_PER_CHUNK
from services.local_supabase.stack import LocalSupabase
from services.runs.states import RunStatus
from tests.contract.conftest import Caller
from tests.runs import Script, finished

DUES = {"files": ("dues.txt", b"Ships pay harbour dues when they berth.")}


@pytest.fixture
def with_problems(caller: Caller) -> Script:
    """A run in review: one chunk refused, one with fewer questions than asked."""
    script = caller.script().start(total_chunks=3)
    script.lease.begin_generation(["c1", "c2", "c3"])
    chunks, pairs = finished(["c1", "c2", "c3"])
    chunks[1]["problem"], chunks[2]["problem"] = "refused", "fewer questions than asked"
    script.lease.save_pairs(chunks, [pairs[0], pairs[2]], {"input_tokens": 10})
    script.lease.finish_generation()
    return script


def test_an_estimate_counts_the_knowledge_base(caller: Caller) -> None:
    nothing = caller.api.get("/deep-memory/estimate").json()
    assert (nothing["questions"], nothing["cost_usd"]) == (0, 0)
    caller.api.post("/documents", files=DUES).raise_for_status()
    default = caller.api.get("/account").json()["questions_per_chunk"]
    assert caller.api.get("/deep-memory/estimate").json()["questions"] == default
    five = caller.api.get("/deep-memory/estimate", params={"questions_per_chunk": 5}).json()
    assert five == {
        "questions": 5,
        "input_tokens": 0,
        "output_tokens": 0,
        "cost_usd": 0,
        "offers_batch_mode": False,
    }
    for count in (0, MOST_QUESTIONS_PER_CHUNK + 1):
        query = {"questions_per_chunk": count}
        assert caller.api.get("/deep-memory/estimate", params=query).status_code == 422


def test_chunks_with_problems_are_listed_and_asked_again(with_problems, caller: Caller) -> None:
    run = f"/deep-memory/runs/{with_problems.run.id}"
    assert caller.api.get(f"{run}/problems", params={"limit": 1}).json() == {
        "counts": {"refused": 1, "fewer questions than asked": 1},
        "chunks": [{"chunk_id": "c2", "problem": "refused"}],
    }
    accepted = caller.api.post(f"{run}/retry-problems")
    assert accepted.status_code == 202
    assert accepted.json()["message"] == "Asking 2 chunks again"
    assert accepted.json()["job_id"] == with_problems.run.id


def test_nothing_is_asked_again_without_a_problem_or_outside_review(caller: Caller) -> None:
    sound = caller.script().to(RunStatus.GENERATED)
    refused = caller.api.post(f"/deep-memory/runs/{sound.run.id}/retry-problems")
    assert refused.json() == {"detail": "No chunk of this run had a problem."}
    assert (refused.status_code, sound.now.status) == (400, RunStatus.GENERATED)


def test_chunks_of_a_run_that_trains_are_not_asked_again(with_problems, caller: Caller) -> None:
    with_problems.train()
    refused = caller.api.post(f"/deep-memory/runs/{with_problems.run.id}/retry-problems")
    assert (refused.status_code, with_problems.now.status) == (400, RunStatus.TRAINING)


def test_the_timeline_and_the_usage_of_a_run_are_there(with_problems, caller: Caller) -> None:
    run = f"/deep-memory/runs/{with_problems.run.id}"
    events = caller.api.get(f"{run}/events").json()["events"]
    assert events[-1]["kind"] == "finished"
    assert [event["at"] for event in events] == sorted(event["at"] for event in events)
    usage = caller.api.get(f"{run}/usage").json()
    assert usage == {"input_tokens": 10, "output_tokens": 0, "cost_usd": None}
    assert caller.api.get(f"{run}/batches").json() == {"chunks": 0, "answered": 0}


def test_the_text_of_a_chunk_and_the_size_of_the_knowledge_base_are_there(caller: Caller) -> None:
    empty = caller.api.get("/knowledge-base").json()
    [document] = caller.api.post("/documents", files=DUES).json()["documents"]
    [hit] = caller.api.post("/search", json={"query": "dues"}).json()["hits"]
    assert caller.api.get(f"/knowledge-base/chunks/{hit['id']}").json() == {
        "id": hit["id"],
        "document_id": document["id"],
        "document": "dues.txt",
        "position": 0,
        "text": "Ships pay harbour dues when they berth.",
        "heading_path": [],
        "page": None,
    }
    assert caller.api.get(f"/knowledge-base/chunks/{hit['id']}/pairs").json() == {"pairs": []}
    size = caller.api.get("/knowledge-base").json()
    assert (empty["chunks"], size["chunks"], size["belong_on_cloud"]) == (0, 1, False)
    assert empty["version"] != size["version"]
    caller.api.delete(f"/documents/{document['id']}").raise_for_status()
    assert caller.api.get(f"/knowledge-base/chunks/{hit['id']}").status_code == 404


def test_the_sample_is_loaded_followed_and_acknowledged(caller: Caller) -> None:
    assert caller.api.get("/imports/current").status_code == 404
    assert caller.api.post("/knowledge-base/sample").status_code == 202
    deadline = time.monotonic() + 120
    while (found := caller.api.get("/imports/current").json())["status"] == "adding":
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert (found["status"], found["message"], found["share"]) == ("done", None, 1.0)
    assert found["files"]["added"] == found["files_total"] > 0
    assert found["chunk_count"] == caller.api.get("/knowledge-base").json()["chunks"] > 0
    assert caller.api.post("/knowledge-base/sample").json() == {"message": "All are there"}
    assert caller.api.post(f"/imports/{found['id']}/acknowledge").status_code == 200
    assert caller.api.get("/imports/current").status_code == 404
    assert caller.api.get(f"/imports/{found['id']}").json() == found


def test_the_account_says_what_is_set_and_no_value(
    caller: Caller, supabase_stack: LocalSupabase
) -> None:
    answer = caller.api.get("/account")
    facts = answer.json()
    assert (facts.pop("user_id"), facts.pop("email")) == (caller.id, caller.user.identity.email)
    assert facts.pop("supabase_url").startswith("http://127.0.0.1:")
    assert facts == {
        "supabase_is_set": False,
        "deeplake_cloud_is_set": False,
        "openai_is_set": False,
        "question_writer": "Offline writer",
        "embedder": "wordllama-256",
        "reranker": None,
        "trainer": "local",
        "questions_per_chunk": 3,
        "deep_memory_is_available": True,
    }
    for secret in (supabase_stack.publishable_key, supabase_stack.secret_key):
        assert secret not in answer.text
    tried = caller.api.post("/account/test-connection").json()
    assert (tried["question_model"], tried["embedding_model"], tried["problems"]) == (
        None,
        None,
        [],
    )
