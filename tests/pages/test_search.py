"""The search page: nothing to search, nothing asked, one list, two lists, a model that is gone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pages.ui.components import plain
from services.questions.store import Purpose
from services.runs.states import RunStatus
from services.workspace import Workspace
from tests.behind_the_door import models_of
from tests.fakes.rerank_server import MODEL, FakeReranker
from tests.fakes.wire import web_page
from tests.trained_models import ranking_by

QUERY = "Who pays harbour dues?"
TEXTS = ("Ships pay harbour dues", "The canteen serves soup", "The pilot boards")


def ask(screen, query: str = QUERY, hits: int | None = None):
    screen.app.text_input(key="query").set_value(query)
    if hits is not None:
        screen.app.number_input(key="k").set_value(hits)
    [search] = [button for button in screen.app.button if button.label == "Search"]
    search.click()
    return screen.draw()


@pytest.fixture
def with_model(workspace, run_in):
    """A workspace whose model ranks the other way round, switched on."""
    run = run_in(RunStatus.COMPLETED).now
    models_of(workspace).save(run, ranking_by(turn=-1))
    workspace.models.use(run.id)
    return workspace


def test_without_documents_it_leads_to_the_knowledge_base(open_page, empty):
    screen = open_page(empty, "search.py")
    assert "Nothing to search yet" in screen.words
    assert "Go to the knowledge base" in screen.links
    assert len(screen.app.text_input) == 0


@pytest.mark.parametrize("query", ["", "   "])
def test_an_empty_question_is_no_search_and_no_fault(open_page, workspace, query):
    screen = ask(open_page(workspace, "search.py"), query)
    assert "Type a question" in screen.words
    assert screen.problems == []
    assert not any(text in screen.words for text in TEXTS)


def test_without_a_model_there_is_one_list_and_the_way_to_another(open_page, workspace):
    screen = ask(open_page(workspace, "search.py"))
    assert all(text in screen.words for text in TEXTS)
    assert "No trained model is in use" in screen.words
    assert "Go to Deep Memory" in screen.links
    positions = [screen.words.index(text) for text in TEXTS]
    assert positions[0] == min(positions)


def test_a_hit_leads_to_its_document_and_says_where_in_it_the_chunk_is(open_page, empty):
    empty.documents.add([("rules.md", b"# Harbour\n\n## Dues\n\nShips pay harbour dues.")])
    screen = ask(open_page(empty, "search.py"))
    assert "rules\\.md" in screen.links
    [link] = [link for link in screen.app.get("page_link") if "rules" in link.proto.label]
    [chunk_id] = empty.documents.chunks()
    assert chunk_id in link.proto.query_string
    assert "Harbour / Dues" in screen.words


def test_as_many_hits_are_shown_as_were_asked_for(open_page, workspace):
    screen = ask(open_page(workspace, "search.py"), hits=1)
    assert [text for text in TEXTS if text in screen.words] == [TEXTS[0]]


@pytest.mark.parametrize("lowest", [None, -2.0, 2.0])
def test_a_question_that_probably_nothing_answers_is_told_above_the_hits(
    open_page, with_model, lowest
):
    run = with_model.models.state().active
    model = replace(ranking_by(turn=-1), lowest_score=lowest)
    models_of(with_model).save(run, model)
    screen = ask(open_page(with_model, "search.py"))
    assert ("Probably nothing here answers this." in screen.words) is (lowest == 2.0)
    assert screen.words.count(TEXTS[0]) == 2
    assert screen.problems == []


def test_with_a_model_both_lists_stand_side_by_side(open_page, with_model):
    screen = ask(open_page(with_model, "search.py"))
    headings = [heading.value for heading in screen.app.subheader]
    assert headings == ["Best without training", "Deep Memory"]
    assert screen.words.count(TEXTS[0]) == 2
    assert "No trained model is in use" not in screen.words


@pytest.mark.parametrize("way", ["Plain cosine", "Exact words"])
def test_a_part_of_search_without_training_may_be_compared(open_page, with_model, way):
    screen = ask(open_page(with_model, "search.py"))
    [choice] = screen.app.get("button_group")
    choice.set_value(way)
    screen.draw()
    assert [heading.value for heading in screen.app.subheader] == [way, "Deep Memory"]
    assert "Shown to compare" in screen.words


def test_what_search_uses_is_changed_by_one_press_and_back(open_page, with_model):
    screen = ask(open_page(with_model, "search.py"))
    screen.press("use_untrained")
    assert not with_model.models.state().settings.enabled
    screen.press("use_deep_memory")
    assert with_model.models.state().settings.enabled


def test_a_model_whose_file_is_gone_is_told_and_plain_search_answers(open_page, with_model):
    run = with_model.models.state().active
    models_of(with_model).remove(run.id)
    screen = ask(open_page(with_model, "search.py"))
    assert len(screen.problems) == 1
    assert "gone" in screen.problems[0]
    assert "Search works without it" in screen.problems[0]
    assert screen.words.count(TEXTS[0]) == 1


def test_a_damaged_model_is_told_and_plain_search_answers(open_page, with_model):
    run = with_model.models.state().active
    models_of(with_model)._path(run).write_bytes(b"damaged")
    screen = ask(open_page(with_model, "search.py"))
    assert "damaged" in screen.problems[0]
    assert screen.words.count(TEXTS[0]) == 1


@pytest.fixture
def reranking(new_studio, user, monkeypatch):
    """A workspace of an app with a reranker."""
    with FakeReranker() as fake:
        studio = new_studio(rerank_url=fake.base_url, rerank_model=MODEL, rerank_api_key=fake.key)
        monkeypatch.setattr("services.studio._current", studio)
        workspace = Workspace(studio, user)
        workspace.documents.add([("dues.txt", TEXTS[0].encode())])
        yield fake, workspace


def test_a_reranked_list_says_by_what_and_how_long_it_took(open_page, reranking):
    screen = ask(open_page(reranking[1], "search.py"))
    assert f"Reranked by {plain(MODEL)} in 0." in screen.words
    assert screen.problems == []


def test_a_reranker_that_fails_is_told_above_the_hits_that_stay(open_page, reranking):
    fake, workspace = reranking
    fake.fail(web_page)
    screen = ask(open_page(workspace, "search.py"))
    [problem] = screen.problems
    assert "did not answer with one score for each text" in problem
    assert "The hits stand in search's own order." in problem
    assert TEXTS[0] in screen.words


def test_a_list_that_is_only_shown_to_compare_is_not_reranked(open_page, reranking):
    fake, workspace = reranking
    screen = ask(open_page(workspace, "search.py"))
    assert len(fake.calls()) == 1
    [choice] = screen.app.get("button_group")
    choice.set_value("Plain cosine")
    screen.draw()
    assert "Reranked" not in screen.words
    assert len(fake.calls()) == 1


# What a person says about the hits


def chunk_of(workspace, text: str) -> str:
    [found] = [id_ for id_, chunk in workspace.documents.chunks().items() if text in chunk.text]
    return found


def test_a_hit_is_marked_by_one_press_and_the_same_press_takes_it_back(open_page, workspace):
    dues, soup = chunk_of(workspace, TEXTS[0]), chunk_of(workspace, TEXTS[1])
    screen = ask(open_page(workspace, "search.py"))
    screen.press(f"answers_without_{dues}").press(f"does_not_without_{soup}")
    assert workspace.feedback.of(QUERY).answers == {dues: True, soup: False}
    screen.press(f"does_not_without_{soup}")
    assert workspace.feedback.of(QUERY).answers == {dues: True}


def test_marks_show_again_when_the_same_question_is_searched_again(open_page, workspace):
    dues = chunk_of(workspace, TEXTS[0])
    workspace.feedback.judge(QUERY, dues, True)
    screen = ask(open_page(workspace, "search.py"), QUERY.upper())
    pressed = screen.app.button(key=f"answers_without_{dues}")
    assert pressed.proto.type == "primary"
    assert screen.app.button(key=f"does_not_without_{dues}").proto.type == "tertiary"


def test_one_press_makes_a_test_question_and_another_moves_it_to_training(open_page, workspace):
    dues = chunk_of(workspace, TEXTS[0])
    screen = ask(open_page(workspace, "search.py"))
    assert not {"make_test", "make_training"} & screen.keys
    screen.press(f"answers_without_{dues}").press("make_test")
    assert "It is a test question now" in screen.words
    assert workspace.feedback.of(QUERY).purpose is Purpose.TEST
    screen.press("make_training")
    assert workspace.feedback.of(QUERY).purpose is Purpose.TRAINING
    assert workspace.feedback.questions(Purpose.TEST) == []
    screen.press("make_open")
    assert workspace.feedback.of(QUERY).purpose is Purpose.OPEN


def test_nothing_here_answers_is_one_press_and_leads_to_the_missed_questions(open_page, workspace):
    screen = ask(open_page(workspace, "search.py")).press("nothing_answers")
    assert "Nothing here answers" in screen.words
    assert "Go to the missed questions" in screen.links
    screen.press("something_answers")
    assert not workspace.feedback.of(QUERY).nothing_answers


def test_each_hit_of_both_lists_can_be_marked(open_page, with_model):
    dues = chunk_of(with_model, TEXTS[0])
    screen = ask(open_page(with_model, "search.py"))
    screen.press(f"answers_with_{dues}")
    for side in ("with", "without"):
        assert screen.app.button(key=f"answers_{side}_{dues}").proto.type == "primary"


def test_a_link_to_the_page_asks_its_question(open_page, workspace):
    screen = open_page(workspace, "search.py", query=QUERY)
    assert screen.app.text_input(key="query").value == QUERY
    assert TEXTS[0] in screen.words


def test_a_search_is_kept_once_with_consent_and_not_for_a_mark_or_a_link(open_page, workspace):
    screen = ask(open_page(workspace, "search.py"))
    assert workspace.kept_searches.consent().kept == 0
    workspace.kept_searches.set_consent(True)
    screen.press("nothing_answers").press("something_answers")
    open_page(workspace, "search.py", query=QUERY)
    assert workspace.kept_searches.consent().kept == 0
    ask(screen)
    assert workspace.kept_searches.consent().kept == 1


def test_a_mark_does_not_search_anew(open_page, reranking):
    fake, workspace = reranking
    screen = ask(open_page(workspace, "search.py")).press("nothing_answers")
    assert (len(fake.calls()), "Reranked by" in screen.words) == (1, True)


def test_a_very_long_question_is_searched_without_marks(open_page, workspace):
    screen = ask(open_page(workspace, "search.py"), "harbour dues " * 200)
    assert TEXTS[0] in screen.words
    assert "nothing_answers" not in screen.keys
