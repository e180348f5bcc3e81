"""A knowledge base in a folder on this machine. In the app's process, only this imports deeplake.

A local store never changes a dataset in place. Each change writes a whole new dataset next to the
old one (0.5 s for 10,000 chunks), renames a small file, `current`, that names it, and deletes the
old one at once, because it holds what a person wanted removed. `deeplake.Dataset.pop`, which fails
with numpy 2, is not needed.

Readers take no lock. A dataset is deleted only after `current` has moved on, and no name is used
twice. So what was read is complete if `current` still names it afterwards; otherwise it is read
again. A crash leaves a folder that the next change, or the next process to open the store, deletes.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import struct
import sys
import threading
import types
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import filelock

from services.errors import StoreDamaged, StoreUnavailable
from services.retrieval.content import (
    ABSENT,
    EMPTY,
    Content,
    EmbeddedDocument,
    chunk_of,
    documents_of,
    metadata_of,
)
from services.retrieval.vector_store import VectorStore

log = logging.getLogger(__name__)

WRITER_WAIT_S = 120.0
MANIFEST = "manifest.sha256"  # in each dataset; `sha256sum -c` reads it too


class LocalVectorStore(VectorStore):
    """A store in a folder on this machine, which never uses the network.

    Threads and processes may read and write it at the same time: writers take turns (a file lock,
    which the system releases when a process dies), and readers never wait for a writer.
    """

    def __init__(
        self, folder: Path, embedder_name: str, width: int, witness: Path | None = None
    ) -> None:
        super().__init__((embedder_name, width), witness)
        self._folder = folder
        self._loading = threading.Lock()
        self._writer = filelock.FileLock(folder / "writer.lock")

    def sweep(self) -> None:
        """Delete datasets that are not the current one: superseded, or left by a crash.

        If a writer is active, the sweep is left to it. Nothing is deleted while the dataset that
        `current` names is missing: the others may be all that is left.
        """
        try:
            leftovers = self._leftovers()
            if leftovers:
                with self._writer.acquire(timeout=0):
                    _delete(self._leftovers())
        except filelock.Timeout:
            log.info("sweep_left_to_writer store=%s", self._folder.name)
        except OSError:
            log.warning("sweep_failed store=%s", self._folder.name, exc_info=True)

    def _leftovers(self) -> list[Path]:
        current = self._current_version()
        datasets = {folder.name: folder for folder in self._folder.glob("v-*")}
        if current != EMPTY and current not in datasets:
            return []
        return [folder for name, folder in datasets.items() if name != current]

    def _current_version(self) -> str:
        try:
            # A damaged file names no dataset, whatever bytes are in it.
            return (self._folder / "current").read_text("utf-8", errors="replace").strip()
        except FileNotFoundError:
            return ABSENT
        except OSError as error:
            raise StoreUnavailable("The knowledge base cannot be read.") from error

    def _content(self) -> Content:
        with self._loading:
            version = self._current_version()
            if self._cached is None or self._cached.version != version:
                self._cached = self._read(version)
                self.sweep()
            return self._cached

    def _read(self, version: str) -> Content:
        """Read a version; if a writer has superseded it meanwhile, read the current one."""
        while True:
            try:
                if version in (ABSENT, EMPTY):
                    content = Content.empty(self._embedder, version)
                else:
                    content = _read_dataset(self._folder / version)
            except StoreDamaged:
                if self._current_version() == version:
                    raise
            else:
                if self._current_version() == version:
                    return content
            version = self._current_version()

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Be the only writer, across all processes."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with self._writer.acquire(timeout=WRITER_WAIT_S):
                yield
        except filelock.Timeout as error:
            raise StoreUnavailable(
                "Another session is changing this knowledge base. Nothing was changed."
            ) from error
        except OSError as error:
            raise StoreUnavailable(
                f"The knowledge base cannot be written ({error.strerror}). It is as it was.",
                next_step="Check that the data folder is writable and the disk is not full.",
            ) from error

    def _add(self, before: Content, new: Sequence[EmbeddedDocument]) -> None:
        self._replace(before.with_added(new, self._embedder))

    def _replace(self, content: Content) -> None:
        """Write `content` as a new dataset, switch to it in one step, and delete the others."""
        try:
            if content.chunks:
                _write_dataset(self._folder / content.version, content)
            pointer = self._folder / "current.new"
            pointer.write_text(content.version)
            _to_disk(pointer)
            pointer.replace(self._folder / "current")
            _to_disk(self._folder)
        finally:  # also deletes the incomplete dataset of a failed change
            self.sweep()
        self._cached = content
        log.info("store_changed version=%s chunks=%d", content.version, len(content.chunks))


def import_deeplake() -> Any:
    """Import deeplake (1.4 s) without its calls home.

    By default the import asks PyPI for a newer version and reports usage, and `libdeeplake`
    (`indra`), which is not needed here, reports to a third host as soon as something imports it.
    """
    with _importing:
        if "deeplake" not in sys.modules:
            os.environ["BUGGER_OFF"] = "true"
            no_check = types.ModuleType("deeplake.util.check_latest_version")
            no_check.warn_if_update_required = lambda version: None  # type: ignore[attr-defined]
            sys.modules[no_check.__name__] = no_check
            # Only during the import: deeplake then assumes that libdeeplake is not installed; later
            # it checks `"indra" in sys.modules`.
            sys.modules["indra"] = None  # type: ignore[assignment]
            try:
                import deeplake
            finally:
                del sys.modules["indra"]
        import deeplake

        return deeplake


_importing = threading.Lock()


def _write_dataset(path: Path, content: Content) -> None:
    """Write a dataset with the tensors of deeplake's own `VectorStore`, and flush it to disk."""
    deeplake = import_deeplake()
    from deeplake.constants import DEFAULT_VECTORSTORE_TENSORS
    from deeplake.util.exceptions import SampleAppendError, SampleExtendError

    documents = {document.id: document for document in content.documents}
    columns = {
        "text": [chunk.text for chunk in content.chunks],
        "metadata": [metadata_of(chunk, documents[chunk.document_id]) for chunk in content.chunks],
        "embedding": content.embeddings,
        "id": [chunk.id for chunk in content.chunks],
    }
    try:
        # deeplake's own lock outlives a killed process by 300 s; `writer.lock` replaces it.
        dataset = deeplake.empty(str(path), lock_enabled=False, verbose=False)
        with dataset:
            for tensor in DEFAULT_VECTORSTORE_TENSORS:
                dataset.create_tensor(**tensor)
            # Tensor by tensor is 20 times as fast as `dataset.extend`, which works row by row.
            for name, column in columns.items():
                dataset[name].extend(column)
            name, width = content.embedder
            dataset.info.update(embedder=name, width=width)
    except (SampleAppendError, SampleExtendError) as error:
        raise StoreUnavailable(
            "The documents could not be written. The knowledge base is as it was."
        ) from error
    _write_manifest(path)
    for folder, _, files in os.walk(path):
        for file in files:
            _to_disk(Path(folder, file))
        _to_disk(Path(folder))


def _write_manifest(path: Path) -> None:
    files = sorted(file for file in path.rglob("*") if file.is_file())
    lines = [f"{_sum_of(file)}  {file.relative_to(path).as_posix()}\n" for file in files]
    (path / MANIFEST).write_text("".join(lines), encoding="utf-8")


def _require_sums(path: Path) -> None:
    """Raise ValueError or OSError if a file is missing or differs from what was written."""
    manifest = path / MANIFEST
    if not manifest.exists():
        return  # written before manifests existed; the next change adds one
    lines = manifest.read_text(encoding="utf-8").splitlines()
    if not lines:
        raise ValueError("the manifest is empty")
    for line in lines:
        digest, name = line.split("  ", 1)
        if _sum_of(path / name) != digest:
            raise ValueError(f"{name} is not what was written")


def _sum_of(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _read_dataset(path: Path) -> Content:
    deeplake = import_deeplake()
    from deeplake.util import exceptions

    try:
        _require_sums(path)
        dataset = deeplake.load(str(path), read_only=True, lock_enabled=False, verbose=False)
        ids, texts, metadata = dataset.id.text(), dataset.text.text(), dataset.metadata.dict()
        embeddings = dataset.embedding.numpy()
        embedder = (str(dataset.info["embedder"]), int(dataset.info["width"]))
        if not len(ids) == len(texts) == len(metadata) == len(embeddings):
            raise ValueError("the tensors differ in length")
    except (
        ArithmeticError,
        AttributeError,
        EOFError,
        LookupError,
        OSError,
        TypeError,
        ValueError,
        struct.error,
        exceptions.DatasetHandlerError,
        exceptions.DatasetCorruptError,
        exceptions.CorruptedMetaError,
        exceptions.CorruptedSampleError,
        exceptions.GetChunkError,
        exceptions.ReadSampleFromChunkError,
    ) as error:
        raise StoreDamaged(
            "The knowledge base cannot be read: its files are damaged or missing."
        ) from error
    chunks = tuple(
        chunk_of(str(id_), str(text), about)
        for id_, text, about in zip(ids, texts, metadata, strict=True)
    )
    return Content(documents_of(metadata), chunks, embeddings, embedder, path.name)


def _delete(folders: Sequence[Path]) -> None:
    for folder in folders:
        shutil.rmtree(folder)
        _to_disk(folder.parent)


def _to_disk(path: Path) -> None:
    """Flush a file or folder to disk: a power failure must not undo a stored document."""
    if os.name == "nt" and path.is_dir():
        return  # Windows has no such call for folders
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
