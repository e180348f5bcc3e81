"""Searches are kept with consent alone, for as long as the person said, and never by a log line."""

from __future__ import annotations

import logging

import pytest

from services.accounts.database import Database
from services.errors import NotAllowed
from services.questions.kept_searches import Consent, Source
from services.upkeep import delete_old_searches
from services.workspace import Workspace

QUESTION = "Who pays harbour dues?"


@pytest.fixture(scope="module")
def studio(new_studio):
    return new_studio()


@pytest.fixture
def space(studio, user) -> Workspace:
    return Workspace(studio, user)


def questions(space, owner) -> list[str]:
    rows = owner.execute(
        "select question from deep_memory_searches where user_id = %s order by asked_at",
        (space.user.identity.user_id,),
    )
    return [question for (question,) in rows.fetchall()]


def make_older(space, owner, days: int) -> None:
    owner.execute(
        "update deep_memory_searches set asked_at = asked_at - make_interval(days => %s)"
        " where user_id = %s",
        (days, space.user.identity.user_id),
    )


def test_without_consent_nothing_is_kept(space, owner):
    assert space.kept_searches.consent() == Consent(is_given=False, days=90, kept=0)
    space.kept_searches.keep(QUESTION, Source.PAGE, ["c1"], None)
    assert questions(space, owner) == []


def test_the_database_itself_refuses_a_search_without_consent(space):
    row = {"question": QUESTION, "source": "page"}
    with pytest.raises(NotAllowed):
        space.user.database.execute(lambda c: c.table("deep_memory_searches").insert(row))
    space.kept_searches.set_consent(True)
    space.user.database.execute(lambda c: c.table("deep_memory_searches").insert(row))


def test_with_consent_the_question_and_what_was_shown_are_kept(space, owner):
    space.kept_searches.set_consent(True, 30)
    space.kept_searches.keep(f" {QUESTION}\0 ", Source.PAGE, ["c1", "c2"], None)
    space.kept_searches.keep(QUESTION, Source.APPLICATION, [], None)
    assert space.kept_searches.consent() == Consent(is_given=True, days=30, kept=2)
    rows = owner.execute(
        "select question, source, shown from deep_memory_searches where user_id = %s"
        " order by source desc",
        (space.user.identity.user_id,),
    ).fetchall()
    assert rows == [(QUESTION, "page", ["c1", "c2"]), (QUESTION, "application", [])]


def test_withdrawing_consent_leaves_the_days_as_they_are(space):
    space.kept_searches.set_consent(True, 30)
    space.kept_searches.set_consent(False)
    assert space.kept_searches.consent() == Consent(is_given=False, days=30, kept=0)


def test_an_empty_or_endless_search_is_not_kept(space, owner):
    space.kept_searches.set_consent(True)
    for text in ("  ", "x" * 2001):
        space.kept_searches.keep(text, Source.PAGE, [], None)
    assert questions(space, owner) == []


def test_the_next_search_deletes_those_that_are_too_old(space, owner):
    space.kept_searches.set_consent(True, 10)
    space.kept_searches.keep("An old one?", Source.PAGE, [], None)
    make_older(space, owner, 11)
    space.kept_searches.keep(QUESTION, Source.PAGE, [], None)
    assert questions(space, owner) == [QUESTION]


def test_upkeep_deletes_them_even_if_nobody_searches_any_more(space, owner, service):
    space.kept_searches.set_consent(True, 10)
    space.kept_searches.keep("An old one?", Source.PAGE, [], None)
    make_older(space, owner, 9)
    delete_old_searches(service)
    assert questions(space, owner) == ["An old one?"]
    space.kept_searches.set_consent(False, 8)
    delete_old_searches(service)
    assert questions(space, owner) == []


def test_who_withdraws_keeps_or_deletes_what_was_kept(space, owner):
    space.kept_searches.set_consent(True)
    space.kept_searches.keep(QUESTION, Source.PAGE, [], None)
    space.kept_searches.set_consent(False)
    space.kept_searches.keep("And now?", Source.PAGE, [], None)
    assert questions(space, owner) == [QUESTION]
    assert space.kept_searches.forget() == 1
    assert (space.kept_searches.forget(), questions(space, owner)) == (0, [])


@pytest.mark.parametrize("days", [0, -1, 3651])
def test_days_that_are_none_are_refused(space, days):
    with pytest.raises(NotAllowed):
        space.kept_searches.set_consent(True, days)
    assert not space.kept_searches.consent().is_given


def test_consent_leaves_the_other_settings_alone(space, owner):
    space.kept_searches.set_consent(True)
    space.models.set_enabled(False)
    assert space.kept_searches.consent().is_given


def test_a_search_that_cannot_be_kept_is_noted_without_its_question(space, endpoint, caplog):
    gone = Database("http://127.0.0.1:9", endpoint.publishable_key)
    space.kept_searches._database = gone
    with caplog.at_level(logging.WARNING):
        space.kept_searches.keep(QUESTION, Source.PAGE, [], None)
    assert "search_not_kept code=database_unavailable" in caplog.text
    assert "harbour" not in caplog.text
