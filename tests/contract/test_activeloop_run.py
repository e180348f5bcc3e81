"""The whole path with cloud settings: two strict stand-ins, the real clients, no change of code."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest

from services.deep_memory.cloud_jobs import WORKING
from services.deep_memory.model_in_cloud import REPLACED_IN_CLOUD
from services.deep_memory.training import SAMPLE_TEST_SET
from services.errors import NotAllowed, TrainingError
from services.models import TrainingRun
from services.runs.states import RunStatus
from services.studio import Studio
from services.workspace import Workspace
from tests.fakes.activeloop_server import FakeActiveloop, failing
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
    """A person with the sample in the cloud."""
    user = studio.accounts.sign_up(f"{uuid4()}@example.com", "a long password")
    workspace = Workspace(studio, user)
    workspace.knowledge.load_sample()
    yield workspace
    workspace.store.reader.close()
    workspace.store.writer.close()


@pytest.fixture
def run(workspace, cloud, openai) -> Iterator[TrainingRun]:
    """A run whose questions are generated."""
    cloud.log.clear()
    openai.log.clear()
    workspace.deep_memory.generate(2)
    run = wait_for(workspace, lambda run: not run.status.is_active)
    assert run.status is RunStatus.GENERATED, run.error_message
    yield run
    cloud.forgive()
    cloud.outcome, cloud.refuses_to_cancel = "completed", 0
    if left := workspace.deep_memory.runs.blocking():
        if not left.status.is_failed:
            workspace.deep_memory.stop(left.id)
        workspace.deep_memory.remove(left.id)


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


def unfinished(cloud: FakeActiveloop) -> list[str]:
    return [id_ for id_, job in cloud.jobs.items() if job["status"] in WORKING]


def is_in_the_cloud(cloud: FakeActiveloop) -> Callable[[TrainingRun], bool]:
    return lambda run: run.deeplake_job_id in cloud.jobs


def test_a_run_is_trained_in_the_cloud_stopped_proceeded_and_found_better(
    workspace, run, cloud, openai
):
    memory = workspace.deep_memory
    assert len(openai.calls("/chat/completions")) == run.total_chunks  # no chunk was paid twice

    cloud.outcome = "stuck"
    memory.train(run.id)
    wait_for(workspace, is_in_the_cloud(cloud))
    memory.stop(run.id)
    assert unfinished(cloud) == []  # cancelled there as well

    cloud.outcome = "completed"
    memory.proceed(run.id)
    run = wait_for(workspace, lambda run: not run.status.is_active)
    assert run.status is RunStatus.COMPLETED, run.error_message
    assert is_in_the_cloud(cloud)(run)
    assert run.metrics["service"]["recall_at_10"] == 0.855
    assert run.metrics["after"]["recall@10"] > run.metrics["before"]["recall@10"]

    memory.set_enabled(True)
    comparison = workspace.search("What is the notice period?", 5, memory.active_run())
    assert len(comparison.without) == len(comparison.with_) == 5
    assert comparison.run_id == run.id
    assert "deepmemory_distance" in cloud.calls("/api/query/")[-1].request.text

    by_chunk = workspace.measure(run, SAMPLE_TEST_SET)
    [in_training] = run.metrics["test_sets"]
    for key in ("questions", "before", "after", "intervals", "ranks"):
        assert by_chunk[key] == in_training[key]
    asked = b"question,document\nWhat is the notice period?,%s\n"
    document = comparison.with_[0].document
    workspace.add_test_set("mine", "mine.csv", asked % document.encode())
    by_document = workspace.measure(run, "mine")
    assert (by_document["questions"], by_document["after"]["recall@1"]) == (1, 1.0)


def test_a_stop_while_the_training_is_submitted_cancels_the_job_that_comes_of_it(
    studio, workspace, run, cloud
):
    arrived, stopped = threading.Event(), threading.Event()

    def slow(request, answer):
        arrived.set()
        assert stopped.wait(30)
        return answer(request)

    cloud.fail(slow, matching="/deepmemory/v1/train")
    memory = workspace.deep_memory
    memory.train(run.id)
    assert arrived.wait(30)
    run = memory.stop(run.id)
    assert run.deeplake_job_id is None
    stopped.set()
    wait_for(workspace, lambda run: run.worker_id is None)
    assert len(cloud.calls("/cancel")) == 1
    assert unfinished(cloud) == []


def test_a_job_that_comes_of_a_stopped_submit_and_can_not_be_cancelled_is_said_in_the_row(
    workspace, run, cloud
):
    arrived, stopped = threading.Event(), threading.Event()

    def slow(request, answer):
        arrived.set()
        assert stopped.wait(30)
        return answer(request)

    cloud.outcome, cloud.refuses_to_cancel = "stuck", 409
    cloud.fail(slow, matching="/deepmemory/v1/train")
    workspace.deep_memory.train(run.id)
    assert arrived.wait(30)
    workspace.deep_memory.stop(run.id)
    stopped.set()
    run = wait_for(workspace, lambda run: run.worker_id is None)
    (job_id,) = unfinished(cloud)
    assert f"refused to cancel the training (job {job_id})" in run.error_message
    assert run.deeplake_job_id == job_id
    del cloud.jobs[job_id]


@pytest.fixture
def chosen(workspace, run, cloud) -> TrainingRun:
    """The run whose model search uses, trained in the cloud."""
    workspace.deep_memory.train(run.id)
    trained = wait_for(workspace, lambda run: not run.status.is_active)
    assert trained.status is RunStatus.COMPLETED, trained.error_message
    workspace.use_model(trained)
    return trained


def stopped_in_training(workspace, cloud) -> TrainingRun:
    """A second run, stopped while the cloud trains, which refuses to cancel that."""
    cloud.outcome, cloud.refuses_to_cancel = "stuck", 409
    memory = workspace.deep_memory
    run = memory.generate(1)
    wait_for(workspace, lambda run: not run.status.is_active)
    memory.train(run.id)
    wait_for(workspace, is_in_the_cloud(cloud))
    with pytest.raises(TrainingError, match=r"was stopped\. .* goes on there"):
        memory.stop(run.id)
    return wait_for(workspace, lambda run: run.worker_id is None)


def test_a_job_that_can_not_be_cancelled_is_said_and_never_answers_for_the_chosen_model(
    workspace, chosen, cloud
):
    memory = workspace.deep_memory
    stopped = stopped_in_training(workspace, cloud)
    (job_id,) = unfinished(cloud)
    assert stopped.error_message.startswith("Stopped by")
    assert "goes on there" in stopped.error_message
    assert "goes on there" in memory.runs.events(stopped.id)[-1].message
    assert "goes on there" in memory.remove(stopped.id)

    # As long as it works, the chosen model answers, and no other is trained.
    assert workspace.search("notice period", 3, memory.run_in_use()).run_id == chosen.id
    again = memory.generate(1)
    wait_for(workspace, lambda run: not run.status.is_active)
    memory.train(again.id)
    refused = wait_for(workspace, lambda run: not run.status.is_active)
    assert f"goes on in DeepLake Cloud (job {job_id})" in refused.error_message
    assert unfinished(cloud) == [job_id]

    # When it has ended, the model there is not the chosen one: search says so and uses neither.
    cloud.finish(job_id)
    assert workspace.unusable_models([chosen]) == {chosen.id: REPLACED_IN_CLOUD}
    assert memory.run_in_use() is None
    assert memory.settings().model_was_replaced and not memory.settings().can_enable
    with pytest.raises(NotAllowed, match="latest model only"):
        workspace.use_model(chosen)
    assert workspace.search("notice period", 3, memory.run_in_use()).run_id is None

    # Until somebody trains again.
    cloud.outcome = "completed"
    memory.proceed(again.id)
    trained = wait_for(workspace, lambda run: not run.status.is_active)
    assert trained.status is RunStatus.COMPLETED, trained.error_message
    assert memory.model_in_cloud() == trained.id
    workspace.use_model(trained)
    assert workspace.search("notice period", 3, memory.run_in_use()).run_id == trained.id


def test_a_job_whose_run_failed_before_it_was_measured_does_not_answer_for_the_chosen_model(
    workspace, chosen, cloud
):
    memory = workspace.deep_memory
    run = memory.generate(1)
    wait_for(workspace, lambda run: not run.status.is_active)
    cloud.fail(failing(403), times=99, matching="deepmemory_distance")  # as it measures
    memory.train(run.id)
    failed = wait_for(workspace, lambda run: not run.status.is_active)
    assert failed.status is RunStatus.TRAINING_FAILED
    cloud.forgive()
    assert workspace.unusable_models([chosen]) == {chosen.id: REPLACED_IN_CLOUD}

    memory.proceed(failed.id)  # measures the job that has completed
    wait_for(workspace, lambda run: run.status is RunStatus.COMPLETED)
    assert memory.model_in_cloud() == failed.id


def test_whether_a_job_has_ended_is_asked_only_while_one_may_work_and_no_answer_is_no_model(
    workspace, chosen, cloud
):
    cloud.log.clear()
    assert workspace.unusable_models([chosen]) == {}
    assert not cloud.calls("/jobs")
    stopped_in_training(workspace, cloud)
    cloud.fail(failing(403), times=99, matching="/jobs")
    assert "may have replaced this model" in workspace.unusable_models([chosen])[chosen.id]
    cloud.forgive()
    assert workspace.unusable_models([chosen]) == {}
    cloud.jobs.clear()


@pytest.mark.parametrize("cloud_fails", [False, True])
def test_removing_a_failed_run_cancels_its_job_or_says_that_it_may_go_on(
    workspace, run, cloud, cloud_fails
):
    cloud.fail(failing(403), matching="/status")
    memory = workspace.deep_memory
    memory.train(run.id)
    failed = wait_for(workspace, lambda run: not run.status.is_active)
    assert failed.status is RunStatus.TRAINING_FAILED
    (job_id,) = unfinished(cloud)
    if cloud_fails:
        cloud.fail(failing(403), matching="/cancel")
    message = memory.remove(run.id)
    assert ("may still be running" in message) is cloud_fails
    assert unfinished(cloud) == ([job_id] if cloud_fails else [])
    assert memory.runs.blocking() is None
    cloud.jobs.pop(job_id, None)
