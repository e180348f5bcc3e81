"""What costs money over HTTP is done only when somebody asks for it in so many words."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from services.local_supabase.stack import LocalSupabase
from tests.contract.conftest import Caller
from tests.contract.test_http_pairs import in_review
from tests.fakes.openai_server import FakeOpenAI
from tests.running_app import RunningApp, run_app


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeOpenAI]:
    with FakeOpenAI() as server:
        yield server


@pytest.fixture(scope="module")
def app(supabase_stack: LocalSupabase, fake: FakeOpenAI) -> Iterator[RunningApp]:
    with run_app(
        supabase_stack.data_dir,
        OPENAI_BASE_URL=fake.base_url,
        OPENAI_API_KEY=fake.key,
        EMBEDDING_MODEL="text-embedding-3-small",
    ) as running:
        yield running


def test_a_check_that_costs_is_made_only_when_somebody_agreed(
    caller: Caller, fake: FakeOpenAI
) -> None:
    script, _ = in_review(caller)
    path = f"/deep-memory/runs/{script.run.id}/pair-check"
    assert caller.api.get(path).json()["cost_usd"] > 0
    before = len(fake.calls())

    refused = caller.api.post(path, json={})
    assert refused.status_code == 400
    assert refused.json()["detail"].startswith("Checking 3 pairs costs about $0.")
    assert len(fake.calls()) == before

    assert caller.api.post(path, json={"cost_agreed": True}).json()["checked"] == 3
    assert len(fake.calls()) > before


def test_an_estimate_names_tokens_and_money_before_anything_is_spent(
    caller: Caller, fake: FakeOpenAI
) -> None:
    in_review(caller)
    before = len(fake.calls())
    whole = caller.api.get("/deep-memory/estimate").json()
    half = caller.api.get("/deep-memory/estimate", params={"batch_mode": True}).json()
    assert whole["input_tokens"] > 0
    assert half["cost_usd"] == pytest.approx(whole["cost_usd"] / 2)
    assert len(fake.calls()) == before


def test_the_connection_is_tried_when_somebody_asks(caller: Caller, fake: FakeOpenAI) -> None:
    before = len(fake.calls())
    facts = caller.api.get("/account")
    assert (facts.json()["openai_is_set"], len(fake.calls())) == (True, before)
    assert fake.key not in facts.text
    assert caller.api.post("/account/test-connection").json() == {
        "question_model": "gpt-4o-mini",
        "answer_form": "schema",
        "embedding_model": "text-embedding-3-small",
        "embedding_width": 1536,
        "problems": [],
    }
