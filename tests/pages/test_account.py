"""The account page: who is signed in, what is connected, and never a key."""

from __future__ import annotations

import pytest

from services.workspace import Workspace
from tests.fakes.openai_server import FakeOpenAI, failing


def test_it_says_who_is_signed_in_and_what_is_in_use(open_page, workspace, studio):
    screen = open_page(workspace, "account.py")
    assert workspace.user.identity.email in screen.words
    table = screen.app.table[0].value.to_string()
    assert studio.writer.name in table
    assert studio.embedder_name in table
    assert studio.endpoint.url in table


def test_it_says_what_each_embedder_and_a_reranker_cost(open_page, workspace):
    screen = open_page(workspace, "account.py")
    for setting in ("EMBEDDING_MODEL=wordllama", "EMBEDDING_MODEL=minilm", "RERANK_URL"):
        assert setting in screen.words


def test_what_is_not_set_says_what_to_set(open_page, workspace):
    screen = open_page(workspace, "account.py")
    for variable in ("DEEPLAKE_PATH", "OPENAI_API_KEY"):
        assert variable in screen.words
    assert "test_connection" not in screen.keys


def test_keys_and_tokens_never_show(open_page, workspace, studio):
    screen = open_page(workspace, "account.py")
    shown = screen.words + screen.app.table[0].value.to_string()
    for secret in (studio.endpoint.secret_key, studio.endpoint.publishable_key):
        assert secret.get_secret_value() not in shown


@pytest.fixture
def connected(new_studio, user, monkeypatch):
    """A workspace of an app with an OpenAI key."""
    with FakeOpenAI() as fake:
        studio = new_studio(openai_api_key=fake.key, openai_base_url=fake.base_url)
        monkeypatch.setattr("services.studio._current", studio)
        yield fake, Workspace(studio, user)


def test_the_connection_is_tested_when_a_person_asks_for_it(open_page, connected):
    fake, workspace = connected
    screen = open_page(workspace, "account.py")
    assert fake.log == []
    screen.press("test_connection")
    assert [box.value for box in screen.app.success] != []
    assert screen.problems == []
    assert fake.key not in screen.words


def test_a_connection_that_does_not_work_says_why_for_each_model(open_page, connected):
    fake, workspace = connected
    fake.fail(failing(401, "invalid_api_key"), times=2)
    screen = open_page(workspace, "account.py").press("test_connection")
    assert len(screen.problems) == 2
    assert all("key" in problem for problem in screen.problems)
