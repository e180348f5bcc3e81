"""Feedback over HTTP: another application's users say what answers, a person decides about it."""

from __future__ import annotations

import time

import pytest

from tests.contract.conftest import Caller

QUERY = "Who pays harbour dues?"


@pytest.fixture
def hits(caller: Caller) -> list[str]:
    files = [
        ("files", ("dues.txt", b"Ships pay harbour dues.")),
        ("files", ("soup.txt", b"Soup is hot.")),
    ]
    caller.api.post("/documents", files=files).raise_for_status()
    return [hit["id"] for hit in caller.api.post("/search", json={"query": QUERY}).json()["hits"]]


def give(caller: Caller, **said) -> None:
    answer = caller.api.post("/search/feedback", json={"query": QUERY, **said})
    assert answer.status_code == 200, answer.text


def said(caller: Caller) -> dict:
    return caller.api.get("/search/feedback", params={"query": QUERY.lower()}).json()


NOTHING_SAID = {
    "answers": {},
    "nothing_answers": False,
    "purpose": "open",
    "is_unanswerable": False,
}


def test_feedback_of_an_application_counts_once_and_only_after_a_person_confirmed_it(caller, hits):
    for _ in range(2):
        give(caller, chunk_id=hits[0], answers=True)
        give(caller, nothing_answers=True)
    assert said(caller) == NOTHING_SAID
    votes = caller.api.get("/questions/votes").json()["votes"]
    assert {vote["chunk_id"] for vote in votes} == {hits[0], None}
    refused = caller.api.post("/questions/decide", json={"question": QUERY, "decision": "test"})
    assert refused.status_code == 400

    for vote in votes:
        del vote["said_at"]
        review = {**vote, "confirmed": vote["chunk_id"] is not None}
        assert caller.api.post("/questions/votes/review", json=review).status_code == 200
    assert caller.api.get("/questions/votes").json() == {"votes": []}
    assert said(caller) == {**NOTHING_SAID, "answers": {hits[0]: True}}


def test_feedback_is_taken_back(caller, hits):
    for by in ("person", "application"):
        give(caller, chunk_id=hits[0], answers=False, by=by)
        give(caller, chunk_id=hits[0], answers=None, by=by)
        give(caller, nothing_answers=True, by=by)
        give(caller, nothing_answers=False, by=by)
    assert said(caller) == NOTHING_SAID
    assert caller.api.get("/questions/votes").json() == {"votes": []}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"answers": True},
        {"chunk_id": "c1"},
        {"chunk_id": "c1", "answers": True, "nothing_answers": True},
        {"nothing_answers": True, "first_hit": "c1"},
        {"nothing_answers": True, "by": "model"},
    ],
)
def test_feedback_that_says_nothing_or_two_things_is_malformed(caller, body):
    answer = caller.api.post("/search/feedback", json={"query": QUERY, **body})
    assert answer.status_code == 422


def test_a_chunk_that_is_not_there_is_not_judged(caller):
    body = {"query": QUERY, "chunk_id": "elsewhere", "answers": True}
    assert caller.api.post("/search/feedback", json=body).status_code == 404


def test_a_missed_question_becomes_a_training_pair_and_then_a_test_question(caller, hits):
    give(caller, chunk_id=hits[0], answers=False, first_hit=hits[0], by="person")
    give(caller, chunk_id=hits[1], answers=True, first_hit=hits[0], by="person")
    [group] = caller.api.get("/questions/missed").json()["groups"]
    [missed] = group["questions"]
    assert (missed["question"], missed["why"]) == (QUERY, "first hit is wrong")
    for purpose, other in (("training", "test"), ("test", "training")):
        decide = {"question": QUERY, "decision": purpose}
        assert caller.api.post("/questions/decide", json=decide).status_code == 200
        mine = caller.api.get("/questions", params={"purpose": purpose}).json()["questions"]
        assert [asked["question"] for asked in mine] == [QUERY]
        others = caller.api.get("/questions", params={"purpose": other}).json()
        assert others == {"questions": []}
    assert caller.api.get("/questions/missed").json() == {"groups": []}


@pytest.mark.parametrize("decision", ["unanswerable", "dismissed"])
def test_a_missed_question_is_decided_about(caller, decision):
    give(caller, nothing_answers=True, by="person")
    caller.api.post("/questions/decide", json={"question": QUERY, "decision": decision})
    assert caller.api.get("/questions/missed").json() == {"groups": []}
    assert said(caller)["is_unanswerable"] is (decision == "unanswerable")


def test_a_question_is_added_with_its_answer(caller, hits):
    body = {"question": QUERY, "chunk_ids": [hits[0]], "purpose": "test"}
    assert caller.api.post("/questions", json=body).status_code == 201
    assert said(caller) == {**NOTHING_SAID, "answers": {hits[0]: True}, "purpose": "test"}


def test_a_log_is_added_searched_again_and_removed(caller, hits):
    file = {"file": ("log.csv", b"query,answer\nWho pays?,a lighthouse\nHow hot is soup?,\n")}
    added = caller.api.post("/questions/log", files=file)
    assert added.status_code == 201
    counts = {"questions": 2, "with_answer": 1, "not_in_documents": 1, "missed": 1, "ranked": 2}
    assert added.json() == caller.api.post("/questions/log/search-again").json() == counts
    assert caller.api.get("/questions/log").json() == {"questions": 2, "is_current": True}
    assert set(caller.api.get("/questions/disagreements").json()) == {"questions"}
    assert caller.api.delete("/questions/log").status_code == 200
    assert caller.api.get("/questions/log").json()["questions"] == 0

    bad = caller.api.post("/questions/log", files={"file": ("log.csv", b"name\nAnn\n")})
    assert (bad.status_code, bad.json()["detail"]) == (
        400,
        "The file has no column question or query or text.",
    )


def test_searches_over_http_are_kept_with_consent_alone(caller, hits):
    def kept() -> dict:
        return caller.api.get("/account/kept-searches").json()

    assert kept() == {"keeps_searches": False, "days": 90, "kept": 0}
    consent = {"keeps_searches": True, "days": 30}
    given = caller.api.put("/account/kept-searches", json=consent).json()
    assert given == {**consent, "kept": 0}
    caller.api.post("/search", json={"query": "Is the soup hot?"}).raise_for_status()
    deadline = time.monotonic() + 20
    while not kept()["kept"] and time.monotonic() < deadline:  # it is kept after the answer
        time.sleep(0.05)
    assert kept()["kept"] == 1
    assert caller.api.delete("/account/kept-searches").status_code == 200
    assert kept()["kept"] == 0
    refused = caller.api.put("/account/kept-searches", json={**consent, "days": 0})
    assert refused.status_code == 422
