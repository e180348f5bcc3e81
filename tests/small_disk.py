"""A real file system of its own size, and how it is filled: for what a full disk does."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.disk import free_mb


class NotMounted(Exception):
    """This machine lets us mount no file system; the message says why."""


@contextmanager
def small_disk(folder: Path, size_mb: int) -> Iterator[None]:
    """During the block, `folder` is the root of an empty file system in memory."""
    folder.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size_mb}m,mode=0711", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise NotMounted(getattr(error, "stderr", None) or str(error)) from error
    try:
        yield
    finally:
        # Lazy: a process that has only just ended may still be there.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def filled(folder: Path, *, but_mb: int = 0) -> Iterator[None]:
    """During the block, so much is free on the disk of `folder`; not one byte by default."""
    ballast = folder / "ballast"
    try:
        with ballast.open("wb", buffering=0) as file:
            while free_mb(folder) > but_mb:
                file.write(bytes(2**20))
            with contextlib.suppress(OSError):
                while not but_mb:
                    file.write(bytes(4096))
        yield
    finally:
        ballast.unlink()
