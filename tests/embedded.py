"""The embedded Supabase for tests: real, in a temporary data folder, PostgREST fetched once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from services.config import PROJECT_ROOT
from services.local_supabase.stack import LocalSupabase, start_local_supabase

# Kept from one test session to the next, so that npm is asked once.
_TOOLS = PROJECT_ROOT / ".pytest_cache" / "embedded-tools"


@contextmanager
def temporary_data_dir(*subfolders: str) -> Iterator[Path]:
    """A new data folder that shares the fetched tools with every other test.

    Not in pytest's own folder: each pytest that starts closes that one to all but its owner, and
    for root Postgres runs as another user, who then loses his files under way.
    """
    _TOOLS.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="embedded-") as folder:
        data_dir = Path(folder, *subfolders).resolve() / "data"
        data_dir.mkdir(parents=True)
        (data_dir / "tools").symlink_to(_TOOLS, target_is_directory=True)
        yield data_dir


@contextmanager
def run_embedded(data_dir: Path) -> Iterator[LocalSupabase]:
    """A running stack for the duration of the block."""
    stack = start_local_supabase(data_dir)
    try:
        yield stack
    finally:
        stack.stop()
