"""Cheap calls go on while expensive ones take all the threads that they may have."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from services.http.embeddings import EMBEDDINGS_AT_ONCE, QUERY
from services.http.pairs import CHECKS_AT_ONCE
from services.http.search import SEARCHES_AT_ONCE
from tests.contract.conftest import Caller
from tests.contract.test_http_pairs import in_review
from tests.fakes import wire
from tests.fakes.openai_server import FakeOpenAI
from tests.running_app import RunningApp, run_app

CALLS = 45  # more than the 40 threads that all routes share


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeOpenAI]:
    with FakeOpenAI() as server:
        yield server


@pytest.fixture(scope="module")
def app(supabase_stack, fake) -> Iterator[RunningApp]:
    with run_app(
        supabase_stack.data_dir,
        OPENAI_BASE_URL=fake.base_url,
        OPENAI_API_KEY=fake.key,
        EMBEDDING_MODEL="text-embedding-3-small",
    ) as running:
        yield running


@pytest.mark.parametrize(
    ("path", "body", "at_once"),
    [
        ("/search", {"query": "vessel"}, SEARCHES_AT_ONCE),
        ("/search/compare", {"query": "vessel"}, SEARCHES_AT_ONCE),
        ("{app}/v1/embeddings", {"model": QUERY, "input": "vessel"}, EMBEDDINGS_AT_ONCE),
        ("/deep-memory/runs/{run_id}/pair-check", {"cost_agreed": True}, CHECKS_AT_ONCE),
    ],
)
def test_runs_settings_and_token_checks_answer_while_calls_wait_for_a_model(
    app: RunningApp,
    fake: FakeOpenAI,
    caller: Caller,
    new_caller,
    path: str,
    body: dict,
    at_once: int,
):
    script, _ = in_review(caller)
    path = path.format(run_id=script.run.id, app=app.url)
    let_go, arrived = threading.Event(), threading.Semaphore(0)

    def held(request: wire.Request, answer: wire.Answer) -> wire.Reply:
        arrived.release()
        let_go.wait(120)
        return answer(request)

    fake.fail(held, times=CALLS, matching="/embeddings")

    def call(_number: int) -> int:
        return caller.api.post(path, json=body, timeout=150).status_code

    with ThreadPoolExecutor(CALLS) as people:
        calls = [people.submit(call, number) for number in range(CALLS)]
        try:
            assert all(arrived.acquire(timeout=60) for _ in range(at_once))
            stranger = new_caller()  # whose token nobody has checked yet
            for person in (caller, stranger):
                own = person.own
                assert person.api.get("/deep-memory/runs", params=own).is_success
            assert not any(each.done() for each in calls)
        finally:
            let_go.set()
        assert {each.result() for each in calls} == {200}
