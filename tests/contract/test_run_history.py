"""The history of runs: newest first, page by page, whole, and only one's own."""

from __future__ import annotations

import pytest

from services.runs.states import RunStatus
from services.runs.store import RunStore
from tests.runs import Script

MANY = 1_050  # more than the server sends in one answer


@pytest.fixture
def store(user, owner) -> RunStore:
    """A history of completed runs, two of each moment, beside that of another user."""
    owner.execute(
        "insert into deep_memory_training_runs (user_id, status, created_at)"
        " select %s, 'completed', now() - make_interval(mins => n / 2)"
        " from generate_series(1, %s) n",
        (user.identity.user_id, MANY),
    )
    return RunStore(user.database)


def test_pages_hold_every_run_once_newest_first(store, new_user, service):
    Script(new_user(), service).to(RunStatus.COMPLETED)
    seen = []
    for offset in range(0, MANY, 150):
        runs, total = store.page(limit=150, offset=offset)
        assert total == MANY
        seen += runs
    assert len({run.id for run in seen}) == len(seen) == MANY
    assert [run.created_at for run in seen] == sorted((r.created_at for r in seen), reverse=True)


def test_page_past_the_end_is_empty_and_still_knows_the_total(store):
    assert store.page(limit=20, offset=5_000) == ([], MANY)


def test_filter_by_status_counts_what_it_shows(store, user, service):
    failed = Script(user, service).to(RunStatus.TRAINING_FAILED)
    assert store.page(limit=20, status=RunStatus.TRAINING_FAILED) == ([failed.now], 1)
    assert store.page(limit=20, status=RunStatus.GENERATED) == ([], 0)
    assert store.page(limit=1)[1] == MANY + 1


def test_user_without_runs_has_an_empty_history(user):
    assert RunStore(user.database).page(limit=20) == ([], 0)
