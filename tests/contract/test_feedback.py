"""What a person says about questions: marks, one purpose for each, and votes that are reviewed."""

from __future__ import annotations

import pytest

from services.errors import NotAllowed, NotFound
from services.pairs.rules import LONGEST_QUESTION
from services.questions.feedback import Feedback, Marks
from services.questions.judgements import Judge, Judgement, JudgementStore
from services.questions.store import Origin, Purpose
from services.workspace import Workspace

QUESTION = "Who pays harbour dues?"


@pytest.fixture(scope="module")
def studio(new_studio):
    return new_studio()


@pytest.fixture
def space(studio, user) -> Workspace:
    space = Workspace(studio, user)
    space.documents.add([("dues.txt", b"Ships pay harbour dues."), ("soup.txt", b"Soup is hot.")])
    return space


@pytest.fixture
def feedback(space) -> Feedback:
    return space.feedback


@pytest.fixture
def chunks(space) -> list[str]:
    """The chunk that answers, and the other one."""
    return [hit.chunk_id for hit in space.search.compare(QUESTION, 2, None).without]


def judgements(space) -> list[Judgement]:
    return JudgementStore(space.user.database, space.user.identity.user_id).all(tuple(Judge))


def test_a_question_about_which_nothing_was_said_has_no_marks(feedback):
    assert feedback.of(QUESTION) == Marks()
    assert feedback.questions() == []


def test_marks_hold_for_the_same_question_however_it_is_typed(feedback, chunks):
    feedback.judge(QUESTION, chunks[0], True)
    feedback.judge(QUESTION, chunks[1], False)
    assert feedback.of("  who pays  HARBOUR dues? ").answers == {chunks[0]: True, chunks[1]: False}
    feedback.judge("WHO pays harbour dues?", chunks[1], None)
    assert feedback.of(QUESTION).answers == {chunks[0]: True}
    assert len(feedback.questions()) == 1


def test_saying_it_twice_is_saying_it_once_and_the_last_word_counts(feedback, chunks, space):
    for answers in (True, True, False):
        feedback.judge(QUESTION, chunks[0], answers)
    assert [(found.chunk_id, found.answers) for found in judgements(space)] == [(chunks[0], False)]


def test_only_chunks_that_are_there_are_judged(feedback, chunks):
    with pytest.raises(NotFound):
        feedback.judge(QUESTION, "elsewhere", True)
    with pytest.raises(NotFound):
        feedback.add(QUESTION, [chunks[0], "elsewhere"], Purpose.TEST)
    assert feedback.questions() == []


@pytest.mark.parametrize("question", ["", "  \n", "x" * (LONGEST_QUESTION + 1)])
def test_an_empty_or_endless_question_is_refused(feedback, chunks, question):
    for say in (
        lambda: feedback.judge(question, chunks[0], True),
        lambda: feedback.say_nothing_answers(question, True),
        lambda: feedback.decide(question, Purpose.OPEN),
        lambda: feedback.dismiss(question),
    ):
        with pytest.raises(NotAllowed):
            say()


def test_a_question_has_one_purpose_and_changing_it_moves_the_question(feedback, chunks):
    feedback.judge(QUESTION, chunks[0], True)
    for purpose in (Purpose.TEST, Purpose.TRAINING, Purpose.OPEN, Purpose.TRAINING):
        feedback.decide(QUESTION.upper(), purpose)
        assert feedback.of(QUESTION).purpose is purpose
        for other in Purpose:
            assert len(feedback.questions(other)) == (other is purpose)


@pytest.mark.parametrize("purpose", [Purpose.TEST, Purpose.TRAINING])
def test_without_an_answer_it_neither_measures_nor_teaches(feedback, chunks, purpose):
    feedback.judge(QUESTION, chunks[1], False)
    feedback.judge(QUESTION, chunks[0], True, judge=Judge.APPLICATION)
    with pytest.raises(NotAllowed, match="no answer yet"):
        feedback.decide(QUESTION, purpose)
    assert feedback.of(QUESTION).purpose is Purpose.OPEN


@pytest.mark.parametrize("answers", [None, False])
def test_a_question_that_loses_its_last_answer_is_open_again(feedback, chunks, answers):
    for chunk_id in chunks:
        feedback.judge(QUESTION, chunk_id, True)
    feedback.decide(QUESTION, Purpose.TRAINING)
    feedback.judge(QUESTION, chunks[0], answers)
    assert feedback.of(QUESTION).purpose is Purpose.TRAINING
    feedback.judge(QUESTION, chunks[1], answers)
    assert feedback.of(QUESTION).purpose is Purpose.OPEN


def test_an_answer_ends_that_nothing_answers(feedback, chunks):
    feedback.say_nothing_answers(QUESTION, True)
    feedback.judge(QUESTION, chunks[1], False)
    assert feedback.of(QUESTION).nothing_answers
    feedback.judge(QUESTION, chunks[0], True)
    assert not feedback.of(QUESTION).nothing_answers
    feedback.say_nothing_answers(QUESTION, True)
    feedback.say_nothing_answers(QUESTION, False)
    assert not feedback.of(QUESTION).nothing_answers


def test_what_the_documents_do_not_answer_can_measure_and_not_teach(feedback, chunks):
    feedback.say_unanswerable(QUESTION)
    assert feedback.of(QUESTION).is_unanswerable
    with pytest.raises(NotAllowed):
        feedback.decide(QUESTION, Purpose.TRAINING)
    feedback.decide(QUESTION, Purpose.TEST)
    feedback.say_unanswerable(QUESTION, False)
    assert feedback.of(QUESTION) == Marks()
    feedback.judge(QUESTION, chunks[0], True)
    with pytest.raises(NotAllowed, match="You marked a passage"):
        feedback.say_unanswerable(QUESTION)


def test_a_mark_of_an_answer_ends_that_the_documents_have_none(feedback, chunks):
    feedback.say_unanswerable(QUESTION)
    feedback.judge(QUESTION, chunks[0], True)
    assert not feedback.of(QUESTION).is_unanswerable


def test_a_question_is_added_with_its_answers_at_once(feedback, chunks):
    feedback.add(QUESTION, chunks, Purpose.TEST)
    assert feedback.of(QUESTION) == Marks(dict.fromkeys(chunks, True), purpose=Purpose.TEST)
    [asked] = feedback.questions(Purpose.TEST)
    assert asked.origin is Origin.FORM
    with pytest.raises(NotAllowed, match="no answer yet"):
        feedback.add("And who else?", [], Purpose.TEST)


# Votes of another application's users


@pytest.fixture
def voted(feedback, chunks) -> Feedback:
    feedback.judge(QUESTION, chunks[0], True, judge=Judge.APPLICATION, origin=Origin.APPLICATION)
    feedback.say_nothing_answers(
        "And for how long?", True, judge=Judge.APPLICATION, origin=Origin.APPLICATION
    )
    return feedback


def test_a_vote_counts_for_nothing_before_a_person_reviewed_it(voted, space):
    assert voted.of(QUESTION) == voted.of("And for how long?") == Marks()
    assert space.missed.groups() == []
    assert len(voted.votes()) == 2
    assert len(voted.votes(limit=1)) == 1


def test_a_confirmed_vote_is_the_persons_own_judgement(voted, chunks, space):
    for vote in voted.votes():
        voted.review(vote.question, vote.chunk_id, vote.answers, confirmed=True)
    assert voted.votes() == []
    assert voted.of(QUESTION).answers == {chunks[0]: True}
    assert voted.of("And for how long?").nothing_answers
    [group] = space.missed.groups()
    assert group.questions[0].question == "And for how long?"


def test_a_rejected_vote_is_thrown_away(voted, space):
    for vote in voted.votes():
        voted.review(vote.question, vote.chunk_id, vote.answers, confirmed=False)
    assert (voted.votes(), judgements(space), space.missed.groups()) == ([], [], [])
    assert voted.of(QUESTION) == voted.of("And for how long?") == Marks()


def test_a_vote_on_what_the_person_judged_waits_for_nobody(feedback, chunks):
    feedback.judge(QUESTION, chunks[0], True)
    feedback.say_nothing_answers("And for how long?", True)
    feedback.judge(QUESTION, chunks[0], False, judge=Judge.APPLICATION)
    feedback.say_nothing_answers("And for how long?", True, judge=Judge.APPLICATION)
    feedback.say_nothing_answers("And for how long?", False, judge=Judge.APPLICATION)
    assert feedback.votes() == []
    assert feedback.of(QUESTION).answers == {chunks[0]: True}
    assert feedback.of("And for how long?").nothing_answers
