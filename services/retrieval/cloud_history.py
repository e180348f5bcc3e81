"""What deeplake's version control keeps of a dataset, and what of it may stay."""

from __future__ import annotations

from typing import Any

ADDED = "Added by Deep Memory Studio"
REPLACED = "Replaced by Deep Memory Studio"  # such a commit needs nothing of those before it


def forget_replaced(dataset: Any) -> None:
    """Delete the chunk files of all commits from before the last replacement.

    The library keeps them for ever. A replacement rewrites every row, so no later commit needs
    them; a process that dies before this leaves them to the next change.
    """
    commits = [(commit["commit"], commit["message"]) for commit in dataset.commits]  # newest first
    replaced = [number for number, (_, message) in enumerate(commits) if message == REPLACED]
    if not replaced:
        return
    stale = {commit for commit, _ in commits[replaced[0] + 1 :]}
    first = commits[-1][0]  # whose files lie at the root
    for key in list(dataset.base_storage):
        before, is_chunk, _ = key.partition("/chunks/")
        owner = before.split("/")[1] if before.startswith("versions/") else first
        if is_chunk and owner in stale:
            del dataset.base_storage[key]
