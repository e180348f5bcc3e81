"""A run in the batch mode as a person drives it: offered, begun, stopped, proceeded, removed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from streamlit.testing.v1 import AppTest

from services.config import Settings
from services.errors import GenerationError, NotAllowed
from services.generation.batch_mode import BatchMode
from services.knowledge.knowledge_base import File
from services.models import TrainingRun
from services.runs.states import RunStatus
from services.studio import Studio
from services.workspace import Workspace
from tests.fakes.openai_server import FakeOpenAI, failing

DOCUMENTS = 6


@pytest.fixture(scope="module")
def openai() -> Iterator[FakeOpenAI]:
    with FakeOpenAI() as fake:
        yield fake


@pytest.fixture(scope="module")
def studio(new_studio, openai) -> Studio:
    return new_studio(
        batch_mode=BatchMode(
            more_chunks_than=DOCUMENTS - 1,
            host=urlsplit(openai.base_url).netloc,
            first_pause_s=0.02,
            longest_pause_s=0.1,
        ),
        openai_api_key=openai.key,
        openai_base_url=openai.base_url,
        embedding_model="wordllama",
    )


@pytest.fixture
def workspace(studio, openai) -> Workspace:
    user = studio.accounts.sign_up(f"{uuid4()}@example.com", "a long password")
    workspace = Workspace(studio, user)
    workspace.documents.add([document(number) for number in range(DOCUMENTS)])
    openai.log.clear()
    openai.queue.batches.clear()
    openai.queue.answers_a_look = None
    openai.forgive()
    return workspace


def document(number: int) -> File:
    return f"Quay {number}.txt", f"Quay{number} moors vessel{number} at bollard{number}.".encode()


def wait_for(workspace: Workspace, is_so: Callable[[TrainingRun], bool]) -> TrainingRun:
    deadline = time.monotonic() + 30
    while True:
        run = workspace.runs.page(limit=1)[0][0]
        if is_so(run):
            return run
        assert time.monotonic() < deadline, run
        time.sleep(0.05)


def asked(openai: FakeOpenAI) -> Counter[int]:
    answered = [call for call in openai.calls("/chat/completions") if call.status == 200]
    return Counter(
        number
        for number in range(DOCUMENTS)
        for call in answered
        if f"bollard{number}" in call.request.text
    )


def test_a_stop_cancels_at_openai_and_proceed_goes_on_in_the_same_mode(workspace, openai):
    openai.queue.answers_a_look = 0
    run = workspace.runs.generate(2, batch_mode=True)
    wait_for(workspace, lambda _: "in_progress" in statuses(openai))
    openai.queue.answers_a_look = 2
    wait_for(workspace, lambda _: any(b.answered for b in openai.queue.batches.values()))
    began = time.monotonic()
    workspace.runs.stop(run.id)
    assert time.monotonic() - began < 5
    assert statuses(openai)[0] in ("cancelling", "cancelled", "finalizing", "completed")
    openai.queue.answers_a_look = None

    workspace.runs.proceed(run.id)
    run = wait_for(workspace, lambda run: not run.status.is_active)
    assert run.status is RunStatus.GENERATED, run.error_message
    assert run.settings["batch_mode"]
    assert run.pair_count == 2 * DOCUMENTS
    assert asked(openai) == Counter(range(DOCUMENTS))
    assert {call.method for call in openai.calls("/chat/completions")} == {"BATCH"}


def statuses(openai: FakeOpenAI) -> list[str]:
    return [batch.status for batch in list(openai.queue.batches.values())]


def test_a_stop_that_does_not_reach_openai_says_so(workspace, openai):
    openai.queue.answers_a_look = 0
    run = workspace.runs.generate(2, batch_mode=True)
    wait_for(workspace, lambda _: "in_progress" in statuses(openai))
    openai.fail(failing(500), times=99, matching="/cancel")
    with pytest.raises(GenerationError, match="may go on"):
        workspace.runs.stop(run.id)
    assert wait_for(workspace, lambda run: True).status is RunStatus.GENERATING_FAILED
    openai.forgive()
    workspace.runs.remove(run.id)
    assert statuses(openai) == ["cancelling"]  # nobody would have collected it


def test_the_mode_is_for_large_knowledge_bases_and_openais_own_models(workspace):
    workspace.documents.remove(workspace.documents.all()[0].id)
    assert not workspace.runs.offer_batch_mode
    with pytest.raises(NotAllowed, match="batch mode is for"):
        workspace.runs.generate(2, batch_mode=True)


@pytest.mark.parametrize(
    ("settings", "chunks", "offered"),
    [
        ({"openai_api_key": "sk-1"}, 10_001, True),
        ({"openai_api_key": "sk-1"}, 10_000, False),
        ({"openai_base_url": "https://api.openai.com/v1"}, 10_001, True),
        ({"openai_base_url": "http://localhost:11434/v1"}, 10_001, False),
        ({"openai_api_key": "sk-1", "question_model": "offline"}, 10_001, False),
        ({}, 10_001, False),
    ],
)
def test_by_default_it_is_offered_above_ten_thousand_chunks(settings, chunks, offered):
    assert BatchMode().is_offered(Settings(_env_file=None, **settings), chunks) is offered


def card(space) -> None:  # its source runs alone, without the names of this module
    from pages.ui.workflow_card import workflow_card

    workflow_card(space, space.models.state(), "")


def test_the_card_offers_it_with_its_price_and_tells_what_waits(
    workspace, studio, openai, monkeypatch
):
    monkeypatch.setattr("services.studio._current", studio)
    openai.queue.answers_a_look = 0
    page = AppTest.from_function(card, args=(workspace,), default_timeout=20).run()
    choice = page.checkbox(key="batch_mode")
    assert "half the price, about $0.00" in choice.label
    assert "24 hours" in choice.label
    choice.check()
    page.button(key="generate").click().run()
    run = wait_for(workspace, lambda _: "in_progress" in statuses(openai))
    page.run()
    assert not page.exception
    waiting = f"{DOCUMENTS} chunks are waiting at OpenAI"
    assert any(waiting in caption.value for caption in page.caption)
    workspace.runs.stop(run.id)
