"""Models are switched and rolled back under the database's guard, and search says what it can't."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import numpy as np
import pytest

from services.accounts.database import Database
from services.deep_memory.measured_sets import HELD_OUT
from services.deep_memory.measurement import TrainingMetrics, complete
from services.deep_memory.query_map import QueryMap
from services.deep_memory.test_sets import SAMPLE_TEST_SET
from services.deep_memory.trained_model import DeepMemoryModel
from services.errors import NotAllowed
from services.models import TrainingRun
from services.ranking.indexes import SearchIndexes
from services.ranking.untrained import Untrained
from services.retrieval.stores import models_folder
from services.runs.states import RunStatus
from services.studio import Studio
from services.workspace import Workspace
from tests.behind_the_door import cloud_holds, models_of
from tests.runs import METRICS, Script
from tests.trained_models import ranking_by

S = RunStatus
SETTINGS = "deep_memory_settings"
IN_CLOUD = {**METRICS, "trainer": "cloud"}
TEXTS = {
    "dues.txt": "Ships pay harbour dues when they berth.",
    "pilot.txt": "The pilot boards a vessel two miles from port.",
    "soup.txt": "The canteen serves soup on Fridays.",
}


@pytest.fixture(scope="module")
def studio(new_studio) -> Studio:
    return new_studio()


@pytest.fixture
def workspace(studio, user) -> Workspace:
    workspace = Workspace(studio, user)
    workspace.documents.add([(name, text.encode()) for name, text in TEXTS.items()])
    return workspace


def completed(
    user, service: Database, *, activate: bool = True, metrics: dict = METRICS
) -> TrainingRun:
    script = Script(user, service).to(S.TRAINING)
    script.lease.finish_training(metrics, activate=activate)
    return script.now


def with_model(
    workspace: Workspace, service: Database, model: DeepMemoryModel | None = None
) -> TrainingRun:
    """A completed run with this model, or one that goes by the words alone."""
    run = completed(workspace.user, service)
    models_of(workspace).save(run, model or ranking_by("bm25"))
    return run


def test_one_step_goes_back_to_an_older_model_and_switches_deep_memory_on(workspace, service):
    older = with_model(workspace, service)
    newer = with_model(workspace, service)
    assert workspace.models.state().active.id == newer.id
    assert not workspace.models.state().settings.enabled

    assert workspace.models.use(older.id).id == older.id

    assert workspace.models.state().active.id == older.id
    assert workspace.models.state().settings.enabled
    assert workspace.models.state().settings.last_training_run_id == newer.id
    assert workspace.runs.events(older.id)[-1].kind == "chosen"


def test_each_model_has_its_own_list_beside_any_way_to_search_without_training(workspace, service):
    by_words = with_model(workspace, service)
    turned_round = with_model(workspace, service, ranking_by(turn=-1))
    query = "Who pays harbour dues?"

    plain = workspace.search.compare(query, 3, None, untrained=Untrained.COSINE)
    words = workspace.search.compare(query, 3, by_words, untrained=Untrained.WORDS)
    turned = workspace.search.compare(query, 3, turned_round)

    assert (plain.with_, plain.run_id) == ([], None)
    assert (words.run_id, turned.run_id) == (by_words.id, turned_round.id)
    order = [hit.document for hit in plain.without]
    assert [hit.document for hit in turned.with_] == order[::-1]
    assert [hit.document for hit in words.without] == ["dues.txt"]  # no other has a word of it
    assert words.with_[0].document == turned.without[0].document == order[0] == "dues.txt"


def test_a_model_whose_file_is_gone_is_named_and_not_switched_to(workspace, service):
    kept = with_model(workspace, service)
    gone = completed(workspace.user, service)
    workspace.models.use(kept.id)

    assert workspace.models.unusable([kept, gone]) == {gone.id: "The file of this model is gone."}
    with pytest.raises(NotAllowed, match="gone"):
        workspace.models.use(gone.id)
    assert workspace.models.state().active.id == kept.id


@pytest.mark.parametrize("damage", ["cut", "flipped", "gone", "other width"])
def test_a_model_that_can_not_be_used_is_searched_without_and_said_everywhere(
    workspace, studio, user, service, damage
):
    run = with_model(workspace, service)
    workspace.models.use(run.id)
    assert workspace.search.compare("Who pays harbour dues?", 3, run).run_id == run.id
    folder = models_folder(studio.settings, user.identity.user_id)
    [file] = folder.glob(f"{run.id}.*.npz")
    whole = file.read_bytes()
    if damage == "cut":
        file.write_bytes(whole[:-100])
    elif damage == "flipped":
        file.write_bytes(whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:])
    elif damage == "gone":
        file.unlink()
    else:
        narrow = QueryMap(np.eye(8, dtype=np.float32))
        models_of(workspace).save(run, replace(ranking_by(), query_map=narrow))

    for space in (workspace, Workspace(studio, user)):
        found = space.search.compare("Who pays harbour dues?", 3, run)
        assert found.without[0].document == "dues.txt"
        assert (found.with_, found.run_id, bool(found.problem)) == ([], None, True)
    if damage != "other width":  # its file is whole
        assert "model is" in workspace.models.unusable([run])[run.id]
        with pytest.raises(NotAllowed):
            workspace.models.use(run.id)
        file.write_bytes(whole)
        assert workspace.search.compare("Who pays harbour dues?", 3, run).run_id == run.id


def test_all_wins_are_kept_beside_the_model_and_the_first_in_the_row(workspace, service):
    script = Script(workspace.user, service).to(S.TRAINING)
    wins = [{"question": f"Question {n}?", "before": None, "after": 1} for n in range(50)]
    held_out = {**METRICS, "wins": wins, "losses": []}
    metrics = TrainingMetrics(held_out, 50, "document", 0, 200, 90, 0, {}, 1.5, "wordllama")

    complete(script.lease, script.run, metrics, models_of(workspace))

    assert script.now.metrics["wins"] == wins[:20]
    assert models_of(workspace).rank_changes(script.now)[HELD_OUT] == {"wins": wins, "losses": []}
    models_of(workspace).remove(script.run.id)
    assert models_of(workspace).rank_changes(script.now) == {}


def test_a_model_for_other_embeddings_or_of_the_cloud_is_not_used(workspace, service):
    user = workspace.user
    of_others = completed(user, service, metrics={**METRICS, "embedder": "text-embedding-3-small"})
    with pytest.raises(NotAllowed, match="embeddings by text-embedding-3-small"):
        workspace.models.use(of_others.id)
    with pytest.raises(NotAllowed, match="embeddings by text-embedding-3-small"):
        workspace.test_sets.measure(SAMPLE_TEST_SET, of_others.id)
    with pytest.raises(NotAllowed, match="in DeepLake Cloud"):
        workspace.models.use(completed(user, service, metrics=IN_CLOUD).id)


@pytest.mark.parametrize("status", [s for s in RunStatus if s is not S.COMPLETED])
def test_only_a_completed_run_is_switched_to_whichever_way_it_is_tried(workspace, service, status):
    run = Script(workspace.user, service).to(status).run
    with pytest.raises(NotAllowed):
        workspace.models.use(run.id)
    row = {"user_id": run.user_id, "active_run_id": run.id}
    with pytest.raises(NotAllowed):  # through PostgREST itself, past all services
        workspace.user.database.execute(
            lambda c: c.table(SETTINGS).upsert(row, on_conflict="user_id")
        )
    assert workspace.models.state().active is None


def test_the_model_of_another_user_is_as_if_it_were_not_there(user, new_user, service):
    hers = completed(user, service)
    assert new_user().database.rpc("use_model", p_run=hers.id) == []
    assert user.database.rpc("use_model", p_run=str(uuid4())) == []


def test_a_later_training_in_the_cloud_replaces_the_model_before_even_when_it_is_worse(
    workspace, service
):
    user = workspace.user

    def use(run: TrainingRun) -> list:
        return user.database.rpc("use_model", p_run=run.id)

    first = completed(user, service, metrics=IN_CLOUD)
    assert use(first)
    assert cloud_holds(workspace) == first.id
    worse = completed(user, service, metrics=IN_CLOUD, activate=False)

    # What answers in the cloud now is the worse one: search uses neither until someone says so.
    assert workspace.models.state().active is None
    assert not workspace.models.state().settings.enabled
    assert use(first) == []
    assert use(worse)
    assert workspace.models.state().active.id == cloud_holds(workspace) == worse.id


def test_search_answers_without_a_model_while_what_it_searches_is_indexed(
    workspace, service, monkeypatch
):
    run = with_model(workspace, service)
    monkeypatch.setattr(SearchIndexes, "soon", lambda self, owner, snapshot: None)

    found = workspace.search.compare("Who pays harbour dues?", 3, run)

    assert found.is_indexing
    assert found.without[0].document == "dues.txt"
    assert (found.with_, found.run_id) == ([], None)


def test_a_knowledge_base_beyond_a_million_chunks_belongs_on_the_cloud(workspace):
    assert not workspace.documents.belong_on_cloud(1_000_000)
    assert workspace.documents.belong_on_cloud(1_000_001)
