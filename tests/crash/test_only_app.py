"""The embedded default: the only app dies with its database, is started again, and goes on."""

from __future__ import annotations

import pytest

from services.runs.states import RunStatus
from tests.crash.only_app import kill, only_app
from tests.crash.scene import CHUNKS, CONCURRENCY, eventually, make_person
from tests.embedded import temporary_data_dir
from tests.runs import let_lease_run_out

STORED = 8


@pytest.fixture
def alone():
    with temporary_data_dir() as data_dir, only_app(data_dir) as alone:
        yield alone


def test_only_app_goes_on_after_it_was_shut_down_and_after_it_was_killed(alone):
    """SIGTERM: it says so in the row, in time, before its database goes. kill -9: it is found."""
    with alone.running() as first:
        person = make_person(alone.accounts(first), alone.fake, alone.data_dir)
        person.watch.hold_after(STORED)
        first.generate(person)
        person.watch.wait_until_held(CONCURRENCY)
        eventually(lambda: person.processed(STORED), "8 chunks are stored")
        first.running.process.terminate()
        first.running.process.wait(5)
    person.watch.hold_after(STORED)  # lets the calls go whose asker is gone
    with alone.running() as second:
        with alone.owner() as owner:
            [message] = owner.execute(
                "select error_message from deep_memory_training_runs"
                " where status = 'generating_failed'"
            ).fetchone()
        assert message == "The app was shut down during this run. What was made is kept."
        assert second.proceed(person) == f"Resuming generation from chunk {STORED}/{CHUNKS}"
        person.watch.wait_until_held(CONCURRENCY)
        kill(second)
    person.watch.allow()
    with alone.running() as third:
        with alone.owner() as owner:
            let_lease_run_out(owner, person.run_id)
            owner.execute("select rescue_runs()")
        third.proceed(person)
        eventually(lambda: alone.status_of(person.run_id) == RunStatus.GENERATED, "done")
    assert len(person.watch.asked) == CHUNKS
