"""The whole path with cloud settings: two strict stand-ins, the real clients, no change of code."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest

from services.deep_memory.cloud_jobs import WORKING
from services.deep_memory.model_in_cloud import REPLACED_IN_CLOUD
from services.deep_memory.test_sets import SAMPLE_TEST_SET
from services.errors import NotAllowed, TrainingError
from services.knowledge.sample import sample_documents
from services.models import TrainingRun
from services.runs.states import RunStatus
from services.studio import Studio
from services.workspace import Workspace
from tests.behind_the_door import cloud_holds, store_of
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
    workspace.documents.add(sample_documents())
    yield workspace
    store_of(workspace).reader.close()
    store_of(workspace).writer.close()


@pytest.fixture
def run(workspace, cloud, openai) -> Iterator[TrainingRun]:
    """A run whose questions are generated."""
    cloud.log.clear()
    openai.log.clear()
    workspace.runs.generate(2)
    run = wait_for(workspace, lambda run: not run.status.is_active)
    assert run.status is RunStatus.GENERATED, run.error_message
    yield run
    cloud.forgive()
    cloud.outcome, cloud.refuses_to_cancel = "completed", 0
    if left := workspace.models.state().blocking:
        if not left.status.is_failed:
            workspace.runs.stop(left.id)
        workspace.runs.remove(left.id)


def wait_for(
    workspace: Workspace, is_so: Callable[[TrainingRun], bool], seconds: float = 60
) -> TrainingRun:
    deadline = time.monotonic() + seconds
    while True:
        run = workspace.runs.page(limit=1)[0][0]
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
    assert len(openai.calls("/chat/completions")) == run.total_chunks  # no chunk was paid twice

    cloud.outcome = "stuck"
    workspace.runs.train(run.id)
    wait_for(workspace, is_in_the_cloud(cloud))
    workspace.runs.stop(run.id)
    assert unfinished(cloud) == []  # cancelled there as well

    cloud.outcome = "completed"
    workspace.runs.proceed(run.id)
    run = wait_for(workspace, lambda run: not run.status.is_active)
    assert run.status is RunStatus.COMPLETED, run.error_message
    assert is_in_the_cloud(cloud)(run)
    assert run.metrics["service"]["recall_at_10"] == 0.855
    assert run.metrics["after"]["recall@10"] > run.metrics["before"]["recall@10"]

    workspace.models.use(run.id)
    comparison = workspace.search.compare(
        "What is the notice period?", 5, workspace.models.state().active
    )
    assert len(comparison.without) == len(comparison.with_) == 5
    assert comparison.run_id == run.id
    assert "deepmemory_distance" in cloud.calls("/api/query/")[-1].request.text

    store_of(workspace)._cached = None  # as in a process that has just started
    assert workspace.search.as_chosen("What is the notice period?", 5).run_id == run.id
    assert store_of(workspace)._cached is None, "a search must not wait for all chunks to be read"

    by_chunk = workspace.test_sets.measure(SAMPLE_TEST_SET, run.id)
    [in_training] = run.metrics["test_sets"]
    for key in ("questions", "before", "after", "intervals", "ranks"):
        assert by_chunk[key] == in_training[key]
    asked = b"question,document\nWhat is the notice period?,%s\n"
    document = comparison.with_[0].document
    workspace.test_sets.add_file("mine", "mine.csv", asked % document.encode())
    by_document = workspace.test_sets.measure("mine", run.id)
    assert (by_document["questions"], by_document["after"]["recall@1"]) == (1, 1.0)
    [to_judge] = workspace.judging.rank("mine", run.id).questions
    assert to_judge.without[:5] == tuple(hit.chunk_id for hit in comparison.without)
    assert to_judge.with_[:5] == tuple(hit.chunk_id for hit in comparison.with_)
    assert len(to_judge.without) == len(to_judge.with_) == 10


def test_a_stop_while_the_training_is_submitted_cancels_the_job_that_comes_of_it(
    studio, workspace, run, cloud
):
    arrived, stopped = threading.Event(), threading.Event()

    def slow(request, answer):
        arrived.set()
        assert stopped.wait(30)
        return answer(request)

    cloud.fail(slow, matching="/deepmemory/v1/train")
    workspace.runs.train(run.id)
    assert arrived.wait(30)
    run = workspace.runs.stop(run.id)
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
    workspace.runs.train(run.id)
    assert arrived.wait(30)
    workspace.runs.stop(run.id)
    stopped.set()
    run = wait_for(workspace, lambda run: run.worker_id is None)
    (job_id,) = unfinished(cloud)
    assert f"refused to cancel the training (job {job_id})" in run.error_message
    assert run.deeplake_job_id == job_id
    del cloud.jobs[job_id]


@pytest.fixture
def chosen(workspace, run, cloud) -> TrainingRun:
    """The run whose model search uses, trained in the cloud."""
    workspace.runs.train(run.id)
    trained = wait_for(workspace, lambda run: not run.status.is_active)
    assert trained.status is RunStatus.COMPLETED, trained.error_message
    workspace.models.use(trained.id)
    return trained


def stopped_in_training(workspace, cloud) -> TrainingRun:
    """A second run, stopped while the cloud trains, which refuses to cancel that."""
    cloud.outcome, cloud.refuses_to_cancel = "stuck", 409
    run = workspace.runs.generate(1)
    wait_for(workspace, lambda run: not run.status.is_active)
    workspace.runs.train(run.id)
    wait_for(workspace, is_in_the_cloud(cloud))
    with pytest.raises(TrainingError, match=r"was stopped\. .* goes on there"):
        workspace.runs.stop(run.id)
    return wait_for(workspace, lambda run: run.worker_id is None)


def test_a_job_that_can_not_be_cancelled_is_said_and_never_answers_for_the_chosen_model(
    workspace, chosen, cloud
):
    stopped = stopped_in_training(workspace, cloud)
    (job_id,) = unfinished(cloud)
    assert stopped.error_message.startswith("Stopped by")
    assert "goes on there" in stopped.error_message
    assert "goes on there" in workspace.runs.events(stopped.id)[-1].message
    assert "goes on there" in workspace.runs.remove(stopped.id)

    # As long as it works, the chosen model answers, and no other is trained.
    assert workspace.search.as_chosen("notice period", 3).run_id == chosen.id
    again = workspace.runs.generate(1)
    wait_for(workspace, lambda run: not run.status.is_active)
    workspace.runs.train(again.id)
    refused = wait_for(workspace, lambda run: not run.status.is_active)
    assert f"goes on in DeepLake Cloud (job {job_id})" in refused.error_message
    assert unfinished(cloud) == [job_id]

    # When it has ended, the model there is not the chosen one: search says so and uses neither.
    cloud.finish(job_id)
    assert workspace.models.unusable([chosen]) == {chosen.id: REPLACED_IN_CLOUD}
    assert workspace.models.state().in_use is None
    assert (
        workspace.models.state().settings.model_was_replaced
        and not workspace.models.state().settings.can_enable
    )
    with pytest.raises(NotAllowed, match="latest model only"):
        workspace.models.use(chosen.id)
    assert workspace.search.as_chosen("notice period", 3).run_id is None

    # Until somebody trains again.
    cloud.outcome = "completed"
    workspace.runs.proceed(again.id)
    trained = wait_for(workspace, lambda run: not run.status.is_active)
    assert trained.status is RunStatus.COMPLETED, trained.error_message
    assert cloud_holds(workspace) == trained.id
    workspace.models.use(trained.id)
    assert workspace.search.as_chosen("notice period", 3).run_id == trained.id


def test_a_job_whose_run_failed_before_it_was_measured_does_not_answer_for_the_chosen_model(
    workspace, chosen, cloud
):
    run = workspace.runs.generate(1)
    wait_for(workspace, lambda run: not run.status.is_active)
    cloud.fail(failing(403), times=99, matching="deepmemory_distance")  # as it measures
    workspace.runs.train(run.id)
    failed = wait_for(workspace, lambda run: not run.status.is_active)
    assert failed.status is RunStatus.TRAINING_FAILED
    cloud.forgive()
    assert workspace.models.unusable([chosen]) == {chosen.id: REPLACED_IN_CLOUD}

    workspace.runs.proceed(failed.id)  # measures the job that has completed
    wait_for(workspace, lambda run: run.status is RunStatus.COMPLETED)
    assert cloud_holds(workspace) == failed.id


def test_whether_a_job_has_ended_is_asked_only_while_one_may_work_and_no_answer_is_no_model(
    workspace, chosen, cloud
):
    cloud.log.clear()
    assert workspace.models.unusable([chosen]) == {}
    assert not cloud.calls("/jobs")
    stopped_in_training(workspace, cloud)
    cloud.fail(failing(403), times=99, matching="/jobs")
    assert "may have replaced this model" in workspace.models.unusable([chosen])[chosen.id]
    cloud.forgive()
    assert workspace.models.unusable([chosen]) == {}
    cloud.jobs.clear()


@pytest.mark.parametrize("cloud_fails", [False, True])
def test_removing_a_failed_run_cancels_its_job_or_says_that_it_may_go_on(
    workspace, run, cloud, cloud_fails
):
    cloud.fail(failing(403), matching="/status")
    workspace.runs.train(run.id)
    failed = wait_for(workspace, lambda run: not run.status.is_active)
    assert failed.status is RunStatus.TRAINING_FAILED
    (job_id,) = unfinished(cloud)
    if cloud_fails:
        cloud.fail(failing(403), matching="/cancel")
    message = workspace.runs.remove(run.id)
    assert ("may still be running" in message) is cloud_fails
    assert unfinished(cloud) == ([job_id] if cloud_fails else [])
    assert workspace.models.state().blocking is None
    cloud.jobs.pop(job_id, None)
