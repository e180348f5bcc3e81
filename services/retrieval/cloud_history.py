"""Limits what deeplake's version control keeps of a dataset's past."""

from __future__ import annotations

from typing import Any

ADDED = "Added by Deep Memory Studio"
REPLACED = "Replaced by Deep Memory Studio"  # such a commit does not depend on earlier ones


def forget_replaced(dataset: Any) -> None:
    """Delete the chunk files of all commits before the last replacement.

    The library keeps them forever. A replacement rewrites every row, so no later commit needs them.
    If the process dies before this, the next change deletes them.
    """
    commits = [(commit["commit"], commit["message"]) for commit in dataset.commits]  # newest first
    replaced = [number for number, (_, message) in enumerate(commits) if message == REPLACED]
    if not replaced:
        return
    stale = {commit for commit, _ in commits[replaced[0] + 1 :]}
    first = commits[-1][0]  # its files are at the root
    for key in list(dataset.base_storage):
        before, is_chunk, _ = key.partition("/chunks/")
        owner = before.split("/")[1] if before.startswith("versions/") else first
        if is_chunk and owner in stale:
            del dataset.base_storage[key]
