"""The states of a run, without a database. That the database agrees is in test_migrations."""

from __future__ import annotations

import pytest

from services.runs.states import RunStatus
from services.runs.store import why_blocked
from tests.moves import MOVES


def test_every_run_can_be_completed_from_wherever_it_is():
    reached = {RunStatus.COMPLETED}
    for _ in RunStatus:
        reached |= {start for start, end in MOVES if end in reached}
    assert reached == set(RunStatus)


def test_completed_is_the_end():
    assert not [end for start, end in MOVES if start is RunStatus.COMPLETED]


@pytest.mark.parametrize("status", [status for status in RunStatus if status.is_active])
def test_work_that_fails_ends_in_the_failed_status_of_its_phase(status):
    failed = {end for start, end in MOVES if start is status and end.is_failed}
    assert failed == {RunStatus(f"{status}_failed")}


@pytest.mark.parametrize("status", [status for status in RunStatus if status.is_failed])
def test_failed_run_goes_back_to_its_own_phase_only(status):
    assert [end for start, end in MOVES if start is status] == [status.removesuffix("_failed")]


@pytest.mark.parametrize("status", [s for s in RunStatus if s is not RunStatus.COMPLETED])
def test_every_status_but_completed_says_why_it_blocks_a_new_run(status):
    assert why_blocked(status).endswith(".")
