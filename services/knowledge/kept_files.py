"""The files of an import, kept on this machine until each is settled."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from services.errors import StoreUnavailable

log = logging.getLogger(__name__)

File = tuple[str, bytes]  # name, content
_NEW_S = 3_600.0  # a folder this young may belong to an import that is not a row yet


class KeptFiles:
    """The folder of all imports; `import_id` names one of them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, import_id: str, files: Sequence[File]) -> None:
        """Write the files to disk.

        Raises:
            StoreUnavailable: there is no room, or the folder cannot be written. Nothing is kept.
        """
        folder = self._folder / import_id
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            folder.mkdir(mode=0o700)
            for position, (_, content) in enumerate(files):
                self.path(import_id, position).write_bytes(content)
        except OSError as error:
            self.forget(import_id)
            raise StoreUnavailable(
                f"The files cannot be kept while they are added ({error.strerror}). Nothing was "
                "added.",
                next_step="Check that the data folder is writable and the disk is not full.",
            ) from error

    def path(self, import_id: str, position: int) -> Path:
        return self._folder / import_id / str(position)

    def drop(self, import_id: str, position: int) -> None:
        """Delete the file that is settled; fine if it is gone."""
        self.path(import_id, position).unlink(missing_ok=True)

    def forget(self, import_id: str) -> None:
        """Delete all files of an import; fine if they are gone."""
        shutil.rmtree(self._folder / import_id, ignore_errors=True)

    def sweep(self, unfinished: Iterable[str]) -> None:
        """Delete what a crash left of imports that are not among the `unfinished` ones."""
        kept = set(unfinished)
        for folder in self._folder.glob("*/"):
            if folder.name not in kept and time.time() - os.stat(folder).st_mtime > _NEW_S:
                self.forget(folder.name)
