"""What one person works with: test questions, pairs of files, checks and models."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.deep_memory.test_sets import FROM_SEARCHES, SAMPLE_TEST_SET
from services.errors import (
    ConfigurationError,
    DocumentRejected,
    EmbedderMismatch,
    NotAllowed,
    NotFound,
    RunMoved,
)
from services.knowledge.sample import sample_documents, sample_questions
from services.questions.judgements import Judgement, JudgementStore
from services.questions.store import Origin, PersonsQuestion, Purpose, QuestionStore
from services.ranking.untrained import Untrained
from services.retrieval.stores import open_store
from services.runs.states import RunStatus
from services.studio import Studio
from services.workspace import Workspace
from tests.behind_the_door import models_of, store_of
from tests.runs import Script
from tests.trained_models import ranking_by

DUES = "Ships pay harbour dues when they berth."
SOUP = "The canteen serves soup on Fridays."
ASKED = b"question,document\nWho pays harbour dues?,dues.txt\nWhen is there soup?,soup.txt\n"


@pytest.fixture(scope="module")
def studio(new_studio) -> Studio:
    return new_studio()


@pytest.fixture
def empty(studio, user) -> Workspace:
    return Workspace(studio, user)


@pytest.fixture
def workspace(empty) -> Workspace:
    empty.documents.add([("dues.txt", DUES.encode()), ("soup.txt", SOUP.encode())])
    return empty


@pytest.fixture
def in_review(workspace, service) -> Script:
    """A run in review with a pair about a stored chunk, and one about another."""
    script = Script(workspace.user, service).start()
    script.lease.begin_generation([chunk.id for chunk in store_of(workspace).snapshot().chunks])
    script.save(store_of(workspace).snapshot().chunks[0].id)
    script.lease.finish_generation()
    return script


def with_model(workspace: Workspace, service, turn: float = 1.0):
    script = Script(workspace.user, service).to(RunStatus.COMPLETED)
    models_of(workspace).save(script.now, ranking_by(turn=turn))
    return script.now


# Test questions --------------------------------------------------------------------------------


def test_own_questions_are_kept_listed_replaced_and_removed(workspace):
    assert workspace.test_sets.all() == {}
    assert workspace.test_sets.add_file("mine", "mine.csv", ASKED) == 2
    assert workspace.test_sets.all() == {"mine": 2}
    one = ASKED.rsplit(b"\n", 2)[0]
    assert workspace.test_sets.add_file("mine", "mine.csv", one) == 1
    assert workspace.test_sets.all() == {"mine": 1}
    workspace.test_sets.remove("mine")
    assert workspace.test_sets.all() == {}


def test_the_samples_questions_come_first_where_the_sample_is_loaded(empty):
    empty.documents.add(sample_documents())
    empty.test_sets.add_file("all", "all.csv", ASKED)
    assert list(empty.test_sets.all().items()) == [
        (SAMPLE_TEST_SET, len(sample_questions())),
        ("all", 2),
    ]


@pytest.mark.parametrize("name", [SAMPLE_TEST_SET, f" {SAMPLE_TEST_SET} ", "", "  "])
def test_own_questions_need_a_name_of_their_own(workspace, name):
    with pytest.raises(NotAllowed):
        workspace.test_sets.add_file(name, "mine.csv", ASKED)
    assert workspace.test_sets.all() == {}


def test_a_wrong_file_of_questions_changes_nothing(workspace):
    workspace.test_sets.add_file("mine", "mine.csv", ASKED)
    with pytest.raises(DocumentRejected):
        workspace.test_sets.add_file("mine", "mine.csv", b"neither,nor\n1,2\n")
    assert workspace.test_sets.all() == {"mine": 2}


def test_a_model_is_measured_on_own_questions_and_on_the_samples(empty, service):
    empty.documents.add(sample_documents())
    empty.documents.add([("dues.txt", DUES.encode()), ("soup.txt", SOUP.encode())])
    empty.test_sets.add_file("mine", "mine.csv", ASKED)
    run = with_model(empty, service)
    measured = {name: empty.test_sets.measure(name, run.id) for name in empty.test_sets.all()}
    asked = {name: figures["questions"] for name, figures in measured.items()}
    assert asked == empty.test_sets.all()
    assert measured["mine"]["before"]["recall@1"] == 1
    with pytest.raises(NotFound):
        empty.test_sets.measure("not there", run.id)


def test_questions_without_an_answer_are_measured_apart(workspace, service):
    asked = b"question,document,answerable\nWho pays harbour dues?,dues.txt,\nWho is king?,,no\n"
    assert workspace.test_sets.add_file("mine", "mine.csv", asked) == 2
    run = Script(workspace.user, service).to(RunStatus.COMPLETED).now
    models_of(workspace).save(run, replace(ranking_by("cosine"), lowest_score=0.5))
    figures = workspace.test_sets.measure("mine", run.id)
    assert (figures["questions"], figures["not_found"]) == (1, 0)
    said = figures["unanswerable"]
    assert (said["questions"], said["said_so"], said["refused_answerable"]) == (1, 1.0, 0.0)


def test_what_a_person_said_has_no_answer_is_measured_with_the_questions_of_searches(
    workspace, service
):
    of = workspace.user
    asked = [("Who pays harbour dues?", False), ("Who is king?", True)]
    QuestionStore(of.database, of.identity.user_id).save(
        [PersonsQuestion(text, Purpose.TEST, Origin.SEARCH, none) for text, none in asked]
    )
    [dues] = [c for c in store_of(workspace).snapshot().chunks if c.document == "dues.txt"]
    JudgementStore(of.database, of.identity.user_id).save([Judgement(asked[0][0], dues.id, True)])
    run = Script(of, service).to(RunStatus.COMPLETED).now
    models_of(workspace).save(run, replace(ranking_by("cosine"), lowest_score=0.5))
    figures = workspace.test_sets.measure(FROM_SEARCHES, run.id)
    assert (figures["questions"], figures["not_found"]) == (1, 0)
    assert (figures["unanswerable"]["questions"], figures["unanswerable"]["said_so"]) == (1, 1.0)


# Models ----------------------------------------------------------------------------------------


def test_a_model_that_search_cannot_use_is_neither_measured_nor_put_to_use(workspace, service):
    run = Script(workspace.user, service).to(RunStatus.COMPLETED).now  # no file
    workspace.test_sets.add_file("mine", "mine.csv", ASKED)
    for act in (
        lambda: workspace.test_sets.measure("mine", run.id),
        lambda: workspace.models.use(run.id),
    ):
        with pytest.raises(NotAllowed, match="file of this model is gone") as refused:
            act()
        assert "Use another model" in refused.value.next_step


def test_a_search_names_the_run_whose_model_ranked_and_none_without(workspace, service):
    run = with_model(workspace, service, turn=-1.0)
    both = workspace.search.compare("Who pays harbour dues?", 5, run)
    assert both.run_id == run.id
    assert [hit.document for hit in both.without] == ["dues.txt", "soup.txt"]
    assert [hit.document for hit in both.with_] == ["soup.txt", "dues.txt"]
    alone = workspace.search.compare("Who pays harbour dues?", 1, None)
    assert (alone.run_id, alone.with_, len(alone.without)) == (None, [], 1)


@pytest.mark.parametrize("query", ["", "  \n"])
def test_an_empty_question_is_refused(workspace, query):
    with pytest.raises(NotAllowed):
        workspace.search.compare(query, 3, None)


def test_minilm_embeds_documents_and_questions_and_no_other_embedder_reads_its_store(
    new_studio, user
):
    studio = new_studio(embedding_model="minilm")
    workspace = Workspace(studio, user)
    workspace.documents.add([("dues.txt", DUES.encode()), ("soup.txt", SOUP.encode())])
    found = workspace.search.compare("What is for lunch?", 1, None, untrained=Untrained.COSINE)
    assert [hit.document for hit in found.without] == ["soup.txt"]
    assert store_of(workspace).snapshot().embeddings.shape == (2, 384)
    with pytest.raises(EmbedderMismatch, match="minilm-384"):
        open_store(studio.settings, user.identity.user_id, "wordllama-256", 256).snapshot()


def test_an_app_whose_embedder_is_not_installed_does_not_start(new_studio, monkeypatch):
    monkeypatch.setattr("services.retrieval.minilm_embedder._MODEL", ("no-such-package", "x"))
    with pytest.raises(ConfigurationError, match="not installed"):
        new_studio(embedding_model="minilm")


def test_a_removed_run_takes_its_model_along_and_says_how_many_pairs_went(workspace, service):
    script = Script(workspace.user, service).to(RunStatus.TRAINING_FAILED)
    models_of(workspace).save(script.now, ranking_by())
    run = script.now
    assert "2 associated pairs" in workspace.runs.remove(run.id)
    assert models_of(workspace).runs() == set()
    with pytest.raises(NotFound):
        workspace.runs.get(run.id)


def test_a_run_that_may_not_be_removed_keeps_its_model(workspace, service):
    run = with_model(workspace, service)
    with pytest.raises(RunMoved):
        workspace.runs.remove(run.id)
    assert models_of(workspace).runs() == {run.id}


# Pairs -----------------------------------------------------------------------------------------


def test_pairs_of_a_file_are_added_to_a_run_in_review_and_counted(workspace, in_review):
    first, second = store_of(workspace).snapshot().chunks
    lines = [
        "question_text,chunk_id",
        f"Who pays?,{first.id}",
        f"When is soup?,{second.id}",
        f"when is  SOUP?,{second.id}",
        "Who is gone?,gone",
    ]
    added = workspace.pairs.add_file(in_review.run.id, "pairs.csv", "\n".join(lines).encode())
    assert (added.added, added.duplicates, added.unknown) == (2, 1, 1)
    assert in_review.now.pair_count == 3


def test_a_check_is_of_all_pairs_and_asks_the_embedder_once_for_each_question(
    workspace, studio, in_review, monkeypatch
):
    check = workspace.pairs.check(in_review.now)
    assert len(check.pairs) == 1
    embedder, asked = studio.places.embedder, []
    embed = embedder.embed
    monkeypatch.setattr(embedder, "embed", lambda texts: asked.extend(texts) or embed(texts))
    assert len(workspace.pairs.check(in_review.now).pairs) == 1
    assert asked == []
