"""Processes that a test waits for."""

from __future__ import annotations

import psutil


def gone(pid: int) -> bool:
    """Whether it runs no more. Where nobody collects orphans (a container whose first process is no
    init), an ended one stays in the table as a zombie for ever: that is gone too."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
