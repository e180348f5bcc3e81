"""Who may call: every route refuses strangers, and no route shows or changes another's things.

The requests are made from the description of the routes, so that a new route can not be forgotten:
a field that `VALUES` does not know fails the tests.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import jwt
import pytest

from services.accounts.auth import Accounts
from services.http.api import PREFIX, create_api
from services.local_supabase.data_folder import load_or_create_secrets
from services.local_supabase.stack import LocalSupabase
from services.runs.states import RunStatus
from tests.contract.conftest import Caller
from tests.running_app import RunningApp

PUBLIC = {("GET", "/healthz"), ("GET", "/readyz")}
DESCRIPTION = create_api().openapi()
ROUTES = [
    (method.upper(), path)
    for path, operations in DESCRIPTION["paths"].items()
    for method in operations
]
GUARDED = [route for route in ROUTES if route not in PUBLIC]
SECRET_WORD = "quokka"
_THINGS = ("run_id", "pair_id", "document_id", "chunk_id", "import_id")


@dataclass(frozen=True)
class Estate:
    """What one person has."""

    owner: Caller
    values: dict[str, Any]  # by the names that routes give them

    def seen_by_owner(self) -> list[Any]:
        run = self.values["run_id"]
        paths = ["settings", "runs", f"runs/{run}", f"runs/{run}/pairs", f"runs/{run}/events"]
        paths += ["models", "test-sets"]
        api, own = self.owner.api, self.owner.own
        answers = [api.get(f"/deep-memory/{path}", params=own) for path in paths]
        answers += [
            api.get(path)
            for path in ("/questions", "/questions/votes", "/questions/missed", "/questions/log")
        ]
        answers += [api.get("/account/kept-searches")]
        answers += [api.get("/search/feedback", params={"query": self.values["query"]})]
        answers += [api.get("/documents"), api.get(f"/imports/{self.values['import_id']}")]
        assert all(answer.is_success for answer in answers)
        return [answer.json() for answer in answers]


@pytest.fixture
def estate(new_caller: Callable[[], Caller]) -> Estate:
    owner = new_caller()
    text = f"The {SECRET_WORD} eats leaves at night. It sleeps all day.".encode()
    document = owner.api.post("/documents", files={"files": ("q.txt", text)}).json()
    owner.script().to(RunStatus.COMPLETED)
    run_id = owner.script().to(RunStatus.GENERATED).run.id
    pairs = owner.api.get(f"/deep-memory/runs/{run_id}/pairs", params=owner.own).json()["pairs"]
    test_set = f"about the {SECRET_WORD}"
    owner.api.post(
        "/deep-memory/test-sets",
        data={"name": test_set},
        files={"file": ("q.csv", b"question,answer\nWhen does it sleep?,all day\n")},
    ).raise_for_status()
    query = f"what does the {SECRET_WORD} eat"
    [hit] = owner.api.post("/search", json={"query": query}).json()["hits"]
    consent = {"keeps_searches": False, "days": 30}
    owner.api.put("/account/kept-searches", json=consent).raise_for_status()
    says = {"query": query, "chunk_id": hit["id"], "answers": False, "first_hit": hit["id"]}
    for by in ("person", "application"):
        owner.api.post("/search/feedback", json={**says, "by": by}).raise_for_status()
    owner.api.post(
        "/questions/log", files={"file": ("q.csv", f"text\n{SECRET_WORD}?".encode())}
    ).raise_for_status()
    return Estate(
        owner,
        {
            "run_id": run_id,
            "training_run_id": run_id,
            "job_id": run_id,
            "pair_id": pairs[0]["id"],
            "pair_ids": [pairs[0]["id"]],
            "document_id": document["documents"][0]["id"],
            "document_ids": [document["documents"][0]["id"]],
            "import_id": document["import_id"],
            "chunk_id": hit["id"],
            "name": test_set,
            "test_set": test_set,
            "form": "jsonl",
            "user_id": owner.id,
            "question_text": "Whose is this?",
            "enabled": True,
            "query": query,
            "question": query,
            "chunk_ids": [hit["id"]],
            "purpose": "test",
            "decision": "dismissed",
            "answers": True,
            "confirmed": True,
            "keeps_searches": True,
            "judgements": [{"question": query, "chunk_id": hit["id"], "answers": True}],
            "counts": True,
        },
    )


@dataclass(frozen=True)
class Attempt:
    method: str
    path: str
    params: dict[str, Any]
    json: dict[str, Any] | None
    data: dict[str, Any] | None
    files: dict[str, Any] | None

    def by(self, api: httpx.Client, **headers: str) -> httpx.Response:
        return api.request(
            self.method,
            self.path,
            params=self.params,
            json=self.json,
            data=self.data,
            files=self.files,
            headers=headers,
        )


def attempt(route: tuple[str, str], values: dict[str, Any]) -> Attempt:
    """A well-formed request to the route, on these things."""
    method, path = route
    operation = DESCRIPTION["paths"][path][method.lower()]
    body = data = files = None
    params = {"user_id": values["user_id"]}
    for parameter in operation.get("parameters", []):
        if parameter["in"] == "query" and parameter["required"]:
            params[parameter["name"]] = values[parameter["name"]]
    content = operation.get("requestBody", {}).get("content", {})
    for kind, described in content.items():
        name = described["schema"]["$ref"].rpartition("/")[2]
        schema = DESCRIPTION["components"]["schemas"][name]
        needed = {"training_run_id", "question_text"}  # or another field, as each says
        fields = {*schema.get("required", []), *(schema["properties"].keys() & needed)}
        if kind == "multipart/form-data":
            uploads = fields & {"file", "files"}
            files = dict.fromkeys(uploads, ("mine.txt", b"Something of my own."))
            data = {field: values[field] for field in fields - uploads}
        else:
            body = {field: values[field] for field in fields}
            if "user_id" in body:
                del params["user_id"]
    return Attempt(method, path.format(**values), params, body, data, files)


@pytest.mark.parametrize("route", GUARDED, ids=" ".join)
def test_things_of_another_are_not_there(
    route: tuple[str, str], estate: Estate, new_caller: Callable[[], Caller]
) -> None:
    before = estate.seen_by_owner()
    intruder = new_caller()
    in_their_name = attempt(route, estate.values).by(intruder.api)
    in_own_name = attempt(route, {**estate.values, "user_id": intruder.id}).by(intruder.api)

    assert (in_their_name.status_code, set(in_their_name.json())) == (404, {"detail"})
    if "{" in route[1] or "training_run_id" in str(attempt(route, estate.values).json):
        assert in_own_name.status_code == 404
    things = [estate.values[name] for name in _THINGS]
    for secret in (*things, estate.owner.id, SECRET_WORD, estate.owner.user.identity.email):
        assert secret not in in_their_name.text + in_own_name.text
    assert estate.seen_by_owner() == before


@pytest.mark.parametrize("route", GUARDED, ids=" ".join)
def test_every_route_needs_a_token(
    route: tuple[str, str], app: RunningApp, estate: Estate, claims: dict[str, Any]
) -> None:
    forged = jwt.encode({**claims, "sub": estate.owner.id}, "x" * 48)
    with httpx.Client(base_url=f"{app.url}{PREFIX}") as api:
        for headers in ({}, {"Authorization": f"Bearer {forged}"}):
            refused = attempt(route, estate.values).by(api, **headers)
            assert (refused.status_code, set(refused.json())) == (401, {"detail"})
            assert refused.headers["www-authenticate"] == "Bearer"


def test_what_is_no_valid_token_is_refused(
    app: RunningApp, supabase_stack: LocalSupabase, caller: Caller
) -> None:
    good = caller.user.access_token()
    said = jwt.decode(good, options={"verify_signature": False})
    head, payload, signature = good.split(".")
    secret = load_or_create_secrets(supabase_stack.data_dir).jwt_secret
    bad = {
        "another scheme": "Basic bWU6bWU=",
        "empty": "Bearer",
        "not a token": "Bearer x",
        "unsigned": f"Bearer {jwt.encode(said, None, algorithm='none')}",
        "tampered": f"Bearer {head}.{payload}.{signature[::-1]}",
        "expired": f"Bearer {jwt.encode({**said, 'exp': time.time() - 1}, secret)}",
        "without an end": f"Bearer {jwt.encode({**said, 'exp': None}, secret)}",
        "API key": f"Bearer {supabase_stack.publishable_key}",
        "secret key": f"Bearer {supabase_stack.secret_key}",
    }
    for kind, header in bad.items():
        refused = httpx.get(f"{app.url}{PREFIX}/documents", headers={"Authorization": header})
        assert refused.status_code == 401, kind


def test_a_token_that_was_signed_out_is_refused(app: RunningApp, accounts: Accounts) -> None:
    user = accounts.sign_up(f"{time.time_ns()}@example.com", "correct horse battery")
    headers = {"Authorization": f"Bearer {user.access_token()}"}
    accounts.sign_out(user)
    assert httpx.get(f"{app.url}{PREFIX}/documents", headers=headers).status_code == 401


def test_every_route_declares_how_it_refuses() -> None:
    for method, path in ROUTES:
        operation = DESCRIPTION["paths"][path][method.lower()]
        declared = set(operation["responses"])
        if (method, path) in GUARDED:
            assert declared >= {"401", "404", "422", "503"}, (method, path)
            assert operation["security"] == [{"HTTPBearer": []}]
        if "requestBody" in operation:
            assert "413" in declared, (method, path)
