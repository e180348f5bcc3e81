"""Judging a test set: what is left to judge, what counts, and a model's proposals beside it."""

from __future__ import annotations

from uuid import uuid4

import pytest

from services.errors import GenerationError, NotAllowed, NotFound
from services.models import TrainingRun
from services.pairs.rules import LONGEST_QUESTION
from services.questions.judgements import Judge, Judgement, JudgementStore
from services.questions.judging import RankedSet
from services.questions.store import Purpose
from services.runs.states import RunStatus
from services.studio import Studio
from services.workspace import Workspace
from tests.behind_the_door import models_of
from tests.fakes.openai_server import FakeOpenAI, insufficient_quota
from tests.runs import Script
from tests.trained_models import ranking_by

TEXTS = {
    "dues.txt": b"Ships pay harbour dues when they berth.",
    "fees.txt": b"Harbour dues are paid by all ships above forty metres.",
    "soup.txt": b"The canteen serves soup on Fridays.",
}
WHO = "Which ships pay harbour dues?"
WHEN = "Which soup is on Fridays in the canteen?"
ASKED = f"question,answer\n{WHO},when they berth\n{WHEN},nowhere to be found\n".encode()


@pytest.fixture(scope="module")
def fake():
    with FakeOpenAI() as server:
        yield server


@pytest.fixture(scope="module")
def offline(new_studio) -> Studio:
    return new_studio()


@pytest.fixture(scope="module")
def with_model(new_studio, fake) -> Studio:
    settings = {"openai_api_key": fake.key, "openai_base_url": fake.base_url}
    return new_studio(**settings, embedding_model="wordllama")


def set_up(studio: Studio, user, service) -> tuple[Workspace, TrainingRun]:
    """A person with three documents, a model that turns plain cosine round, and a test set."""
    space = Workspace(studio, user)
    space.documents.add(list(TEXTS.items()))
    script = Script(user, service).to(RunStatus.COMPLETED)
    models_of(space).save(script.now, ranking_by(turn=-1))
    space.test_sets.add_file("mine", "mine.csv", ASKED)
    return space, script.now


@pytest.fixture
def mine(offline, user, service) -> tuple[Workspace, TrainingRun]:
    return set_up(offline, user, service)


@pytest.fixture
def asking(with_model, user, service) -> tuple[Workspace, RankedSet]:
    space, run = set_up(with_model, user, service)
    return space, space.judging.rank("mine", run.id)


def chunk_id(space: Workspace, document: str) -> str:
    [found] = [one.id for one in space.documents.chunks().values() if one.document == document]
    return found


# By the person ---------------------------------------------------------------------------------


def test_chunks_of_both_rankings_are_judged_but_those_that_the_set_names(mine):
    space, run = mine
    ranked = space.judging.rank("mine", run.id)
    left = space.judging.to_judge(ranked)
    assert {(one.question, one.chunk_id) for one in left.chunks} == {
        (WHO, chunk_id(space, "fees.txt")),
        (WHO, chunk_id(space, "soup.txt")),
        *((WHEN, chunk_id(space, name)) for name in TEXTS),  # it has no answer yet: all of them
    }
    assert (left.judged, left.answering, ranked.left_out) == (0, 0, 0)


def test_a_judgement_is_counted_kept_replaced_and_taken_back(mine):
    space, run = mine
    ranked, fees = space.judging.rank("mine", run.id), chunk_id(space, "fees.txt")
    space.judging.judge([(WHO, fees, False)])
    space.judging.judge([(WHO.upper(), fees, True)])  # the same question
    left = space.judging.to_judge(ranked)
    assert (left.judged, left.answering, len(left.chunks)) == (1, 1, 4)
    space.judging.take_back(f"  {WHO.capitalize()} ", fees)  # however it is written
    assert (space.judging.to_judge(ranked).judged, len(space.judging.to_judge(ranked).chunks)) == (
        0,
        5,
    )
    space.judging.take_back(WHO, fees)  # safe to repeat


def test_a_test_question_without_an_answer_left_measures_nothing(mine):
    space, _ = mine
    fees = chunk_id(space, "fees.txt")
    space.feedback.add(WHO, [fees], Purpose.TEST)
    space.judging.take_back(WHO.upper(), fees)
    assert space.feedback.of(WHO).purpose is Purpose.OPEN


def test_of_two_judgements_of_the_same_chunk_the_last_one_counts(mine):
    space, run = mine
    fees = chunk_id(space, "fees.txt")
    space.judging.judge([(WHO, fees, False), (WHO.upper(), fees, True)])
    left = space.judging.to_judge(space.judging.rank("mine", run.id))
    assert (left.judged, left.answering) == (1, 1)


def test_judged_answers_count_in_all_measures_and_refused_chunks_give_bpref(mine):
    space, run = mine
    before = space.test_sets.measure("mine", run.id)
    assert (before["questions"], before["not_found"]) == (1, 1)
    assert "bpref" not in before["before"]

    space.judging.judge([(WHEN, chunk_id(space, "soup.txt"), True)])
    space.judging.judge([(WHO, chunk_id(space, "soup.txt"), False)])
    after = space.test_sets.measure("mine", run.id)
    assert (after["questions"], after["not_found"]) == (2, 0)
    assert (after["before"]["bpref"], after["after"]["bpref"]) == (1.0, 0.5)
    assert set(after["intervals"]) == set(after["before"])
    assert after["before"]["judged@10"] == pytest.approx((2 / 3 + 1 / 3) / 2)


def test_judgements_hold_in_every_set_with_the_question(mine):
    space, run = mine
    space.judging.judge([(WHEN, chunk_id(space, "soup.txt"), True)])
    space.test_sets.add_file("other", "other.csv", ASKED)
    assert space.test_sets.measure("other", run.id)["not_found"] == 0


def test_what_can_not_be_judged_is_refused_and_nothing_is_kept(mine):
    space, run = mine
    good = (WHO, chunk_id(space, "fees.txt"), True)
    with pytest.raises(NotFound):
        space.judging.judge([good, (WHO, "gone", True)])
    for question in (" ", "x" * (LONGEST_QUESTION + 1)):
        with pytest.raises(NotAllowed):
            space.judging.judge([good, (question, good[1], True)])
    assert space.judging.to_judge(space.judging.rank("mine", run.id)).judged == 0


def test_a_set_a_run_or_a_model_that_is_not_there_is_said_in_words(mine):
    space, run = mine
    for name, run_id in (("gone", run.id), ("mine", str(uuid4()))):
        with pytest.raises(NotFound):
            space.judging.rank(name, run_id)
    models_of(space).remove(run.id)
    with pytest.raises(NotAllowed, match="file of this model is gone"):
        space.judging.rank("mine", run.id)
    for act in (
        lambda: space.judging.said_by_model("gone"),
        lambda: space.judging.let_model_count("gone", True),
    ):
        with pytest.raises(NotFound):
            act()


def test_questions_too_long_to_be_kept_are_left_out(mine):
    space, run = mine
    long = f"question,answer\n{'word ' * 500},when they berth\n".encode()
    space.test_sets.add_file("long", "long.csv", long)
    ranked = space.judging.rank("long", run.id)
    assert (ranked.questions, ranked.left_out) == ((), 1)
    assert space.judging.to_judge(ranked).chunks == []


def test_questions_that_nothing_answers_are_not_judged(mine):
    space, run = mine
    asked = f"question,answer,answerable\n{WHO},when they berth,\n{WHEN},,no\n".encode()
    space.test_sets.add_file("some", "some.csv", asked)
    ranked = space.judging.rank("some", run.id)
    assert ([one.text for one in ranked.questions], ranked.left_out) == ([WHO], 0)


# By a model ------------------------------------------------------------------------------------


def test_without_a_question_model_none_is_asked(mine):
    space, run = mine
    ranked = space.judging.rank("mine", run.id)
    assert space.judging.model is None
    with pytest.raises(NotAllowed, match="No question model"):
        space.judging.ask(space.judging.to_ask(ranked))


def test_a_model_is_asked_first_about_what_the_person_judged_and_once(asking):
    space, ranked = asking
    space.judging.judge([(WHEN, chunk_id(space, "dues.txt"), False)])
    asked = space.judging.to_ask(ranked)
    assert [(question, chunk.document) for question, chunk in asked[:1]] == [(WHEN, "dues.txt")]
    assert len(asked) == 5
    assert 0 < space.judging.cost_usd(asked) < 0.01
    assert space.judging.ask(asked[:2]) == 2
    assert len(space.judging.to_ask(ranked)) == 3
    space.judging.ask(asked)  # safe to repeat
    assert space.judging.to_ask(ranked) == []


def test_a_models_word_stands_beside_the_persons_and_agreement_is_shown(asking):
    space, ranked = asking
    fees, soup = chunk_id(space, "fees.txt"), chunk_id(space, "soup.txt")
    space.judging.judge([(WHO, fees, False), (WHO, soup, False), (WHEN, soup, True)])
    space.judging.ask(space.judging.to_ask(ranked))
    said = space.judging.said_by_model("mine")
    assert (said.judged, len(said.both), said.counts) == (5, 3, False)
    assert (said.agreement.judged_by_both, said.agreement.agreed) == (3, 2)  # but for fees.txt
    assert said.agreement.kappa == pytest.approx((2 / 3 - 4 / 9) / (5 / 9))
    [(mine_, model)] = [pair for pair in said.both if pair[1].chunk_id == fees]
    assert (mine_, model.answers, model.judge) == (False, True, Judge.MODEL)
    assert model.reason.startswith("It has")
    assert space.judging.to_judge(ranked).judged == 3  # the person's own, as before


def test_a_models_word_counts_where_the_person_says_so_and_never_against_them(asking):
    space, ranked = asking
    fees = chunk_id(space, "fees.txt")
    space.judging.judge([(WHO, fees, False)])
    space.judging.ask(space.judging.to_ask(ranked))

    def found() -> int:
        return space.test_sets.measure("mine", ranked.run_id)["not_found"]

    assert found() == 1
    space.judging.let_model_count("mine", True)
    space.judging.let_model_count("mine", True)  # safe to repeat
    assert space.judging.said_by_model("mine").counts
    assert found() == 0  # it says that soup.txt answers
    losses = space.test_sets.measure("mine", ranked.run_id)
    assert fees not in str(losses["losses"])  # the person's no stands
    space.judging.let_model_count("mine", False)
    assert found() == 1


def test_another_set_of_the_same_name_begins_without_a_models_word(asking):
    space, _ = asking
    space.judging.let_model_count("mine", True)
    space.test_sets.remove("mine")
    space.test_sets.add_file("mine", "mine.csv", ASKED)
    assert not space.judging.said_by_model("mine").counts


def test_what_a_model_judged_before_it_failed_is_kept(asking, fake):
    space, ranked = asking
    fake.fail(insufficient_quota, matching="canteen serves soup on", times=100)
    try:
        with pytest.raises(GenerationError):
            space.judging.ask(space.judging.to_ask(ranked))
    finally:
        fake.forgive()
    assert space.judging.said_by_model("mine").judged >= 1
    assert space.judging.to_ask(ranked) != []


def test_judgements_of_another_application_do_not_count(mine, user):
    space, run = mine
    soup = chunk_id(space, "soup.txt")
    JudgementStore(user.database, user.identity.user_id).save(
        [Judgement(WHEN, soup, True, Judge.APPLICATION)]
    )
    assert space.test_sets.measure("mine", run.id)["not_found"] == 1


def test_a_person_judges_nothing_of_another(mine, new_user, offline):
    space, run = mine
    other = Workspace(offline, new_user())
    with pytest.raises(NotFound):
        other.judging.rank("mine", run.id)
    with pytest.raises(NotFound):
        other.judging.judge([(WHO, chunk_id(space, "fees.txt"), True)])
