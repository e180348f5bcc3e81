"""Statements that are sent again while the database is away."""

from __future__ import annotations

import threading

import pytest

from services.accounts.patience import until_available
from services.errors import DatabaseUnavailable

AWAY = DatabaseUnavailable("It does not answer.")


class Statement:
    """Fails so many times, then answers."""

    def __init__(self, fails: int) -> None:
        self.fails, self.tries = fails, 0

    def __call__(self) -> str:
        self.tries += 1
        if self.tries <= self.fails:
            raise AWAY
        return "written"


def test_the_pauses_between_tries_grow_to_five_seconds(monkeypatch):
    """Each is shortened at random, by up to 30%, so that workers do not all try at once."""
    monkeypatch.setattr(
        "services.accounts.patience.random.uniform", lambda least, most: least / most
    )
    lost, pauses, told = threading.Event(), [], []
    lost.wait = pauses.append
    answer = until_available(Statement(8), lost, lambda error, pause_s: told.append(pause_s))
    assert answer == "written"
    assert told == [0.2, 0.4, 0.8, 1.6, 3.2, 5, 5, 5]
    assert pauses == pytest.approx([0.7 * pause_s for pause_s in told])


def test_what_is_lost_in_a_pause_is_tried_once_more_and_not_again():
    lost, statement = threading.Event(), Statement(1)
    assert until_available(statement, lost, lambda *_: lost.set()) == "written"

    lost, statement = threading.Event(), Statement(9)
    with pytest.raises(DatabaseUnavailable):
        until_available(statement, lost, lambda *_: lost.set())
    assert statement.tries == 2
