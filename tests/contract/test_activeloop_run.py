"""The whole path with cloud settings: two strict stand-ins, the real clients, no change of code."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest

from services.models import TrainingRun
from services.runs.states import RunStatus
from services.studio import Studio
from services.workspace import Workspace
from tests.fakes.activeloop_server import FakeActiveloop
from tests.fakes.openai_server import FakeOpenAI


@pytest.fixture(scope="module")
def openai() -> Iterator[FakeOpenAI]:
    with FakeOpenAI(widths={"narrow": 128}) as fake:  # leaves a training something to gain
        yield fake


@pytest.fixture(scope="module")
def cloud(tmp_path_factory) -> Iterator[FakeActiveloop]:
    with FakeActiveloop(tmp_path_factory.mktemp("cloud")) as fake:
        yield fake


@pytest.fixture(scope="module")
def studio(new_studio, openai, cloud) -> Studio:
    return new_studio(
        deeplake_path="hub://acme/knowledge",
        activeloop_token=cloud.token,
        activeloop_endpoint=cloud.url,
        openai_api_key=openai.key,
        openai_base_url=openai.base_url,
        embedding_model="narrow",
    )


@pytest.fixture(scope="module")
def workspace(studio) -> Iterator[Workspace]:
    """A person with the sample in the cloud, and the questions generated."""
    user = studio.accounts.sign_in_or_up(f"{uuid4()}@example.com", "a long password")
    workspace = Workspace(studio, user)
    workspace.knowledge.load_sample()
    workspace.deep_memory.generate(2)
    run = wait_for(workspace, lambda run: not run.status.is_active)
    assert run.status is RunStatus.GENERATED, run.error_message
    yield workspace
    workspace.store.reader.close()
    workspace.store.writer.close()


def wait_for(
    workspace: Workspace, is_so: Callable[[TrainingRun], bool], seconds: float = 60
) -> TrainingRun:
    deadline = time.monotonic() + seconds
    while True:
        run = workspace.deep_memory.runs.page(limit=1)[0][0]
        if is_so(run):
            return run
        assert time.monotonic() < deadline, run
        time.sleep(0.1)


def test_a_run_is_trained_in_the_cloud_stopped_proceeded_and_found_better(workspace, cloud, openai):
    memory = workspace.deep_memory
    run = memory.runs.page(limit=1)[0][0]
    assert len(openai.calls("/chat/completions")) == run.total_chunks  # no chunk was paid twice

    cloud.outcome = "stuck"
    memory.train(run.id)
    wait_for(workspace, lambda run: run.deeplake_job_id in cloud.jobs)
    memory.stop(run.id)
    assert cloud.jobs == {}  # cancelled there as well

    cloud.outcome = "completed"
    memory.proceed(run.id)
    run = wait_for(workspace, lambda run: not run.status.is_active)
    assert run.status is RunStatus.COMPLETED, run.error_message
    assert run.deeplake_job_id in cloud.jobs
    assert run.metrics["service"]["recall_at_10"] == 0.855
    assert run.metrics["after"]["recall@10"] > run.metrics["before"]["recall@10"]

    memory.set_enabled(True)
    comparison = workspace.search("What is the notice period?", 5, memory.active_run())
    assert len(comparison.without) == len(comparison.with_) == 5
    assert comparison.run_id == run.id
    assert "deepmemory_distance" in cloud.calls("/api/query/")[-1].request.text
