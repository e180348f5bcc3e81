"""What a run was measured to be: kept with it, whoever measured and when, and told in a report."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest

from services.deep_memory.evaluation import evaluate_ranks
from services.deep_memory.figures import Questions, Ranked, compared
from services.deep_memory.measured_sets import HELD_OUT, headline, measured_sets
from services.deep_memory.verdicts import Measure
from services.errors import NotAllowed
from services.models import TrainingRun
from services.questions.judgements import Judgement, JudgementStore
from services.questions.store import Origin, PersonsQuestion, Purpose, QuestionStore
from services.ranking.untrained import Untrained
from services.runs.states import RunStatus
from services.studio import Studio
from services.workspace import Workspace
from tests.behind_the_door import models_of, store_of
from tests.runs import Script
from tests.trained_models import ranking_by

DUES = "Ships pay harbour dues when they berth."
SOUP = "The canteen serves soup on Fridays."
EVIL = "<script>alert('held out')</script> who pays?"


@pytest.fixture(scope="module")
def studio(new_studio) -> Studio:
    return new_studio()


@pytest.fixture
def workspace(studio, user) -> Workspace:
    space = Workspace(studio, user)
    space.documents.add([("dues.txt", DUES.encode()), ("soup.txt", SOUP.encode())])
    return space


def figures(questions: int, before: int, after: int, source: str = "gone") -> dict[str, Any]:
    """Figures of questions whose answer is at these ranks."""
    texts = [EVIL, *(f"Question {n}?" for n in range(1, questions))]
    asked = Questions(texts, np.zeros((questions, 2)), [{0}] * questions, [source])
    at = [evaluate_ranks([[rank]] * questions, [1] * questions) for rank in (before, after)]
    return compared(asked, Ranked({Untrained.RANKER: at[0]}, at[1]), np.arange(questions))


@pytest.fixture
def run(workspace, service) -> TrainingRun:
    """A completed run: better on 40 held-out questions, with a model that goes by words."""
    script = Script(workspace.user, service).to(RunStatus.TRAINING)
    chunk = store_of(workspace).snapshot().chunks[0].id
    metrics = {
        **figures(40, 4, 1, chunk),
        "held_out_questions": 40,
        "held_out_by": "document",
        "trained_questions": 160,
        "trained_chunks": 90,
        "train_seconds": 1.5,
        "left_out": {"no question": 2},
        "versions": {"numpy": "2"},
        "model_hash": "abc",
        "test_sets": [{"name": "old set", "questions": 30, **figures(30, 1, 2)}],
    }
    script.lease.finish_training(metrics, activate=True)
    models_of(workspace).save(script.now, ranking_by("bm25"))
    return script.now


def report_of(
    space: Workspace, run: TrainingRun, measure: Measure = Measure.RECALL_10
) -> dict[str, Any]:
    return json.loads(space.reports.as_json(run, measure))


def add_set(space: Workspace, name: str, questions: int = 1) -> None:
    rows = "".join(f"Who pays harbour dues {n}?,dues.txt\n" for n in range(questions))
    space.test_sets.add_file(name, "a.csv", f"question,document\n{rows}".encode())


def test_what_is_measured_later_is_kept_with_the_run_in_place_of_what_was(workspace, run):
    add_set(workspace, "mine")
    first = workspace.test_sets.measure("mine", run.id)
    kept = workspace.runs.get(run.id).metrics["test_sets"]
    assert [one["name"] for one in kept] == ["old set", "mine"]
    assert kept[1]["questions"] == 1
    assert kept[1]["hash"] == first["hash"]
    assert kept[1]["knowledge_base"] == workspace.documents.version()
    add_set(workspace, "mine", 3)
    workspace.test_sets.measure("mine", run.id)
    kept = workspace.runs.get(run.id).metrics["test_sets"]
    assert [(one["name"], one["questions"]) for one in kept] == [("old set", 30), ("mine", 3)]
    assert kept[1]["hash"] != first["hash"]
    assert list(workspace.models.rank_changes(workspace.runs.get(run.id))) == [HELD_OUT, "mine"]


def test_what_a_model_was_trained_on_does_not_measure_it(workspace, run):
    add_set(workspace, "mine", 3)
    models_of(workspace).save_trained_on(run, ["who pays  harbour dues 1?", "Another?"])
    found = workspace.test_sets.measure("mine", run.id)
    assert (found["questions"], found["trained_on"]) == (2, 1)
    models_of(workspace).save_trained_on(run, [f"Who pays harbour dues {n}?" for n in range(3)])
    with pytest.raises(NotAllowed, match="trained on all of these questions"):
        workspace.test_sets.measure("mine", run.id)


def test_nobody_keeps_figures_with_anothers_run_or_with_one_that_is_not_completed(
    workspace, run, new_user, service
):
    other = new_user()
    foreign = {"name": "mine", "questions": 9}
    assert other.database.rpc("keep_measurement", p_run=run.id, p_figures=foreign) == []
    unfinished = Script(workspace.user, service).to(RunStatus.GENERATED).run
    own = workspace.user.database
    assert own.rpc("keep_measurement", p_run=unfinished.id, p_figures=foreign) == []
    assert len(workspace.runs.get(run.id).metrics["test_sets"]) == 1


def test_questions_from_searches_are_a_test_set_and_its_name_is_taken(workspace, run):
    user = workspace.user
    chunk = next(c for c in store_of(workspace).snapshot().chunks if "dues" in c.text)
    questions = QuestionStore(user.database, user.identity.user_id)
    questions.save(
        [
            PersonsQuestion("Who pays for the berth?", Purpose.TEST, Origin.SEARCH),
            PersonsQuestion("Nobody judged this", Purpose.TEST, Origin.SEARCH),
            PersonsQuestion("For training", Purpose.TRAINING, Origin.SEARCH),
        ]
    )
    judgements = JudgementStore(user.database, user.identity.user_id)
    judgements.save(
        [
            Judgement("who pays for  the berth?", chunk.id, True),
            Judgement("Who pays for the berth?", "another", False),
            Judgement("For training", chunk.id, True),
        ]
    )
    assert workspace.test_sets.all() == {"Questions from searches": 1}
    found = workspace.test_sets.measure("Questions from searches", run.id)
    assert (found["questions"], found["before"]["recall@10"]) == (1, 1)
    with pytest.raises(NotAllowed, match="the app's own"):
        add_set(workspace, "Questions from searches")


def test_a_report_tells_each_set_with_its_verdict_and_the_same_twice(workspace, run):
    report = report_of(workspace, run)
    assert (report["verdict"], report["on"]) == (
        "no change",
        "30 questions of people, “old set”",
    )
    first, held_out = report["sets"]
    assert (first["by"], held_out["by"]) == ("people", "the app")
    assert held_out["verdicts"] == {
        "recall@1": "better",
        "recall@3": "better",
        "recall@10": "no change",
        "mrr@10": "better",
        "ndcg@10": "better",
    }
    assert held_out["win_count"] == 40
    [answer] = held_out["wins"][0]["answers"]
    assert answer["text"] in (DUES, SOUP)
    assert first["losses"][0]["answers"] == [{"source": "gone", "document": None, "text": None}]
    assert (report["model_hash"], report["versions"]) == ("abc", {"numpy": "2"})
    assert re.fullmatch("[0-9a-f]{64}", held_out["hash"])
    for write in (workspace.reports.as_json, workspace.reports.as_page):
        assert write(run, Measure.MRR) == write(run, Measure.MRR)
    assert report_of(workspace, run, Measure.RECALL_1)["verdict"] == "worse"


def test_the_page_of_a_report_says_it_in_words_and_runs_nothing(workspace, run):
    page = workspace.reports.as_page(run, Measure.RECALL_1).decode()
    assert "<strong>Recall@1: worse</strong>, on 30 questions of people, “old set”." in page
    assert EVIL not in page
    assert "&lt;script&gt;alert" in page
    assert "<script" not in page
    assert "2 pairs: no question" in page
    assert DUES in page or SOUP in page


def test_a_report_has_what_was_measured_on_judged_chunks_alone(workspace, run):
    rows = "".join(f"Who pays harbour dues {n}?,{DUES}\n" for n in range(20))
    workspace.test_sets.add_file("mine", "a.csv", f"question,answer\n{rows}".encode())
    assert "bpref" not in workspace.reports.as_page(run).decode()
    [one, *_] = workspace.judging.to_judge(workspace.judging.rank("mine", run.id)).chunks
    workspace.judging.judge([(one.question, one.chunk_id, False)])
    workspace.test_sets.measure("mine", run.id)
    page = workspace.reports.as_page(workspace.runs.get(run.id)).decode()
    assert "<td>bpref</td>" in page
    assert "unjudged left out" in page


def test_a_run_without_figures_has_no_report(workspace, service):
    bare = Script(workspace.user, service).to(RunStatus.COMPLETED).now
    with pytest.raises(NotAllowed, match="no figures"):
        workspace.reports.as_page(bare)


def test_a_set_that_is_too_small_gets_no_figures_in_the_headline(workspace, run):
    add_set(workspace, "mine", 3)
    workspace.test_sets.measure("mine", run.id)
    now = workspace.runs.get(run.id)
    assert headline(measured_sets(now.metrics)).name == "old set"
    [mine] = [one for one in report_of(workspace, now)["sets"] if one["name"] == "mine"]
    assert mine["verdict"] == "too few to measure"
    assert b"too few to measure" in workspace.reports.as_page(now)
