"""The missed questions of a person: of searches and of a log, grouped, the most repeated first."""

from __future__ import annotations

import pytest

from services.errors import DocumentRejected
from services.questions.feedback import Marks
from services.questions.kept_searches import Source
from services.questions.missed import AddedLog, LogState, Why
from services.questions.store import Purpose
from services.runs.states import RunStatus
from services.workspace import Workspace
from tests.behind_the_door import models_of
from tests.runs import Script
from tests.trained_models import ranking_by

QUESTION = "Who pays harbour dues?"
DOCUMENTS = {
    "dues.txt": "Ships pay harbour dues when they berth. The rate for tankers is 40 euros a day.",
    "soup.txt": "The canteen serves soup on Fridays. The cook comes from Marseille.",
    "pilot.txt": "The pilot boards a vessel two miles from port. A ladder hangs on the lee side.",
}


@pytest.fixture(scope="module")
def studio(new_studio):
    return new_studio()


@pytest.fixture
def space(studio, user) -> Workspace:
    space = Workspace(studio, user)
    space.documents.add([(name, text.encode()) for name, text in DOCUMENTS.items()])
    return space


def hits(space, question: str = QUESTION) -> list[str]:
    return [hit.chunk_id for hit in space.search.compare(question, 10, None).without]


def missed(space) -> dict[str, Why]:
    return {
        asked.question: asked.why for group in space.missed.groups() for asked in group.questions
    }


def test_nothing_is_missed_before_anybody_said_so(space):
    assert space.missed.groups() == space.missed.disagreements() == []
    space.kept_searches.set_consent(True)
    space.kept_searches.keep(QUESTION, Source.PAGE, hits(space), None)
    assert missed(space) == {}


def test_a_question_that_nothing_answers_is_missed_until_that_is_taken_back(space):
    space.feedback.say_nothing_answers(QUESTION, True)
    assert missed(space) == {QUESTION: Why.NOTHING_ANSWERS}
    space.feedback.say_nothing_answers(QUESTION, False)
    assert missed(space) == {}


def test_a_wrong_first_hit_is_a_miss_and_a_wrong_second_is_none(space):
    first, second, _ = hits(space)
    space.feedback.judge(QUESTION, second, False, first_hit=first)
    assert missed(space) == {}
    space.feedback.judge(QUESTION, first, False, first_hit=first)
    space.feedback.judge(QUESTION, second, True, first_hit=first)
    assert missed(space) == {QUESTION: Why.FIRST_HIT_IS_WRONG}
    [group] = space.missed.groups()
    assert group.questions[0].has_answer
    space.feedback.judge(QUESTION, first, None, first_hit=first)
    assert missed(space) == {}


def test_the_first_hit_of_a_kept_search_counts_where_no_other_is_known(space):
    space.kept_searches.set_consent(True)
    space.kept_searches.keep(QUESTION, Source.APPLICATION, hits(space), None)
    space.feedback.judge(QUESTION, hits(space)[0], False)
    assert missed(space) == {QUESTION: Why.FIRST_HIT_IS_WRONG}


@pytest.mark.parametrize("purpose", [Purpose.TEST, Purpose.TRAINING])
def test_a_question_that_has_a_purpose_is_not_missed_any_more(space, purpose):
    first, second, _ = hits(space)
    space.feedback.judge(QUESTION, first, False, first_hit=first)
    space.feedback.judge(QUESTION, second, True)
    space.feedback.decide(QUESTION, purpose)
    assert missed(space) == {}
    space.feedback.decide(QUESTION, Purpose.OPEN)
    assert missed(space) == {QUESTION: Why.FIRST_HIT_IS_WRONG}


def test_an_unanswerable_or_dismissed_question_is_out_until_it_is_marked_again(space):
    space.feedback.say_nothing_answers(QUESTION, True)
    space.feedback.say_unanswerable(QUESTION)
    assert missed(space) == {}
    space.feedback.say_unanswerable(QUESTION, False)
    space.feedback.dismiss(QUESTION)
    assert missed(space) == {}
    space.feedback.say_nothing_answers(QUESTION, True)
    assert missed(space) == {QUESTION: Why.NOTHING_ANSWERS}


def test_near_questions_stand_together_and_the_most_repeated_group_is_first(space):
    space.kept_searches.set_consent(True)
    asked = {"How hot is the soup?": 3, QUESTION: 2, "who pays the harbour dues": 2}
    for question, times in asked.items():
        for _ in range(times):
            space.kept_searches.keep(question, Source.PAGE, [], None)
        space.feedback.say_nothing_answers(question, True)
    dues, soup = space.missed.groups()
    assert (dues.times, soup.times) == (4, 3)
    assert {found.question for found in dues.questions} == {QUESTION, "who pays the harbour dues"}
    assert dues.last_asked == max(found.last_asked for found in dues.questions)


# Logs

LOG = b"""question,answer,document,count
Who pays harbour dues?,Ships pay harbour dues,,1
When is there soup?,,soup.txt,1
How tall is the lighthouse?,,lighthouse.txt,7
what hangs on the lee side,,,2
"""


def test_a_log_is_searched_and_what_it_names_is_known(space):
    added = space.missed.add_log("log.csv", LOG)
    assert added == AddedLog(questions=4, with_answer=3, not_in_documents=1, missed=1, ranked=4)
    assert missed(space) == {"How tall is the lighthouse?": Why.ANSWER_NOT_FOUND}
    assert space.missed.groups()[0].times == 7
    # A quoted answer is a judgement; of a document nobody knows which passage it is.
    assert space.feedback.of(QUESTION) == Marks({hits(space)[0]: True})
    assert space.feedback.of("When is there soup?") == Marks()
    space.feedback.decide(QUESTION, Purpose.TRAINING)


def test_the_same_log_again_counts_nothing_twice(space):
    for _ in range(2):
        space.missed.add_log("log.csv", LOG)
    assert space.missed.log() == LogState(questions=4, is_current=True)
    assert space.missed.groups()[0].times == 7


def test_a_bad_log_keeps_nothing(space):
    with pytest.raises(DocumentRejected):
        space.missed.add_log("log.csv", LOG + b",,,\nWho?,,,none\n")
    assert space.missed.log() == LogState(questions=0, is_current=True)


def test_a_log_into_an_empty_knowledge_base_waits_to_be_searched(studio, user):
    space = Workspace(studio, user)
    added = space.missed.add_log("log.csv", LOG)
    assert (added.questions, added.ranked, added.missed) == (4, 0, 0)
    assert not space.missed.log().is_current
    assert missed(space) == {}


def test_of_questions_without_answers_those_come_first_where_the_rankings_disagree_most(space):
    space.missed.add_log("log.jsonl", b'{"text": "lee side ladder"}\n{"text": "soup of the day"}')
    found = space.missed.disagreements()
    assert [asked.disagreement for asked in found] == sorted(
        (asked.disagreement for asked in found), reverse=True
    )
    assert all(asked.why is Why.RANKINGS_DISAGREE for asked in found)
    for asked in found:
        space.feedback.judge(asked.question, hits(space)[0], False)
    assert space.missed.disagreements() == []


def test_a_trained_model_is_compared_once_the_log_is_searched_again(space, service):
    space.missed.add_log("log.csv", b"question\nwhat hangs on the lee side\n")
    run = Script(space.user, service).to(RunStatus.COMPLETED).now
    models_of(space).save(run, ranking_by(turn=-1))
    space.models.use(run.id)
    assert not space.missed.log().is_current
    added = space.missed.rank_log_again()
    assert (added.questions, added.ranked) == (1, 1)
    assert space.missed.log().is_current
    [asked] = space.missed.disagreements()
    assert asked.disagreement > 0.1  # three chunks, the other way round


def test_a_long_log_is_searched_as_long_as_a_person_waits_and_then_goes_on(space, monkeypatch):
    monkeypatch.setattr("services.questions.missed.SEARCHES_S", -1.0)  # no time at all
    added = space.missed.add_log("log.csv", LOG)
    assert (added.questions, added.ranked, added.missed) == (4, 0, 0)
    assert space.missed.log() == LogState(questions=4, is_current=False)
    monkeypatch.setattr("services.questions.missed.SEARCHES_S", 60.0)
    added = space.missed.rank_log_again()
    assert (added.questions, added.ranked, added.missed) == (4, 4, 1)
    assert space.missed.log().is_current
    assert missed(space) == {"How tall is the lighthouse?": Why.ANSWER_NOT_FOUND}
    assert space.missed.groups()[0].times == 7


def test_a_log_does_not_overrule_what_the_person_said(space):
    space.feedback.judge(QUESTION, hits(space)[0], False)
    space.missed.add_log("log.csv", LOG)
    assert space.feedback.of(QUESTION).answers == {hits(space)[0]: False}
    space.feedback.judge(QUESTION, hits(space)[0], None)
    space.missed.rank_log_again()
    assert space.feedback.of(QUESTION) == Marks()


def test_a_log_is_removed_and_what_was_said_about_it_stays(space):
    space.missed.add_log("log.csv", LOG)
    assert space.missed.remove_log() == 4
    assert (space.missed.remove_log(), missed(space)) == (0, {})
    assert space.feedback.of(QUESTION).has_answer
