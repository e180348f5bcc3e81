"""The page of missed questions: the list, votes, logs, one question by hand, and the consent."""

from __future__ import annotations

import pytest

from pages.ui.missed_list import key_of
from services.questions.feedback import Marks
from services.questions.judgements import Judge
from services.questions.kept_searches import Source
from services.questions.store import Purpose
from services.runs.states import RunStatus
from tests.behind_the_door import models_of
from tests.trained_models import ranking_by

QUESTION = "Who pays harbour dues?"


@pytest.fixture
def hits(workspace) -> list[str]:
    return [hit.chunk_id for hit in workspace.search.compare(QUESTION, 10, None).without]


def tab_of(open_page, workspace, name: str):
    return open_page(workspace, "missed.py", missed_tab=name)


@pytest.mark.parametrize(
    ("tab", "words"),
    [
        ("Missed", "Nothing here answers"),
        ("Rankings disagree", "Add a log of questions"),
        ("Votes to review", "POST /search/feedback"),
        ("Kept searches", "No search is kept"),
    ],
)
def test_an_empty_list_says_how_it_fills(open_page, workspace, tab, words):
    screen = tab_of(open_page, workspace, tab)
    assert words in screen.words
    assert screen.problems == []


def test_without_documents_the_page_stands_too(open_page, empty):
    assert "Add documents" in tab_of(open_page, empty, "Add questions").words


def test_a_missed_question_leads_to_search_until_it_has_an_answer(open_page, workspace, hits):
    workspace.feedback.say_nothing_answers(QUESTION, True)
    screen = open_page(workspace, "missed.py")
    assert "nothing answers" in screen.words
    assert "Asked once, last just now" in screen.words
    [link] = [link for link in screen.app.get("page_link") if link.proto.label == "Find its answer"]
    assert "harbour" in link.proto.query_string
    assert not any(key.startswith("training_") for key in screen.keys)

    workspace.feedback.judge(QUESTION, hits[0], False, first_hit=hits[0])
    workspace.feedback.judge(QUESTION, hits[1], True, first_hit=hits[0])
    screen = screen.draw()
    assert "first hit is wrong" in screen.words
    screen.press(f"training_{key_of(QUESTION)}")
    assert workspace.feedback.of(QUESTION).purpose is Purpose.TRAINING
    assert "1 training pair" in screen.words
    assert "No missed questions" in screen.words


@pytest.mark.parametrize("what", ["unanswerable", "dismiss"])
def test_a_group_of_near_questions_is_answered_as_one(open_page, workspace, what):
    for question in (QUESTION, "who pays the harbour dues"):
        workspace.feedback.say_nothing_answers(question, True)
    screen = open_page(workspace, "missed.py")
    assert "Asked 2 times" in screen.words
    [key] = [key for key in screen.keys if key.startswith(f"{what}_")]
    assert "(2 questions)" in screen.app.button(key=key).label
    screen.press(key)
    assert "No missed questions" in screen.words
    assert workspace.feedback.of(QUESTION).is_unanswerable is (what == "unanswerable")


# Votes


def test_votes_are_confirmed_or_rejected_by_one_press_each(open_page, workspace, hits):
    for chunk_id in hits[:2]:
        workspace.feedback.judge(QUESTION, chunk_id, True, judge=Judge.APPLICATION)
    screen = tab_of(open_page, workspace, "Votes to review")
    assert "2 to review" in screen.words
    assert "Ships pay harbour dues" in screen.words
    screen.press("confirm_vote").press("reject_vote")
    assert "No votes to review" in screen.words
    assert workspace.feedback.of(QUESTION) == Marks({hits[0]: True})


def test_a_vote_on_a_passage_that_is_gone_can_only_be_rejected(open_page, workspace, hits):
    workspace.feedback.judge(QUESTION, hits[0], True, judge=Judge.APPLICATION)
    workspace.documents.remove(workspace.documents.chunk(hits[0]).document_id)
    screen = tab_of(open_page, workspace, "Votes to review")
    assert "Its document was removed" in screen.words
    assert "confirm_vote" not in screen.keys
    screen.press("reject_vote")
    assert workspace.feedback.votes() == []


# Questions that a person brings


def upload(screen, name: str, data: bytes):
    screen.app.file_uploader[0].set_value((name, data, "text/csv"))
    [add] = [button for button in screen.app.button if button.label == "Add questions"]
    add.click()
    return screen.draw()


def test_a_log_is_added_searched_again_and_removed(open_page, workspace):
    screen = tab_of(open_page, workspace, "Add questions")
    upload(screen, "log.csv", b"question,answer\nWho pays?,lighthouse\nWhat hangs lee side?,\n")
    assert "Searched for 2 of 2 questions." in screen.words
    assert "1 did not find it (1 because the documents do not have it)" in screen.words
    screen.press("rank_log_again")
    assert "2 questions of logs" in screen.words
    screen.press("remove_log")
    assert workspace.missed.log().questions == 0
    assert screen.problems == []


def test_a_bad_log_is_one_clear_message(open_page, workspace):
    screen = upload(tab_of(open_page, workspace, "Add questions"), "log.csv", b"name\nAnn\n")
    [problem] = screen.problems
    assert "no column question or query or text" in problem
    assert workspace.missed.log().questions == 0


def test_one_question_is_added_with_the_passage_that_search_finds(open_page, workspace, hits):
    screen = tab_of(open_page, workspace, "Add questions")
    screen.app.text_input(key="new_question").set_value(QUESTION)
    screen.draw()
    assert "add_training" not in screen.keys
    screen.app.checkbox(key=f"chosen_{hits[0]}").check()
    screen.draw().press("add_training")
    assert workspace.feedback.of(QUESTION) == Marks({hits[0]: True}, purpose=Purpose.TRAINING)
    assert screen.app.text_input(key="new_question").value == ""


def test_a_log_without_answers_asks_for_judgements_where_the_rankings_disagree(
    open_page, workspace, run_in, hits
):
    run = run_in(RunStatus.COMPLETED).now
    models_of(workspace).save(run, ranking_by(turn=-1))
    workspace.models.use(run.id)
    workspace.missed.add_log("log.csv", b"question\nwhat hangs on the lee side\n")
    screen = tab_of(open_page, workspace, "Rankings disagree")
    assert "Judge it" in screen.links
    assert "% apart" in screen.words
    workspace.models.set_enabled(False)
    assert "has not searched for all" in tab_of(open_page, workspace, "Add questions").words
    workspace.feedback.judge("What hangs on the lee side", hits[0], False)
    assert "Nothing to judge here" in screen.draw().words


# Consent


def test_consent_is_off_until_it_is_given_and_withdrawn_with_what_was_kept(open_page, workspace):
    screen = tab_of(open_page, workspace, "Kept searches")
    toggle = screen.app.toggle(key="keep_searches")
    assert toggle.value is False
    toggle.set_value(True)
    screen.draw()
    screen.app.number_input(key="searches_kept_days").set_value(30)
    screen.draw()
    consent = workspace.kept_searches.consent()
    assert (consent.is_given, consent.days) == (True, 30)

    workspace.kept_searches.keep(QUESTION, Source.PAGE, [], None)
    screen.app.toggle(key="keep_searches").set_value(False)
    screen.draw()
    assert "1 search is still kept" in screen.words
    screen.press("forget_searches")
    assert workspace.kept_searches.consent().kept == 0
