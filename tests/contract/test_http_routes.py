"""Every route's good answer and each of its error responses, over HTTP against the running app."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Iterator

import httpx
import pytest

from services.config import MOST_QUESTIONS_PER_CHUNK, PROJECT_ROOT
from services.http.api import LARGEST_BODY, PREFIX
from services.http.shapes import LARGEST_UPLOAD
from services.local_supabase.stack import LocalSupabase
from services.runs.states import RunStatus
from services.runs.store import RunStore
from tests.contract.conftest import Caller
from tests.embedded import temporary_data_dir
from tests.running_app import RunningApp, run_app

SAMPLE = PROJECT_ROOT / "services" / "knowledge" / "sample" / "documents"
NOWHERE = "00000000-0000-4000-8000-000000000000"


def add_documents(caller: Caller, *names: str) -> list[dict]:
    answer = caller.api.post(
        "/documents", files=[("files", (name, (SAMPLE / name).read_bytes())) for name in names]
    )
    assert answer.status_code == 201, answer.text
    return answer.json()["documents"]


def events_of(
    caller: Caller, run_id: str, last_id: str | None = None
) -> Iterator[tuple[str, dict]]:
    """(id, data) of each event, until the server closes the stream."""
    headers = {"Last-Event-ID": last_id} if last_id else {}
    with caller.api.stream("GET", f"/events/stream/{run_id}", headers=headers) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        event_id = ""
        for line in stream.iter_lines():
            field, _, value = line.partition(": ")
            if field == "id":
                event_id = value
            elif field == "data":
                yield event_id, json.loads(value)


def test_the_whole_path_without_a_screen(caller: Caller) -> None:
    api = caller.api
    added = add_documents(caller, *sorted(path.name for path in SAMPLE.glob("leave-*.md")))
    chunks = sum(document["chunk_count"] for document in added)

    started = api.post("/deep-memory/generate", json={**caller.own, "questions_per_chunk": 2})
    assert started.status_code == 202
    assert started.json()["message"] == f"Generating questions for {chunks} chunks"
    run_id = started.json()["training_run_id"]
    *_, (_, last) = events_of(caller, started.json()["job_id"])
    assert (last["status"], last["processed_chunks"]) == ("generated", chunks)

    pairs = api.get(f"/deep-memory/runs/{run_id}/pairs", params={**caller.own, "limit": 2}).json()
    assert pairs["total"] == last["pair_count"]
    edited, dropped = pairs["pairs"]
    changed = api.patch(
        f"/deep-memory/runs/{run_id}/pairs/{edited['id']}",
        json={"question_text": " Who may  take leave? "},
    )
    assert changed.json() == {
        **edited,
        "question_text": "Who may take leave?",
        "original_question": edited["question_text"],
        "review": "kept",
        "reviewed_at": changed.json()["reviewed_at"],
    }
    gone = api.delete(f"/deep-memory/runs/{run_id}/pairs/{dropped['id']}")
    assert (gone.status_code, gone.json()) == (200, {"message": "The pair was dropped"})

    training = api.post("/deep-memory/train", json={**caller.own, "training_run_id": run_id})
    assert training.status_code == 202
    assert training.json()["message"] == f"Training on {pairs['total'] - 1} pairs"
    *_, (_, last) = events_of(caller, training.json()["job_id"])
    assert last["status"] == "completed"
    run = api.get(f"/deep-memory/runs/{run_id}", params=caller.own).json()
    assert set(run["metrics"]) >= {"before", "after"}

    if api.get("/deep-memory/settings", params=caller.own).json()["can_enable"]:
        switched = api.put("/deep-memory/settings", json={**caller.own, "enabled": True}).json()
        assert (switched["enabled"], switched["last_training_run_id"]) == (True, run_id)
        found = api.post("/search", json={"query": "time off after a birth", "k": 3}).json()
        assert (found["deep_memory"], found["trained_run_id"]) == (True, run_id)
        assert [hit["rank"] for hit in found["hits"]] == [1, 2, 3]


def test_settings_answer_as_the_contract_says(caller: Caller) -> None:
    run = caller.script().start().run
    assert caller.api.get("/deep-memory/settings", params=caller.own).json() == {
        "enabled": False,
        "last_trained_at": None,
        "last_training_run_id": None,
        "can_enable": False,
        "total_chunks": 0,
        "trained_chunk_count": 0,
        "has_blocking_run": True,
        "blocking_run_id": run.id,
        "blocking_run_status": "generating",
        "is_cloud": False,
    }


def test_deep_memory_can_not_be_enabled_before_a_training(caller: Caller) -> None:
    refused = caller.api.put("/deep-memory/settings", json={**caller.own, "enabled": True})
    assert refused.status_code == 400
    assert "before a trained model is chosen" in refused.json()["detail"]


def test_settings_switch_off_and_on_after_a_training(caller: Caller) -> None:
    caller.script().to(RunStatus.COMPLETED)
    for enabled in (True, False):
        body = {**caller.own, "enabled": enabled}
        assert caller.api.put("/deep-memory/settings", json=body).json()["enabled"] is enabled


def test_a_run_started_over_http_is_there_for_the_screens(caller: Caller) -> None:
    add_documents(caller, "leave-study.md")
    started = caller.api.post("/deep-memory/generate", json=caller.own).json()
    assert RunStore(caller.user.database).get(started["training_run_id"]).user_id == caller.id


def test_a_run_started_on_the_screens_is_there_over_http(caller: Caller) -> None:
    script = caller.script().start(total_chunks=3)
    script.lease.begin_generation(["c1", "c2", "c3"])
    script.save("c1")
    run = caller.api.get(f"/deep-memory/runs/{script.run.id}", params=caller.own).json()
    progress = {name: run[name] for name in ("status", "processed_chunks", "total_chunks")}
    assert progress == {"status": "generating", "processed_chunks": 1, "total_chunks": 3}
    assert (run["pair_count"], run["error_message"]) == (1, None)


@pytest.mark.parametrize("status", [s for s in RunStatus if s is not RunStatus.COMPLETED])
def test_generation_is_blocked_by_an_unfinished_run(caller: Caller, status: RunStatus) -> None:
    add_documents(caller, "leave-study.md")
    run = caller.script().to(status).run
    refused = caller.api.post("/deep-memory/generate", json=caller.own)
    assert refused.status_code == 409
    assert refused.json() == {
        "detail": "Cannot start new generation: an unfinished training run exists",
        "blocking_run_id": run.id,
        "blocking_run_status": status.value,
    }


def test_generation_needs_documents(caller: Caller) -> None:
    refused = caller.api.post("/deep-memory/generate", json=caller.own)
    assert (refused.status_code, refused.json()) == (
        400,
        {"detail": "The knowledge base is empty."},
    )


MOVES = {
    "train": (RunStatus.GENERATED,),
    "proceed": (RunStatus.GENERATING_FAILED, RunStatus.TRAINING_FAILED),
    "stop": (RunStatus.GENERATING, RunStatus.GENERATED, RunStatus.TRAINING),
    "remove": (RunStatus.GENERATING_FAILED, RunStatus.TRAINING_FAILED),
    "remove_completed": (RunStatus.COMPLETED,),
}


def ask_for(move: str, caller: Caller, run_id: str) -> httpx.Response:
    body = {**caller.own, "training_run_id": run_id}
    if move == "stop":
        return caller.api.post(f"/deep-memory/runs/{run_id}/stop")
    if move == "remove_completed":
        return caller.api.post(f"/deep-memory/runs/{run_id}/remove")
    if move == "remove":
        return caller.api.delete(f"/deep-memory/runs/{run_id}", params=caller.own)
    return caller.api.post(f"/deep-memory/{move}", json=body)


@pytest.mark.parametrize("status", RunStatus)
def test_a_move_from_another_status_is_refused(caller: Caller, status: RunStatus) -> None:
    script = caller.script().to(status)
    before = script.now
    for move in [move for move, allowed in MOVES.items() if status not in allowed]:
        refused = ask_for(move, caller, script.run.id)
        assert (refused.status_code, set(refused.json())) == (400, {"detail"}), move
    assert script.now == before


@pytest.mark.parametrize("move", MOVES)
def test_a_move_of_no_run_is_not_found(caller: Caller, move: str) -> None:
    refused = ask_for(move, caller, NOWHERE)
    assert (refused.status_code, refused.json()) == (404, {"detail": "There is no such run."})


def test_proceed_with_an_empty_knowledge_base_keeps_the_pairs(caller: Caller) -> None:
    script = caller.script().to(RunStatus.GENERATING_FAILED)
    refused = ask_for("proceed", caller, script.run.id)
    assert refused.status_code == 400
    assert "knowledge base is empty" in refused.json()["detail"]
    assert (script.now.status, script.now.pair_count) == (RunStatus.GENERATING_FAILED, 2)


def test_proceed_says_where_it_resumes(caller: Caller) -> None:
    add_documents(caller, "leave-study.md")
    run = caller.script().to(RunStatus.GENERATING_FAILED).run
    accepted = ask_for("proceed", caller, run.id)
    assert accepted.status_code == 202
    assert accepted.json()["training_run_id"] == accepted.json()["job_id"] == run.id
    assert accepted.json()["message"].startswith("Resuming generation from chunk 2/")


@pytest.mark.parametrize("status", MOVES["stop"])
def test_stop_keeps_the_pairs(caller: Caller, status: RunStatus) -> None:
    script = caller.script().to(status)
    before = script.now.pair_count
    assert ask_for("stop", caller, script.run.id).status_code == 202
    assert script.now.status.is_failed
    assert script.now.pair_count == before


def test_remove_says_how_many_pairs_went(caller: Caller) -> None:
    run = caller.script().to(RunStatus.TRAINING_FAILED).run
    removed = ask_for("remove", caller, run.id)
    assert (removed.status_code, removed.json()) == (
        200,
        {"message": "Training run and 2 associated pairs deleted"},
    )
    assert ask_for("remove", caller, run.id).status_code == 404


def test_a_completed_run_is_removed_unless_search_uses_its_model(caller: Caller) -> None:
    run = caller.script().to(RunStatus.COMPLETED).run
    switch = {**caller.own, "enabled": True}
    assert caller.api.put("/deep-memory/settings", json=switch).status_code == 200
    refused = ask_for("remove_completed", caller, run.id)
    assert refused.status_code == 400
    assert "Search uses the model of this run" in refused.json()["detail"]

    caller.api.put("/deep-memory/settings", json={**switch, "enabled": False})
    removed = ask_for("remove_completed", caller, run.id)
    assert (removed.status_code, removed.json()) == (
        200,
        {"message": "Training run, its model and 2 associated pairs deleted"},
    )
    assert ask_for("remove_completed", caller, run.id).status_code == 404


@pytest.mark.parametrize("damage", [b"", b"no model at all", None])
def test_search_with_a_damaged_or_missing_model_answers_without_it_and_says_so(
    caller: Caller, supabase_stack: LocalSupabase, damage: bytes | None
) -> None:
    add_documents(caller, "leave-study.md", "leave-annual.md")
    run = caller.script().to(RunStatus.COMPLETED).now
    caller.api.put("/deep-memory/settings", json={**caller.own, "enabled": True})
    if damage is not None:
        file = supabase_stack.data_dir / "stores" / caller.id / "models" / f"{run.id}.2.npz"
        file.parent.mkdir(parents=True)
        file.write_bytes(damage)

    found = caller.api.post("/search", json={"query": "leave for an examination", "k": 2})

    assert found.status_code == 200
    answer = found.json()
    assert (answer["deep_memory"], answer["trained_run_id"], len(answer["hits"])) == (
        False,
        None,
        2,
    )
    what = "gone" if damage is None else "damaged"
    assert answer["notice"] == f"The file of this model is {what}. Search works without it."


def test_a_lost_knowledge_base_is_said_and_begun_anew(
    caller: Caller, supabase_stack: LocalSupabase
) -> None:
    assert caller.api.post("/documents/begin-anew").status_code == 400
    add_documents(caller, "leave-study.md")
    assert caller.api.post("/documents/begin-anew").status_code == 400
    shutil.rmtree(supabase_stack.data_dir / "stores" / caller.id)

    for answer in (
        caller.api.get("/documents"),
        caller.api.post("/search", json={"query": "leave"}),
        caller.api.get("/deep-memory/settings", params=caller.own),
        caller.api.post("/deep-memory/generate", json=caller.own),
    ):
        assert answer.status_code == 503
        assert answer.json()["detail"].startswith("The knowledge base is gone")

    assert caller.api.post("/documents/begin-anew").status_code == 200
    assert caller.api.get("/documents").json() == {"documents": [], "total": 0}
    assert add_documents(caller, "leave-study.md")


def test_runs_are_paged_and_filtered(caller: Caller) -> None:
    ids = [caller.script().to(RunStatus.COMPLETED).run.id for _ in range(3)]
    ids.append(caller.script().to(RunStatus.GENERATED).run.id)

    def listed(**query: object) -> tuple[list[str], int]:
        answer = caller.api.get("/deep-memory/runs", params={**caller.own, **query}).json()
        return [run["id"] for run in answer["runs"]], answer["total"]

    assert listed() == (ids[::-1], 4)
    assert listed(limit=2, offset=1) == ([ids[2], ids[1]], 4)
    assert listed(offset=50) == ([], 4)
    assert listed(status="completed", limit=3) == (ids[2::-1], 3)


def test_pairs_are_changed_in_review_only(caller: Caller) -> None:
    script = caller.script().to(RunStatus.COMPLETED)
    pairs = f"/deep-memory/runs/{script.run.id}/pairs"
    pair = caller.api.get(pairs, params=caller.own).json()["pairs"][0]
    edit = caller.api.patch(f"{pairs}/{pair['id']}", json={"question_text": "Which one?"})
    drop = caller.api.delete(f"{pairs}/{pair['id']}")
    assert (edit.status_code, drop.status_code) == (400, 400)
    assert caller.api.get(pairs, params=caller.own).json()["pairs"][0] == pair


def test_a_pair_is_found_under_its_own_run_only(caller: Caller) -> None:
    other = caller.script().to(RunStatus.COMPLETED).run.id
    pairs = f"/deep-memory/runs/{caller.script().to(RunStatus.GENERATED).run.id}/pairs"
    pair = caller.api.get(pairs, params=caller.own).json()["pairs"][0]
    for path in (f"/deep-memory/runs/{other}/pairs/{pair['id']}", f"{pairs}/{NOWHERE}"):
        assert caller.api.patch(path, json={"question_text": "Which?"}).status_code == 404
        assert caller.api.delete(path).status_code == 404
    assert caller.api.get(pairs, params=caller.own).json()["pairs"][0] == pair


def test_a_question_that_the_chunk_has_already_is_refused(caller: Caller) -> None:
    script = caller.script().start()
    script.lease.begin_generation(["c1"])
    script.save("c1", questions=2)
    script.lease.finish_generation()
    pairs = f"/deep-memory/runs/{script.run.id}/pairs"
    first, second = caller.api.get(pairs, params=caller.own).json()["pairs"]
    refused = caller.api.patch(
        f"{pairs}/{first['id']}", json={"question_text": second["question_text"].upper()}
    )
    assert (refused.status_code, refused.json()) == (400, {"detail": "That already exists."})


def test_documents_are_added_listed_and_removed(caller: Caller) -> None:
    added = add_documents(caller, "leave-study.md", "leave-annual.md")
    listed = caller.api.get("/documents").json()
    assert {"documents": added, "total": 2} == listed
    assert caller.api.get("/documents", params={"limit": 1, "offset": 1}).json() == {
        "documents": added[1:],
        "total": 2,
    }
    first = f"/documents/{added[0]['id']}"
    assert caller.api.get(first).json() == added[0]
    removed = caller.api.delete(first)
    chunks = added[0]["chunk_count"]
    assert removed.json() == {"message": f"leave-study.md and its {chunks} chunks removed"}
    assert caller.api.delete(first).status_code == 404
    assert caller.api.get(first).status_code == 404


def test_a_file_that_can_not_be_added_does_not_stop_the_others(caller: Caller) -> None:
    files = [
        ("files", ("broken.pdf", b"no pdf")),
        ("files", ("../note.txt", b"Sensors keep data for 30 days.")),
        ("files", ("empty.md", b"")),
    ]
    answer = caller.api.post("/documents", files=files)
    assert answer.status_code == 201
    assert [document["name"] for document in answer.json()["documents"]] == ["note.txt"]
    errors = answer.json()["errors"]
    assert [(e["name"], e["code"]) for e in errors] == [
        ("broken.pdf", "document_rejected"),
        ("empty.md", "document_rejected"),
    ]


def test_search_ranks_and_says_whether_deep_memory_did(caller: Caller) -> None:
    add_documents(caller, "leave-study.md", "leave-annual.md")
    body = {"query": "leave for an examination", "k": 2, "deep_memory": True}
    found = caller.api.post("/search", json=body).json()
    assert (found["deep_memory"], found["trained_run_id"]) == (False, None)
    assert [hit["rank"] for hit in found["hits"]] == [1, 2]
    assert found["hits"][0]["score"] >= found["hits"][1]["score"]
    assert set(found["hits"][0]) == {
        "id",
        "text",
        "document",
        "score",
        "rank",
        "heading_path",
        "page",
    }


def test_an_empty_search_is_refused_in_words(caller: Caller) -> None:
    refused = caller.api.post("/search", json={"query": "   "})
    assert (refused.status_code, refused.json()) == (400, {"detail": "The search is empty."})


MALFORMED = [
    ("POST", "/deep-memory/generate", {"user_id": "me"}, ["body", "user_id"]),
    (
        "POST",
        "/deep-memory/generate",
        {"user_id": NOWHERE, "questions_per_chunk": MOST_QUESTIONS_PER_CHUNK + 1},
        ["body", "questions_per_chunk"],
    ),
    (
        "POST",
        "/deep-memory/generate",
        {"user_id": NOWHERE, "batch_mode": "yes"},
        ["body", "batch_mode"],
    ),
    ("POST", "/deep-memory/train", {"user_id": NOWHERE}, ["body", "training_run_id"]),
    ("POST", "/deep-memory/proceed", {"training_run_id": NOWHERE}, ["body", "user_id"]),
    ("POST", "/deep-memory/runs/1/stop", None, ["path", "run_id"]),
    ("GET", "/deep-memory/runs", None, ["query", "user_id"]),
    ("GET", "/deep-memory/runs?user_id={own}&limit=101", None, ["query", "limit"]),
    ("GET", "/deep-memory/runs?user_id={own}&status=lost", None, ["query", "status"]),
    ("GET", f"/deep-memory/runs/{NOWHERE}", None, ["query", "user_id"]),
    ("DELETE", f"/deep-memory/runs/{NOWHERE}", None, ["query", "user_id"]),
    ("GET", f"/deep-memory/runs/{NOWHERE}/pairs", None, ["query", "user_id"]),
    ("PATCH", f"/deep-memory/runs/{NOWHERE}/pairs/{NOWHERE}", {}, ["body"]),
    ("DELETE", f"/deep-memory/runs/{NOWHERE}/pairs/1", None, ["path", "pair_id"]),
    ("GET", "/deep-memory/settings", None, ["query", "user_id"]),
    ("PUT", "/deep-memory/settings", {"user_id": NOWHERE, "enabled": 1}, ["body", "enabled"]),
    ("GET", "/events/stream/1", None, ["path", "job_id"]),
    ("POST", "/documents", {}, ["body", "files"]),
    ("GET", "/documents?limit=0", None, ["query", "limit"]),
    ("POST", "/search", {"query": "x", "k": 0}, ["body", "k"]),
    ("POST", "/search", {"query": "x", "secret": "s3cret"}, ["body", "secret"]),
]


@pytest.mark.parametrize(("method", "path", "body", "where"), MALFORMED)
def test_a_malformed_request_is_told_what_and_where(
    caller: Caller, method: str, path: str, body: object, where: list[str]
) -> None:
    refused = caller.api.request(method, path.replace("{own}", caller.id), json=body)
    assert refused.status_code == 422
    assert where in [flaw["loc"] for flaw in refused.json()["detail"]]
    assert "s3cret" not in refused.text  # values are never repeated


@pytest.mark.parametrize(
    ("path", "size"), [("/search", LARGEST_BODY + 1), ("/documents", LARGEST_UPLOAD + 1)]
)
@pytest.mark.parametrize("announced", [True, False])
def test_a_body_that_is_too_large_is_refused(
    caller: Caller, path: str, size: int, announced: bool
) -> None:
    block = b" " * 2**16
    headers = {"Content-Type": "application/json"}
    start = b""
    if path == "/documents":
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        start = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.txt"\r\n\r\n'
    if announced:
        headers["Content-Length"] = str(len(start) + size)
    rest = (block[: min(len(block), size - first)] for first in range(0, size, len(block)))
    try:
        refused = caller.api.post(path, content=itertools.chain([start], rest), headers=headers)
    except httpx.WriteError:  # the server hung up before all was sent
        return
    assert refused.status_code == 413
    assert "too large" in refused.json()["detail"]


def test_what_is_not_there_has_the_shape_of_every_error_response(caller: Caller) -> None:
    assert caller.api.get("/nothing").json() == {"detail": "Not Found"}
    assert caller.api.post("/healthz").json() == {"detail": "Method Not Allowed"}


def test_a_stream_resumes_where_it_was_left_and_ends_with_its_phase(caller: Caller) -> None:
    script = caller.script().start(total_chunks=3)
    script.lease.begin_generation(["c1", "c2", "c3"])
    first_id, first = next(events_of(caller, script.run.id))
    assert (first["status"], first["processed_chunks"]) == ("generating", 0)
    script.save("c1", "c2")

    resumed = events_of(caller, script.run.id, last_id=first_id)
    assert next(resumed)[1]["processed_chunks"] == 2
    script.save("c3")
    script.lease.finish_generation()
    *_, (last_id, last) = resumed
    assert (last["status"], last["message"]) == ("generated", "3 pairs await review")

    again = caller.api.get(f"/events/stream/{script.run.id}", headers={"Last-Event-ID": last_id})
    assert again.status_code == 204


def test_a_stream_of_no_job_is_not_found(caller: Caller) -> None:
    assert caller.api.get(f"/events/stream/{NOWHERE}").status_code == 404


def test_an_open_stream_does_not_keep_the_app_from_ending(
    supabase_stack: LocalSupabase, caller: Caller
) -> None:
    run = caller.script().start().run
    token = {"Authorization": caller.api.headers["Authorization"]}
    with (
        run_app(supabase_stack.data_dir) as second,
        httpx.Client(base_url=second.url + PREFIX, headers=token, timeout=30) as api,
        api.stream("GET", f"/events/stream/{run.id}") as stream,
    ):
        next(stream.iter_lines())
        second.process.terminate()
        assert second.process.wait(timeout=15) is not None


def test_the_process_says_that_it_is_up_and_ready(app: RunningApp) -> None:
    assert httpx.get(f"{app.url}{PREFIX}/healthz").json() == {"status": "ok"}
    assert httpx.get(f"{app.url}{PREFIX}/readyz").json() == {"status": "ready"}


def test_a_database_that_is_away_is_503_and_the_process_is_up(caller: Caller) -> None:
    token = {"Authorization": caller.api.headers["Authorization"]}
    nobody_there = {
        "SUPABASE_URL": "http://127.0.0.1:9",
        "SUPABASE_PUBLISHABLE_KEY": "a.b.c",
        "SUPABASE_SECRET_KEY": "a.b.c",
    }
    with temporary_data_dir() as data_dir, run_app(data_dir, **nobody_there) as away:
        api = f"{away.url}{PREFIX}"
        assert httpx.get(f"{api}/healthz").status_code == 200
        assert httpx.get(f"{api}/readyz").status_code == 503
        refused = httpx.get(f"{api}/documents", headers=token)
        assert (refused.status_code, set(refused.json())) == (503, {"detail"})
