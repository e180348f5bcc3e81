"""Models and test sets over HTTP as on the screens: compared, put to use, measured."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from services.config import Settings
from services.deep_memory.measured_sets import HELD_OUT
from services.deep_memory.model_folder import FOLDER
from services.deep_memory.model_store import ModelStore
from services.deep_memory.query_map import QueryMap
from services.deep_memory.trained_model import DeepMemoryModel
from services.local_supabase.stack import LocalSupabase
from services.models import TrainingRun
from services.retrieval.stores import models_folder
from services.runs.states import RunStatus
from tests.contract.conftest import Caller
from tests.runs import METRICS
from tests.trained_models import ranking_by

TEXTS = {
    "dues.txt": b"Ships pay harbour dues when they berth.",
    "pilot.txt": b"The pilot boards a vessel two miles from port.",
    "soup.txt": b"The canteen serves soup on Fridays.",
}
QUERY = "Who pays harbour dues?"
OWN = b"question,document\nWho pays harbour dues?,dues.txt\nWho knows?,gone.txt\n"


@pytest.fixture
def trained(
    caller: Caller, supabase_stack: LocalSupabase
) -> Callable[..., tuple[TrainingRun, ModelStore]]:
    """Makes a completed run with this model; the caller has `TEXTS`."""
    settings = Settings(_env_file=None, data_dir=supabase_stack.data_dir)
    files = [("files", (name, text)) for name, text in TEXTS.items()]
    caller.api.post("/documents", files=files).raise_for_status()

    def make(model: DeepMemoryModel) -> tuple[TrainingRun, ModelStore]:
        script = caller.script().to(RunStatus.TRAINING)
        models = ModelStore(models_folder(settings, caller.id))
        models.save(script.run, model)
        script.lease.finish_training(METRICS, activate=True)
        return script.now, models

    return make


def test_models_are_listed_with_their_figures_and_why_one_is_unusable(caller, trained):
    older, models = trained(ranking_by())
    newer, _ = trained(ranking_by())
    caller.script().to(RunStatus.GENERATED)
    models.remove(older.id)

    found = caller.api.get("/deep-memory/models").json()

    assert (found["total"], found["enabled"], found["problem"]) == (2, False, None)
    first, second = found["models"]
    assert (first["training_run_id"], first["is_chosen"], first["unusable"]) == (
        newer.id,
        True,
        None,
    )
    assert (second["training_run_id"], second["is_chosen"]) == (older.id, False)
    assert second["unusable"] == "The file of this model is gone."
    assert first["metrics"] == METRICS
    page = caller.api.get("/deep-memory/models", params={"limit": 1, "offset": 1}).json()
    assert [model["training_run_id"] for model in page["models"]] == [older.id]


def test_another_model_is_put_to_use_and_one_that_is_gone_is_not(caller, trained):
    older, models = trained(ranking_by())
    newer, _ = trained(ranking_by())
    assert caller.api.post(f"/deep-memory/models/{older.id}/use").status_code == 200
    found = caller.api.get("/deep-memory/models").json()
    assert found["enabled"]
    assert [m["training_run_id"] for m in found["models"] if m["is_chosen"]] == [older.id]

    models.give_up(newer.id)
    refused = caller.api.post(f"/deep-memory/models/{newer.id}/use")
    assert (refused.status_code, "no longer kept" in refused.json()["detail"]) == (400, True)
    kept = {m["training_run_id"]: m["is_kept"] for m in found["models"]}
    assert kept == {older.id: True, newer.id: True}
    found = caller.api.get("/deep-memory/models").json()
    assert {m["training_run_id"]: m["is_kept"] for m in found["models"]}[newer.id] is False
    unfinished = caller.script().to(RunStatus.GENERATED).run.id
    assert caller.api.post(f"/deep-memory/models/{unfinished}/use").status_code == 400


def test_all_rank_changes_of_a_model_are_there(caller, trained):
    run, models = trained(ranking_by())
    path = f"/deep-memory/models/{run.id}/rank-changes"
    assert caller.api.get(path).json() == []
    change = {"question": "Who?", "before": None, "after": 1, "relevant": ["c1"]}
    models.save_rank_changes(run, {"wins": [change], "losses": []}, [])
    assert caller.api.get(path).json() == [{"name": HELD_OUT, "wins": [change], "losses": []}]


def test_both_lists_of_a_query_are_compared_with_any_model(caller, trained):
    compare = {"query": QUERY, "k": 3}
    none = caller.api.post("/search/compare", json=compare).json()
    assert (len(none["without"]), none["with_deep_memory"], none["trained_run_id"]) == (3, [], None)
    assert none["notice"] == "No trained model is in use yet."

    older, models = trained(ranking_by(turn=-1))
    newer, _ = trained(ranking_by())
    chosen = caller.api.post("/search/compare", json=compare).json()
    assert chosen["trained_run_id"] == newer.id
    of_older = {**compare, "training_run_id": older.id}
    other = caller.api.post("/search/compare", json=of_older).json()
    plain = caller.api.post("/search/compare", json={**of_older, "untrained": "cosine"}).json()
    assert other["trained_run_id"] == plain["trained_run_id"] == older.id
    assert other["with_deep_memory"] == plain["with_deep_memory"]
    order = [hit["id"] for hit in plain["without"]]
    assert [hit["id"] for hit in plain["with_deep_memory"]] == order[::-1]
    assert plain["moved"] == {order[0]: -2, order[1]: 0, order[2]: 2}
    words = caller.api.post("/search/compare", json={**of_older, "untrained": "bm25"}).json()
    assert [hit["document"] for hit in words["without"]] == ["dues.txt"]

    models.remove(older.id)
    gone = caller.api.post("/search/compare", json=of_older).json()
    assert (gone["with_deep_memory"], gone["trained_run_id"]) == ([], None)
    assert gone["notice"] == "The file of this model is gone. Search works without it."


@pytest.mark.parametrize(("lowest", "answerable"), [(2.0, False), (-2.0, True), (None, None)])
def test_search_says_whether_anything_answers_only_where_a_model_ranked(
    caller, trained, lowest, answerable
):
    run, _ = trained(replace(ranking_by(), lowest_score=lowest))
    asked = {"query": QUERY, "k": 3}
    found = caller.api.post("/search", json={**asked, "deep_memory": True}).json()
    assert (found["trained_run_id"], found["answerable"]) == (run.id, answerable)
    assert (len(found["hits"]), found["notice"]) == (3, None)
    both = caller.api.post("/search/compare", json=asked).json()
    assert (both["answerable"], len(both["with_deep_memory"])) == (answerable, 3)
    plain = caller.api.post("/search", json={**asked, "deep_memory": False}).json()
    assert plain["answerable"] is None


def test_questions_without_an_answer_are_measured_apart(caller, trained):
    run, _ = trained(replace(ranking_by("cosine"), lowest_score=0.5))
    file = b"question,document,answerable\nWho pays harbour dues?,dues.txt,\nWho is king?,,no\n"
    name = {"name": "mine"}
    caller.api.post("/deep-memory/test-sets", data=name, files={"file": ("own.csv", file)})
    measure = f"/deep-memory/models/{run.id}/measure"
    figures = caller.api.post(measure, json={"test_set": "mine"}).json()
    said = figures["unanswerable"]
    assert (figures["questions"], said["questions"], said["answerable_questions"]) == (1, 1, 1)
    assert (said["said_so"], said["refused_answerable"]) == (1.0, 0.0)
    assert said["said_so_interval"] == pytest.approx([0.2065, 1], abs=1e-4)


def test_a_completed_model_is_downloaded_as_a_folder_that_holds_its_map(caller, trained):
    matrix = np.random.default_rng(0).normal(size=(256, 256)).astype(np.float32)
    run, _ = trained(replace(ranking_by(), query_map=QueryMap(matrix)))
    path = f"/deep-memory/runs/{run.id}/model"
    answer = caller.api.get(path)
    assert answer.headers["content-type"] == "application/zip"
    assert (
        f'filename="deep-memory-model-{run.started_at:%Y-%m-%d}.zip"'
        in (answer.headers["content-disposition"])
    )
    assert int(answer.headers["content-length"]) == len(answer.content)
    folder = zipfile.ZipFile(io.BytesIO(answer.content))
    np.testing.assert_array_equal(np.load(folder.open(f"{FOLDER}/map.npy")), matrix)
    lines = folder.read(f"{FOLDER}/chunks.jsonl").decode().splitlines()
    assert [json.loads(line)["text"].encode() for line in lines] == list(TEXTS.values())
    assert run.id in folder.read(f"{FOLDER}/README.md").decode()
    assert caller.api.get(path).content == answer.content


def test_a_model_that_is_not_there_is_not_downloaded_and_the_answer_says_why(caller, trained):
    run, models = trained(ranking_by())
    path = f"/deep-memory/runs/{run.id}/model"
    models.remove(run.id)
    gone = caller.api.get(path)
    assert (gone.status_code, gone.json()) == (400, {"detail": "The file of this model is gone."})
    unfinished = caller.script().to(RunStatus.GENERATED).run.id
    refused = caller.api.get(f"/deep-memory/runs/{unfinished}/model")
    assert refused.status_code == 400
    assert refused.json()["detail"] == "Only a completed run has a model."


def test_a_model_of_deeplake_cloud_is_not_downloaded_because_the_service_keeps_it(caller):
    script = caller.script().to(RunStatus.TRAINING)
    script.lease.finish_training({**METRICS, "trainer": "cloud"}, activate=False)
    refused = caller.api.get(f"/deep-memory/runs/{script.run.id}/model")
    assert refused.status_code == 400
    assert refused.json()["detail"].startswith("DeepLake Cloud keeps the models that it trains")


def test_nobody_downloads_the_model_of_another_person(caller, new_caller, trained):
    run, _ = trained(ranking_by())
    refused = new_caller().api.get(f"/deep-memory/runs/{run.id}/model")
    assert (refused.status_code, set(refused.json())) == (404, {"detail"})


def test_own_test_questions_are_brought_measured_and_removed(caller, trained):
    run, models = trained(ranking_by(turn=-1))
    sets = "/deep-memory/test-sets"
    assert caller.api.get(sets).json() == {"test_sets": []}
    added = caller.api.post(sets, data={"name": "a/b & c"}, files={"file": ("own.csv", OWN)})
    assert (added.status_code, added.json()) == (201, {"questions": 2})
    own = {"name": "a/b & c", "questions": 2, "is_own": True}
    assert caller.api.get(sets).json() == {"test_sets": [own]}

    measure = f"/deep-memory/models/{run.id}/measure"
    figures = caller.api.post(measure, json={"test_set": "a/b & c"}).json()
    assert (figures["questions"], figures["not_found"], figures["by_document"]) == (1, 1, True)
    assert (figures["before"]["recall@1"], figures["ranks"][0][0]) == (1.0, 1)
    assert caller.api.post(measure, json={"test_set": "none"}).status_code == 404
    models.remove(run.id)
    gone = caller.api.post(measure, json={"test_set": "a/b & c"})
    assert (gone.status_code, gone.json()) == (400, {"detail": "The file of this model is gone."})

    removed = caller.api.delete(sets, params={"name": "a/b & c"})
    assert removed.status_code == 200
    assert caller.api.delete(sets, params={"name": "a/b & c"}).status_code == 404
    assert caller.api.get(sets).json() == {"test_sets": []}


@pytest.mark.parametrize(
    ("name", "file", "status"),
    [
        ("mine", ("own.txt", OWN), 400),
        ("mine", ("own.csv", b"text\nWho?\n"), 400),
        ("  ", ("own.csv", OWN), 400),
        ("Hand-written questions of the sample", ("own.csv", OWN), 400),
        ("a\x00b", ("own.csv", OWN), 422),
        ("", ("own.csv", OWN), 422),
    ],
)
def test_a_test_set_that_is_wrong_is_refused(caller: Caller, name, file, status):
    refused = caller.api.post("/deep-memory/test-sets", data={"name": name}, files={"file": file})
    assert refused.status_code == status, refused.text
    assert caller.api.get("/deep-memory/test-sets").json() == {"test_sets": []}
