"""The page on which a test set is judged: the next chunk, its question, and a model's word."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from pages.ui import context
from services.runs.states import RunStatus
from services.studio import Studio
from services.workspace import Workspace
from tests.behind_the_door import models_of
from tests.contract.conftest import new_studio  # noqa: F401 - a fixture
from tests.fakes.openai_server import FakeOpenAI, insufficient_quota
from tests.pages.conftest import DOCUMENTS, NAVIGATION, TIMEOUT_S, Screen
from tests.runs import Script
from tests.trained_models import ranking_by

WHO = "Who pays harbour dues?"
ASKED = f"question,answer\n{WHO},when they berth\n".encode()


@pytest.fixture(scope="module")
def fake():
    with FakeOpenAI() as server:
        yield server


@pytest.fixture(scope="module")
def with_model(new_studio, fake) -> Studio:  # noqa: F811
    return new_studio(
        openai_api_key=fake.key, openai_base_url=fake.base_url, embedding_model="wordllama"
    )


@pytest.fixture
def asking(with_model, user) -> Workspace:
    """The workspace of a person whose app has a question model."""
    space = Workspace(with_model, user)
    space.documents.add([(name, text.encode()) for name, text in DOCUMENTS.items()])
    return space


def run_of(workspace: Workspace, service) -> str:
    script = Script(workspace.user, service).to(RunStatus.COMPLETED)
    models_of(workspace).save(script.now, ranking_by())
    workspace.test_sets.add_file("mine", "mine.csv", ASKED)
    return script.now.id


def open_judge(workspace: Workspace, **query: str) -> Screen:
    app = AppTest.from_file(str(NAVIGATION), default_timeout=TIMEOUT_S)
    app.session_state[context._WORKSPACE] = workspace
    app.run()
    app.session_state["model_judgements"] = True  # unfolded
    for name, value in query.items():
        app.query_params[name] = value
    app.switch_page("judge.py")
    return Screen(app, "judge.py").draw()


def test_chunks_are_judged_skipped_and_taken_back(workspace, service):
    screen = open_judge(workspace, set="mine", run=run_of(workspace, service))
    assert WHO in screen.words
    assert "2 chunks of this question" in screen.words
    assert "judge_undo" not in screen.keys
    screen.press("judge_yes")
    assert "1 chunk of this question" in screen.words
    screen.press("judge_skip")
    assert "All others were skipped" in screen.words
    screen.press("judge_undo")
    assert "1 chunk of this question" in screen.words
    screen.press("judge_skip").press("unskip")
    screen.press("judge_no")
    assert "All of them are judged" in screen.words
    screen.press("judge_undo").press("judge_undo")
    assert "2 chunks of this question" in screen.words
    assert "judge_undo" not in screen.keys


@pytest.mark.parametrize("query", [{}, {"set": "gone", "run": "gone"}, {"set": "mine"}])
def test_an_incomplete_link_is_an_empty_page(workspace, service, query):
    run_of(workspace, service)
    assert "Nothing to judge here" in open_judge(workspace, **query).words


def test_a_model_that_is_gone_is_said_in_words(workspace, service):
    run_id = run_of(workspace, service)
    models_of(workspace).remove(run_id)
    screen = open_judge(workspace, set="mine", run=run_id)
    assert "The file of this model is gone" in "".join(screen.problems)


def test_without_a_question_model_the_page_says_what_one_does(workspace, service):
    screen = open_judge(workspace, set="mine", run=run_of(workspace, service))
    assert "With a question model" in screen.words
    assert "ask_model" not in screen.keys


def test_a_models_cost_is_named_it_is_asked_compared_and_let_count(asking, service):
    screen = open_judge(asking, set="mine", run=run_of(asking, service))
    screen.press("judge_no")
    [label] = [one.label for one in screen.app.button if one.key == "ask_model"]
    assert "about 2 chunks: about $0.0" in label
    screen.press("ask_model")
    assert "The model has judged them." in screen.words
    assert "The model has judged 2 chunks. On the 1 that you judged too" in screen.words
    assert "Fewer than 20 chunks" in screen.words
    assert "ask_model" not in screen.keys
    for counts in (True, False):
        screen.app.toggle(key="model_counts").set_value(counts)
        screen.draw()
        assert asking.judging.said_by_model("mine").counts == counts


def test_a_models_failure_is_said_and_it_can_be_asked_again(asking, service, fake):
    screen = open_judge(asking, set="mine", run=run_of(asking, service))
    fake.fail(insufficient_quota, times=100)
    screen.press("ask_model")
    fake.forgive()
    assert "What was judged so far is kept" in "".join(screen.problems)
    screen.draw().press("ask_model")
    assert "The model has judged them." in screen.words
