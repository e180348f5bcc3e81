"""Fixtures that several kinds of tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from services.local_supabase.stack import LocalSupabase
from tests.embedded import run_embedded, temporary_data_dir


@pytest.fixture(scope="session")
def supabase_stack() -> Iterator[LocalSupabase]:
    """One embedded Supabase for the whole test session, with all migrations applied."""
    with temporary_data_dir() as data_dir, run_embedded(data_dir) as stack:
        yield stack
