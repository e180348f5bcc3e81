"""The gateway lets in who has a key, forwards rows unchanged, and answers in Supabase's shapes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import psycopg
import pytest
from psycopg_pool import PoolTimeout
from starlette.testclient import TestClient

from services.local_supabase import gateway
from services.local_supabase.gateway import Keys, create_gateway
from services.local_supabase.refused_attempts import AuthRefused, Caller
from tests.fakes.wire import Reply, Request, WireServer

KEYS = Keys("publishable", "secret")
API_KEY = {"apikey": "publishable"}
MODERN = {"x-supabase-api-version": "2024-01-01"}


class Rows(WireServer):
    """In the place of PostgREST: answers as told, and remembers what came."""

    reply = Reply(200, [{"id": 1}], {"content-range": "0-0/1"})

    def answer(self, request: Request) -> Reply:
        return self.reply


class Accounts:
    """Answers with what it was asked, or refuses as told."""

    def __init__(self) -> None:
        self.error: Exception | None = None

    def _answer(self, **asked: Any) -> dict[str, Any]:
        if self.error is not None:
            raise self.error
        return asked

    def sign_up(self, body: dict, caller: Caller) -> dict[str, Any]:
        return self._answer(signed_up=body, caller=asdict(caller))

    def sign_in(self, body: dict, caller: Caller) -> dict[str, Any]:
        return self._answer(signed_in=body)

    def refresh(self, body: dict) -> dict[str, Any]:
        return self._answer(refreshed=body)

    def user(self, token: str) -> dict[str, Any]:
        return self._answer(token=token)

    def sign_out(self, token: str, scope: str) -> None:
        self._answer()
        self.signed_out = (token, scope)


@pytest.fixture
def rows() -> Iterator[Rows]:
    with Rows() as rows:
        yield rows


@pytest.fixture
def accounts() -> Accounts:
    return Accounts()


@pytest.fixture
def client(rows, accounts) -> Iterator[TestClient]:
    with TestClient(create_gateway(accounts, KEYS, lambda: rows.url), headers=API_KEY) as client:
        yield client


@pytest.mark.parametrize(
    ("headers", "query", "status"),
    [
        ({}, "", 401),
        ({"apikey": "guessed"}, "", 401),
        ({"apikey": "publishable"}, "", 200),
        ({"apikey": "secret"}, "", 200),
        ({}, "?apikey=secret", 200),
        ({}, "?apikey=guessed", 401),
    ],
)
def test_one_of_the_two_keys_opens_the_gateway(client, headers, query, status):
    client.headers.pop("apikey")
    answer = client.get(f"/auth/v1/health{query}", headers=headers)
    assert answer.status_code == status
    if status == 401:
        tried = bool(headers) or bool(query)
        assert answer.json()["message"].startswith("Invalid" if tried else "No API key")


def test_rows_are_asked_for_as_they_were_and_answered_as_they_are(client, rows):
    answer = client.post(
        "/rest/v1/table%20a?id=eq.1&or=(a.eq.2,b.eq.%2B3)",
        json={"a": "ä"},
        headers={"Prefer": "return=representation", "Authorization": "Bearer of-a-person"},
    )
    [call] = rows.log
    assert (call.method, call.path.partition("?")[0]) == ("POST", "/table%20a")
    assert call.request.query == {"id": "eq.1", "or": "(a.eq.2,b.eq.+3)"}
    assert call.request.json() == {"a": "ä"}
    assert call.request.headers["prefer"] == "return=representation"
    assert call.request.headers["authorization"] == "Bearer of-a-person"
    assert (answer.status_code, answer.json()) == (200, [{"id": 1}])
    assert answer.headers["content-range"] == "0-0/1"
    assert answer.headers["content-length"] == str(len(answer.content))


@pytest.mark.parametrize("key", ["publishable", "secret"])
def test_who_has_no_own_token_acts_as_the_key_says_which_goes_no_further(client, rows, key):
    client.get("/rest/v1/table", headers={"apikey": key, "Connection": "keep-alive"})
    headers = rows.log[0].request.headers
    assert headers["authorization"] == f"Bearer {key}"
    assert "apikey" not in headers


def test_a_refusal_of_the_database_is_passed_on(client, rows):
    rows.reply = Reply(403, {"code": "42501"})
    answer = client.post("/rest/v1/table", json={})
    assert (answer.status_code, answer.json()) == (403, {"code": "42501"})


def test_a_database_that_is_away_is_told_in_postgrests_words(client, rows):
    rows.stop()
    answer = client.get("/rest/v1/table")
    assert (answer.status_code, answer.json()["code"]) == (503, "PGRST000")


def test_postgrest_is_looked_for_at_each_request(accounts, rows):
    addresses = ["http://127.0.0.1:1", rows.url]
    with TestClient(create_gateway(accounts, KEYS, lambda: addresses.pop(0))) as client:
        answers = [client.get("/rest/v1/table", headers=API_KEY).status_code for _ in range(2)]
    assert answers == [503, 200]


@pytest.mark.parametrize(
    ("route", "limit"),
    [("/auth/v1/signup", "LARGEST_AUTH_BODY"), ("/rest/v1/t", "LARGEST_REST_BODY")],
)
@pytest.mark.parametrize(("size", "is_taken"), [(100, True), (101, False)])
def test_a_body_over_the_limit_is_refused(client, rows, monkeypatch, route, limit, size, is_taken):
    monkeypatch.setattr(gateway, limit, 100)
    body = b'{"a": "' + b"x" * (size - 9) + b'"}'
    answer = client.post(route, content=body)
    assert answer.status_code == (200 if is_taken else 413)
    assert len(rows.log) == (is_taken and route.startswith("/rest"))


def test_accounts_are_asked_what_was_sent(client, accounts):
    body = {"email": "a@b.c", "password": "x"}
    assert client.post("/auth/v1/signup", json=body).json() == {
        "signed_up": body,
        "caller": {"address": "testclient", "device": None},
    }
    for grant, said in (("password", "signed_in"), ("refresh_token", "refreshed")):
        answer = client.post(f"/auth/v1/token?grant_type={grant}", json=body)
        assert answer.json() == {said: body}
    assert client.post("/auth/v1/token?grant_type=magic", json=body).status_code == 400
    answer = client.post("/auth/v1/token", json=body, headers=MODERN)
    assert answer.json()["code"] == "validation_failed"


def test_a_session_is_asked_for_and_ended_by_its_token(client, accounts):
    token = {"Authorization": "Bearer abc"}
    assert client.get("/auth/v1/user", headers=token).json() == {"token": "abc"}
    answer = client.post("/auth/v1/logout?scope=local", headers=token)
    assert (answer.status_code, answer.content) == (204, b"")
    assert accounts.signed_out == ("abc", "local")
    client.post("/auth/v1/logout", headers=token)
    assert accounts.signed_out == ("abc", "global")


@pytest.mark.parametrize(
    "header", [{}, {"Authorization": "Basic abc"}, {"Authorization": "Bearer"}]
)
def test_a_request_without_a_bearers_token_is_no_session(client, header):
    answer = client.get("/auth/v1/user", headers={**header, **MODERN})
    assert (answer.status_code, answer.json()["code"]) == (401, "no_authorization")


@pytest.mark.parametrize(("body", "says"), [(b"{", "parse"), (b"[1]", "not a JSON object")])
def test_what_is_no_json_object_is_refused(client, body, says):
    answer = client.post("/auth/v1/signup", content=body)
    assert answer.status_code == 400
    assert (answer.json()["error_code"], says in answer.json()["msg"]) == ("bad_json", True)


def test_a_refusal_has_the_shape_that_the_client_knows(client, accounts):
    accounts.error = AuthRefused(422, "weak_password", "Too short", reasons=["length"])
    old = client.post("/auth/v1/signup", json={})
    assert (old.status_code, old.json()) == (
        422,
        {"code": 422, "error_code": "weak_password", "msg": "Too short", "reasons": ["length"]},
    )
    new = client.post("/auth/v1/signup", json={}, headers=MODERN)
    assert new.json() == {"code": "weak_password", "message": "Too short", "reasons": ["length"]}
    assert new.headers["x-supabase-api-version"] == "2024-01-01"


@pytest.mark.parametrize("error", [psycopg.OperationalError("gone"), PoolTimeout("busy")])
def test_a_database_that_is_away_is_no_refusal_of_the_person(client, accounts, error):
    accounts.error = error
    answer = client.post("/auth/v1/signup", json={}, headers=MODERN)
    assert answer.status_code == 503
    assert "not available just now" in answer.json()["message"]


def test_no_key_is_shown_where_keys_are_printed():
    assert "secret" not in repr(KEYS) and "publishable" not in repr(KEYS).replace(
        "publishable=", ""
    )
