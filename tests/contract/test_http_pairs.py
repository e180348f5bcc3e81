"""Pairs over HTTP as on the screens: searched, checked, dropped together, out and in as files."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.runs.states import RunStatus
from tests.contract.conftest import Caller
from tests.runs import Script, finished

TEXTS = {
    "dues.txt": b"Ships pay harbour dues when they berth.",
    "soup.txt": b"The canteen serves soup on Fridays.",
}
QUESTIONS = ["Who pays harbour dues?", "What does this passage say of ships?", "Where is the moon?"]


def in_review(caller: Caller) -> tuple[Script, dict[str, str]]:
    """A run with `QUESTIONS` about the first document; and by document, the ids of chunks."""
    files = [("files", (name, text)) for name, text in TEXTS.items()]
    caller.api.post("/documents", files=files).raise_for_status()
    hits = caller.api.post("/search", json={"query": "harbour soup"}).json()["hits"]
    ids = {hit["document"]: hit["id"] for hit in hits}
    script = caller.script().start(1)
    script.lease.begin_generation([ids["dues.txt"]])
    chunks, pairs = finished([ids["dues.txt"]], questions=len(QUESTIONS))
    for pair, question in zip(pairs, QUESTIONS, strict=True):
        pair["question_text"] = question
    script.lease.save_pairs(chunks, pairs, {})
    script.lease.finish_generation()
    return script, ids


def pairs_of(caller: Caller, path: str, **query: Any) -> dict[str, Any]:
    return caller.api.get(path, params={**caller.own, **query}).json()


def test_pairs_are_searched_by_their_questions(caller: Caller) -> None:
    script, _ = in_review(caller)
    run = f"/deep-memory/runs/{script.run.id}"
    found = pairs_of(caller, f"{run}/pairs", search="HARBOUR")
    assert [pair["question_text"] for pair in found["pairs"]] == [QUESTIONS[0]]
    assert found["total"] == 1
    assert pairs_of(caller, f"{run}/pairs")["total"] == len(QUESTIONS)


def test_a_check_that_costs_nothing_flags_by_pair(caller: Caller) -> None:
    script, _ = in_review(caller)
    path = f"/deep-memory/runs/{script.run.id}/pair-check"
    assert caller.api.get(path).json() == {"cost_usd": 0}
    found = caller.api.post(path, json={}).json()
    assert found["checked"] == len(QUESTIONS)
    flagged = {each["pair"]["question_text"]: each["flags"] for each in found["flagged"]}
    assert flagged[QUESTIONS[1]] == ["gives itself away"]
    assert QUESTIONS[0] not in flagged
    assert found["counts"]["gives itself away"] == 1


def test_pairs_are_dropped_together_in_review_only(caller: Caller) -> None:
    script, _ = in_review(caller)
    run = f"/deep-memory/runs/{script.run.id}"
    first, second, third = (pair["id"] for pair in pairs_of(caller, f"{run}/pairs")["pairs"])
    dropped = caller.api.post(f"{run}/drop-pairs", json={"pair_ids": [first, second]})
    assert (dropped.status_code, dropped.json()) == (200, {"dropped": 2})
    again = caller.api.post(f"{run}/drop-pairs", json={"pair_ids": [first, second]})
    assert again.json() == {"dropped": 0}

    script.train()
    refused = caller.api.post(f"{run}/drop-pairs", json={"pair_ids": [third]})
    assert refused.status_code == 400
    assert pairs_of(caller, f"{run}/pairs")["total"] == 1
    for ids in ([], ["x"], [third] * 1_001):
        assert caller.api.post(f"{run}/drop-pairs", json={"pair_ids": ids}).status_code == 422


@pytest.mark.parametrize(
    ("form", "media_type"),
    [("jsonl", "application/jsonl"), ("csv", "text/csv"), ("zip", "application/zip")],
)
def test_what_goes_out_comes_in_again(caller: Caller, form: str, media_type: str) -> None:
    script, _ = in_review(caller)
    run = f"/deep-memory/runs/{script.run.id}"
    out = caller.api.get(f"{run}/pair-file", params={"form": form})
    assert out.status_code == 200
    assert out.headers["content-type"].startswith(media_type)
    assert f'.{form}"' in out.headers["content-disposition"]

    ids = [pair["id"] for pair in pairs_of(caller, f"{run}/pairs")["pairs"]]
    caller.api.post(f"{run}/drop-pairs", json={"pair_ids": ids[:2]}).raise_for_status()
    into = caller.api.post(f"{run}/pair-file", files={"file": (f"pairs.{form}", out.content)})
    assert (into.status_code, into.json()) == (201, {"added": 2, "duplicates": 1, "unknown": 0})
    assert {pair["question_text"] for pair in pairs_of(caller, f"{run}/pairs")["pairs"]} == set(
        QUESTIONS
    )


def test_an_import_says_what_it_left_out_and_a_wrong_file_changes_nothing(caller: Caller) -> None:
    script, ids = in_review(caller)
    run = f"/deep-memory/runs/{script.run.id}"
    rows = [
        {"question_text": "When is there soup?", "chunk_id": ids["soup.txt"]},
        {"question_text": "Who is gone?", "chunk_id": "gone"},
    ]
    lines = "\n".join(json.dumps(row) for row in rows).encode()
    added = caller.api.post(f"{run}/pair-file", files={"file": ("../p.jsonl", lines)})
    assert added.json() == {"added": 1, "duplicates": 0, "unknown": 1}

    many = b"\n".join([lines.splitlines()[1]] * 2_000)  # more than JSON may have
    left_out = caller.api.post(f"{run}/pair-file", files={"file": ("p.jsonl", many)})
    assert left_out.json() == {"added": 0, "duplicates": 0, "unknown": 2_000}

    for name, data in (("p.txt", lines), ("p.csv", b"question\nWho?\n"), ("p.jsonl", b"")):
        refused = caller.api.post(f"{run}/pair-file", files={"file": (name, data)})
        assert (refused.status_code, set(refused.json())) == (400, {"detail"})
    script.train()
    assert (
        caller.api.post(f"{run}/pair-file", files={"file": ("p.jsonl", lines)}).status_code == 400
    )
    assert pairs_of(caller, f"{run}/pairs")["total"] == len(QUESTIONS) + 1


def test_an_import_of_several_files_or_none_is_malformed(caller: Caller) -> None:
    run = f"/deep-memory/runs/{caller.script().to(RunStatus.GENERATED).run.id}"
    two = [("file", ("a.jsonl", b"{}")), ("file", ("b.jsonl", b"{}"))]
    assert caller.api.post(f"{run}/pair-file", files=two).status_code == 400
    assert caller.api.post(f"{run}/pair-file", json={}).status_code == 422
    unknown = caller.api.get(f"{run}/pair-file", params={"form": "exe"})
    assert unknown.status_code == 422


def test_a_pair_is_decided_about_edited_and_taken_back_over_http(caller: Caller) -> None:
    script, _ = in_review(caller)
    run = f"/deep-memory/runs/{script.run.id}"
    first, second, _ = pairs_of(caller, f"{run}/pairs")["pairs"]
    assert (first["review"], first["original_question"], first["reviewed_at"]) == (
        "to_review", None, None
    )  # fmt: skip
    path = f"{run}/pairs/{first['id']}"
    edited = caller.api.patch(path, json={"question_text": "Who pays?"}).json()
    assert (edited["review"], edited["question_text"]) == ("kept", "Who pays?")
    assert edited["original_question"] == first["question_text"]
    assert caller.api.patch(path, json={"question_text": "Who pays?"}).json() == edited
    dropped = caller.api.patch(path, json={"review": "dropped"}).json()
    assert (dropped["review"], dropped["question_text"]) == ("dropped", "Who pays?")
    body = {"review": "to_review", "question_text": first["question_text"]}
    assert caller.api.patch(path, json=body).json() == first

    for wrong in ({}, {"review": "gone"}, {"review": None}):
        assert caller.api.patch(path, json=wrong).status_code == 422
    script.train()
    refused = caller.api.patch(f"{run}/pairs/{second['id']}", json={"review": "kept"})
    assert refused.status_code == 400


def test_dropped_pairs_are_listed_only_when_they_are_asked_for(caller: Caller) -> None:
    script, _ = in_review(caller)
    run = f"/deep-memory/runs/{script.run.id}"
    by_question = {
        pair["question_text"]: pair for pair in pairs_of(caller, f"{run}/pairs")["pairs"]
    }
    first, second, third = (by_question[question] for question in QUESTIONS)
    caller.api.delete(f"{run}/pairs/{first['id']}", params=caller.own).raise_for_status()
    assert caller.api.delete(f"{run}/pairs/{first['id']}").status_code == 404
    caller.api.patch(f"{run}/pairs/{second['id']}", json={"review": "kept"}).raise_for_status()

    def ids(**query: Any) -> list[str]:
        found = pairs_of(caller, f"{run}/pairs", **query)
        assert found["total"] == len(found["pairs"])
        return [pair["id"] for pair in found["pairs"]]

    assert set(ids()) == {second["id"], third["id"]}
    assert ids(review="dropped") == [first["id"]]
    assert ids(review="kept") == [second["id"]]
    assert ids(review="to_review", search="moon") == [third["id"]]
    assert caller.api.get(run, params=caller.own).json()["pair_count"] == 2
    about = f"/knowledge-base/chunks/{first['chunk_id']}/pairs"
    assert first["id"] not in {pair["id"] for pair in caller.api.get(about).json()["pairs"]}
    out = caller.api.get(f"{run}/pair-file", params={"form": "jsonl"})
    assert len(out.content.splitlines()) == 2


def test_the_most_doubtful_pairs_come_first_when_they_were_checked(caller: Caller) -> None:
    script, _ = in_review(caller)
    run = f"/deep-memory/runs/{script.run.id}"
    caller.api.post(f"{run}/pair-check", json={}).raise_for_status()
    found = pairs_of(caller, f"{run}/pairs", order="doubt")["pairs"]
    assert found[-1]["question_text"] == QUESTIONS[0]
    assert [pair["flags"] for pair in found if pair["question_text"] == QUESTIONS[1]] == [
        ["gives itself away"]
    ]
