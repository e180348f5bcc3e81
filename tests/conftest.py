"""Fixtures that several kinds of tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from services.local_supabase.stack import LocalSupabase
from tests.embedded import new_data_dir, run_embedded


@pytest.fixture(scope="session")
def supabase_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSupabase]:
    """One embedded Supabase for the whole test session, with all migrations applied."""
    with run_embedded(new_data_dir(tmp_path_factory.mktemp("supabase"))) as stack:
        yield stack
