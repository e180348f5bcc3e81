"""Whether there is room on the disk of the data folder."""

from __future__ import annotations

import shutil
from pathlib import Path

from services.errors import DiskFull

# A new Postgres takes 40 MB, PostgREST 20 MB; the rest is room for its write-ahead log, which grows
# by 16 MB at a time.
LEAST_FREE_MB = 200


def free_mb(folder: Path) -> int:
    """The free space, in MB of 2**20 bytes, where `folder` is or would be created."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return shutil.disk_usage(there).free // 2**20


def require_room(data_dir: Path, for_bytes: int = 0) -> None:
    """Raise DiskFull if less space is free than the app needs to continue and to keep `for_bytes`
    in addition."""
    free = free_mb(data_dir)
    needed = LEAST_FREE_MB + for_bytes // 2**20
    if free < needed:
        raise DiskFull(
            f"The disk of DATA_DIR is nearly full: {free} MB are free, and {needed} MB are"
            " needed. What is stored is safe."
        )
