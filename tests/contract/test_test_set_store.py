"""Test sets come back as they were brought, are replaced as a whole, and are one's own."""

from __future__ import annotations

import pytest

from services.accounts.auth import SignedInUser
from services.deep_memory.measured_sets import HELD_OUT
from services.deep_memory.test_set_store import TestSetStore
from services.deep_memory.test_sets import (
    FROM_SEARCHES,
    SAMPLE_TEST_SET,
    Expected,
    OwnQuestion,
)
from services.errors import NotAllowed, NotFound

QUESTIONS = [
    OwnQuestion('Wer zahlt\n"die Miete"? 👩‍🔬', (Expected("a.md"), Expected(answer="Ann"))),
    OwnQuestion("Why?", (Expected("a.md", "since then"),)),
    OwnQuestion("What for?", ()),  # nothing answers it
]


@pytest.fixture
def sets(user: SignedInUser) -> TestSetStore:
    return TestSetStore(user.database, user.identity.user_id)


def test_a_set_comes_back_as_it_was_brought_and_the_newest_of_a_name_counts(sets):
    sets.save("mine", QUESTIONS)
    sets.save("  a, b & c ", QUESTIONS[:1])
    assert sets.load("mine") == QUESTIONS
    sets.save("mine", QUESTIONS[1:])
    assert sets.names() == [("a, b & c", 1), ("mine", 2)]
    assert sets.load("mine") == QUESTIONS[1:]
    assert (sets.remove("mine"), sets.remove("mine")) == (1, 0)
    with pytest.raises(NotFound):
        sets.load("mine")


def test_a_set_needs_a_name(sets):
    with pytest.raises(NotAllowed):
        sets.save("  ", QUESTIONS)


def test_the_names_of_the_apps_own_questions_are_taken(sets):
    for name in (HELD_OUT, f" {HELD_OUT} ", SAMPLE_TEST_SET, FROM_SEARCHES):
        with pytest.raises(NotAllowed, match="one of the app's own"):
            sets.save(name, QUESTIONS)


def test_nobody_sees_changes_or_takes_the_place_of_anothers_set(sets, new_user, user):
    sets.save("mine", QUESTIONS)
    other = new_user()
    others = TestSetStore(other.database, other.identity.user_id)
    assert others.names() == []
    assert others.remove("mine") == 0
    others.save("mine", QUESTIONS[:1])
    foreign = {"name": "new", "questions": [], "user_id": user.identity.user_id}
    with pytest.raises(NotAllowed):
        other.database.execute(lambda c: c.table("deep_memory_test_sets").insert(foreign))
    assert sets.load("mine") == QUESTIONS
    assert sets.names() == [("mine", 3)]
