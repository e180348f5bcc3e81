"""How often a screen or a search asks the database, counted where the requests leave the app."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from services.accounts import database
from services.config import PROJECT_ROOT
from services.deep_memory.evaluation import evaluate_embeddings
from services.deep_memory.figures import Questions, Ranked, compared
from services.deep_memory.measurement import TrainingMetrics
from services.http import search
from services.ranking.untrained import Untrained
from services.runs.states import RunStatus
from services.studio import Studio
from services.workspace import Workspace
from tests.behind_the_door import models_of
from tests.runs import Script
from tests.trained_models import ranking_by

STATE, RUNS, EVENTS = (
    "rpc/deep_memory_state",
    "deep_memory_training_runs",
    "deep_memory_run_events",
)
IMPORT = "rpc/import_state"
REST = "/rest/v1/"


@pytest.fixture
def sent(monkeypatch) -> list[httpx.Request]:
    """The requests of all clients that are made while the test runs."""
    requests: list[httpx.Request] = []
    make = database._connections

    def counted() -> httpx.Client:
        connections = make()
        connections.event_hooks["request"].append(requests.append)
        return connections

    monkeypatch.setattr(database, "_connections", counted)
    return requests


@pytest.fixture(scope="module")
def studio(new_studio) -> Studio:
    return new_studio()


@pytest.fixture
def space(sent, studio, new_user, service) -> Workspace:
    """A person with a completed run whose model search uses."""
    space = Workspace(studio, new_user())
    space.documents.add([("dues.txt", b"Ships pay harbour dues when they berth.")])
    script = Script(space.user, service).to(RunStatus.TRAINING)
    models_of(space).save(script.run, ranking_by())
    script.lease.finish_training(metrics().as_json(), activate=True)
    space.models.set_enabled(True)
    return space


def metrics() -> TrainingMetrics:
    vectors = np.eye(4, dtype=np.float32)
    questions = Questions(["Who pays?"] * 4, vectors, [{n} for n in range(4)], "abcd")
    figures = evaluate_embeddings(vectors, vectors, questions.relevant)
    ranked = Ranked({Untrained.RANKER: figures}, figures)
    held_out = compared(questions, ranked, np.arange(4))
    return TrainingMetrics(held_out, 4, "document", 0, 8, 8, 0, {}, 1.0, "wordllama-256")


@pytest.fixture
def statements(sent, space, studio, monkeypatch) -> Callable[..., Counter[str]]:
    """Draws a page once for the person, and counts what it asked the database."""
    monkeypatch.setattr("services.studio._current", studio)
    monkeypatch.setattr(st, "page_link", lambda *_args, **_options: None)  # one page knows no other

    def draw(page: str, address: dict[str, str] | None = None, **state: str) -> Counter[str]:
        script = AppTest.from_file(str(Path(PROJECT_ROOT, "pages", page)), default_timeout=60)
        script.session_state["_workspace"] = space
        for key, value in state.items():
            script.session_state[key] = value
        for key, value in (address or {}).items():
            script.query_params[key] = value
        sent.clear()
        script.run()
        assert not script.exception
        return asked(sent)

    return draw


def asked(sent: list[httpx.Request]) -> Counter[str]:
    return Counter(
        request.url.path.removeprefix(REST)
        for request in sent
        if request.url.path.startswith(REST) and "rescue_runs" not in request.url.path
    )


def test_a_dashboard_with_a_completed_run_reads_the_state_once(statements):
    assert statements("deep_memory.py") == {STATE: 1, RUNS: 1, EVENTS: 1}


def test_the_search_page_asks_for_the_state_and_for_what_was_said_before(statements):
    asks = statements("search.py", query="Who pays harbour dues?")
    assert asks == {STATE: 1, "rpc/marks_of": 1}


def test_the_page_of_missed_questions_asks_for_what_its_open_tab_shows(statements):
    questions = {"deep_memory_questions": 1}
    assert statements("missed.py") == {**questions, "rpc/missed_questions": 1}
    votes = statements("missed.py", missed_tab="Votes to review")
    assert votes == {**questions, "rpc/application_votes": 1}


def test_the_page_of_the_account_does_not_ask_the_database(statements):
    assert statements("account.py") == {}


def test_the_knowledge_base_asks_once_whether_an_import_is_to_be_shown(statements, space):
    space.documents.acknowledge_import(space.documents.current_import.id)
    assert statements("knowledge_base.py") == {IMPORT: 1}


def test_the_report_of_an_import_is_read_with_one_page_of_its_files(statements):
    assert statements("knowledge_base.py") == {IMPORT: 1, "document_import_files": 1}


def test_a_document_asks_once_for_the_questions_about_what_is_shown(statements, space):
    document = space.documents.all()[0]
    assert statements("document.py", address={"id": document.id}) == {
        "deep_memory_training_pairs": 1
    }


@pytest.mark.parametrize(("wanted", "statements"), [(None, 1), (True, 1), (False, 0)])
def test_a_search_over_http_reads_the_state_once_at_most(space, sent, wanted, statements):
    sent.clear()
    body = search.SearchRequest(query="Who pays harbour dues?", deep_memory=wanted)
    assert search._search(body, space).notice is None
    assert sum(asked(sent).values()) == asked(sent)[STATE] == statements
