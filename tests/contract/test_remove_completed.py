"""A completed run is removed whole, unless search uses it; old models are kept by a setting."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from services.deep_memory.kept_models import tidy_all_models, tidy_models
from services.deep_memory.model_store import GONE, NO_LONGER_KEPT, ModelStore
from services.errors import NotAllowed, NotFound, RunMoved
from services.models import TrainingRun
from services.retrieval.stores import models_folder
from services.runs.states import RunStatus
from services.runs.store import RunStore
from services.studio import Studio
from services.workspace import Workspace
from tests.behind_the_door import cloud_holds, models_of
from tests.runs import METRICS, Script
from tests.trained_models import ranking_by

S = RunStatus
IN_CLOUD = {**METRICS, "trainer": "cloud"}
OF_A_RUN = (
    "deep_memory_training_pairs",
    "deep_memory_run_chunks",
    "deep_memory_run_events",
    "deep_memory_generation_batches",
    "deep_memory_waiting_chunks",
)


@pytest.fixture(scope="module")
def studio(new_studio) -> Studio:
    return new_studio()


@pytest.fixture
def workspace(studio, user) -> Workspace:
    return Workspace(studio, user)


@pytest.fixture
def files(studio, user) -> Path:
    return models_folder(studio.settings, user.identity.user_id)


@pytest.fixture
def completed(workspace, service):
    """Makes completed runs, each with a model and moves on the disk, and search's choice."""

    def make(metrics: dict = METRICS) -> TrainingRun:
        script = Script(workspace.user, service).to(S.TRAINING)
        models_of(workspace).save(script.run, ranking_by())
        models_of(workspace).save_rank_changes(
            script.run, {"wins": ["a question"], "losses": []}, []
        )
        script.lease.finish_training(metrics, activate=True)
        return script.now

    return make


def of_run(files: Path, run: TrainingRun) -> list[str]:
    return sorted(path.name.removeprefix(f"{run.id}.1.") for path in files.glob(f"{run.id}*"))


def settings_row(owner, user) -> tuple:
    return owner.execute(
        "select enabled, active_run_id::text, last_training_run_id::text, last_trained_at"
        " from deep_memory_settings where user_id = %s",
        (user.identity.user_id,),
    ).fetchone()


def test_a_completed_run_goes_with_all_its_rows_and_files(workspace, completed, owner, files):
    old, new = completed(), completed()
    owner.execute(
        "insert into deep_memory_generation_batches (id, training_run_id)"
        " values (gen_random_uuid(), %s)",
        (old.id,),
    )
    owner.execute(
        "insert into deep_memory_waiting_chunks select training_run_id, 'c', id"
        " from deep_memory_generation_batches where training_run_id = %s",
        (old.id,),
    )
    assert list(files.glob(f"{old.id}*"))
    workspace.models.set_enabled(True)

    said = workspace.runs.remove_completed(old.id)

    assert said == "Training run, its model and 2 associated pairs deleted"
    for table in OF_A_RUN:
        sql = f"select count(*) from {table} where training_run_id = %s"
        assert owner.execute(sql, (old.id,)).fetchone() == (0,)
    assert list(files.glob(f"{old.id}*")) == []
    assert list(files.glob(f"{new.id}*"))
    with pytest.raises(NotFound):
        workspace.runs.remove_completed(old.id)


def test_a_run_whose_model_search_uses_stays_until_deep_memory_is_switched_off(
    workspace, completed, owner, user, files
):
    older, used = completed(), completed()
    workspace.models.set_enabled(True)
    with pytest.raises(NotAllowed, match="Search uses the model") as refused:
        workspace.runs.remove_completed(used.id)
    assert "switch Deep Memory off" in refused.value.next_step
    assert workspace.runs.get(used.id) == used
    assert list(files.glob(f"{used.id}*"))

    workspace.models.set_enabled(False)
    workspace.runs.remove_completed(used.id)

    assert settings_row(owner, user) == (False, None, older.id, older.completed_at)
    assert not workspace.models.state().settings.can_enable
    workspace.runs.remove_completed(older.id)
    assert settings_row(owner, user) == (False, None, None, None)
    assert workspace.models.state().settings.last_trained_at is None


def test_a_run_that_is_not_completed_is_not_removed_this_way(workspace, user, service):
    for status in [status for status in S if status is not S.COMPLETED]:
        script = Script(user, service).to(status)
        before = script.now
        with pytest.raises(RunMoved):
            workspace.runs.remove_completed(before.id)
        assert workspace.runs.get(before.id) == before
        if not status.is_failed:
            script.store.stop(before.id, by="test")
        workspace.runs.remove(before.id)


def test_the_way_for_failed_runs_does_not_remove_a_completed_one(workspace, completed):
    run = completed()
    with pytest.raises(RunMoved, match="completed"):
        workspace.runs.remove(run.id)
    assert workspace.runs.get(run.id) == run


def test_no_statement_of_ones_own_removes_the_run_that_search_uses(workspace, completed, user):
    run = completed()
    workspace.models.set_enabled(True)
    with pytest.raises(NotAllowed):
        user.database.execute(
            lambda c: c.table("deep_memory_training_runs").delete().eq("id", run.id)
        )
    assert workspace.runs.get(run.id) == run


def test_the_run_of_the_model_in_the_cloud_goes_last_of_the_clouds(workspace, completed):
    """Or the one before it would pass for the model that answers there."""
    older, local, newest = completed(IN_CLOUD), completed(), completed(IN_CLOUD)
    with pytest.raises(NotAllowed, match="DeepLake Cloud holds it"):
        workspace.runs.remove_completed(newest.id)
    workspace.runs.remove_completed(older.id)
    assert cloud_holds(workspace) == newest.id
    workspace.runs.remove_completed(newest.id)
    assert cloud_holds(workspace) is None
    assert workspace.runs.get(local.id) == local


def test_removing_a_failed_run_takes_its_files_whoever_asks(workspace, user, service):
    script = Script(user, service).to(S.TRAINING_FAILED)
    models_of(workspace).save(script.run, ranking_by())
    workspace.runs.remove(script.run.id)
    assert models_of(workspace).runs() == set()


def test_the_newest_models_and_the_one_in_use_are_kept_and_the_others_say_so(
    workspace, completed, service, user
):
    runs = [completed() for _ in range(4)]
    workspace.models.use(runs[0].id)
    user_id = user.identity.user_id

    tidy_models(service, user_id, models_of(workspace), kept=2)

    problems = [models_of(workspace).problem(run) for run in runs]
    assert problems == ["", NO_LONGER_KEPT, "", ""]
    assert workspace.models.no_longer_kept(runs) == {runs[1].id}
    assert models_of(workspace).rank_changes(runs[1])  # its figures stay
    with pytest.raises(NotAllowed, match="no longer kept"):
        workspace.models.use(runs[1].id)
    tidy_models(service, user_id, models_of(workspace), kept=2)
    assert [models_of(workspace).problem(run) for run in runs] == problems


def test_a_training_gives_up_the_models_beyond_the_setting(new_studio, user):
    studio = new_studio(models_kept=1)
    workspace = Workspace(studio, user)
    text = "Pier {n} takes ships of class {n}. The fee of pier {n} is {n} crowns a day."
    names = ["north", "south", "east", "west", "inner", "outer", "upper", "lower"]
    workspace.documents.add(
        [(f"{name}.txt", text.format(n=f"{name} {name}port").encode()) for name in names]
    )
    trained = []
    for _ in range(2):
        run = workspace.runs.generate(2)
        wait_until(lambda run: workspace.runs.get(run.id).status is S.GENERATED, run)
        workspace.runs.train(run.id)
        wait_until(lambda run: workspace.runs.get(run.id).status is S.COMPLETED, run)
        trained.append(workspace.runs.get(run.id))
    wait_until(lambda run: models_of(workspace).problem(run) == NO_LONGER_KEPT, trained[0])
    assert models_of(workspace).problem(trained[1]) == ""


def test_files_of_a_run_that_was_removed_before_a_crash_go_at_the_next_start(
    studio, workspace, completed, service, user, files
):
    completed()
    gone = completed()
    # The row alone: the app died before the files.
    RunStore(workspace.user.database).remove_completed(gone.id)
    assert list(files.glob(f"{gone.id}*"))

    tidy_all_models(studio.settings, service)

    assert list(files.glob(f"{gone.id}*")) == []
    assert len(models_of(workspace).runs("*.npz")) == 1


def test_models_of_a_person_whom_this_database_does_not_know_are_left_alone(
    service, tmp_path, completed, workspace
):
    """The data folder may have been used with another Supabase."""
    run = completed()
    elsewhere = ModelStore(tmp_path)
    elsewhere.save(run, models_of(workspace).load(run))
    stranger = "00000000-0000-4000-8000-000000000000"
    tidy_models(service, stranger, elsewhere, kept=1)
    assert elsewhere.problem(run) == ""
    assert ModelStore(tmp_path / "other").problem(run) == GONE


def wait_until(is_so: Callable[[TrainingRun], bool], run: TrainingRun, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not is_so(run):
        assert time.monotonic() < deadline
        time.sleep(0.1)
