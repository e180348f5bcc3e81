"""A knowledge base in a folder of this machine: the only import of deeplake here.

A local store never changes a dataset in place. Each change writes a whole new dataset beside the
old one (0.5 s for 10,000 chunks) and then renames one small file, `current`, that names it. So a
reader sees the store before the change or after it, never half of it; a crash leaves a folder that
the next change sweeps away; and `deeplake.Dataset.pop`, which fails with numpy 2, is not needed.
"""

from __future__ import annotations

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

from services.errors import StoreUnavailable
from services.models import Chunk
from services.retrieval.content import (
    EMPTY,
    Content,
    EmbeddedDocument,
    documents_of,
    metadata_of,
)
from services.retrieval.vector_store import VectorStore

log = logging.getLogger(__name__)

WRITER_WAIT_S = 120.0


class LocalVectorStore(VectorStore):
    """A store in a folder of this machine, which never touches the network.

    Threads and processes may read and write it at the same time: writers take turns (a file lock,
    which the system releases when a process dies), readers never wait for a writer.
    """

    def __init__(self, folder: Path, embedder_name: str, width: int) -> None:
        super().__init__((embedder_name, width))
        self._folder = folder
        self._loading = threading.Lock()

    def dataset_path(self) -> Path | None:
        """Return the current dataset, which deeplake's own `VectorStore` opens; None if empty."""
        version = self._current_version()
        return None if version == EMPTY else self._folder / version

    def _current_version(self) -> str:
        try:
            return (self._folder / "current").read_text().strip()
        except FileNotFoundError:
            return EMPTY
        except OSError as error:
            raise StoreUnavailable("The knowledge base can not be read.") from error

    def _content(self) -> Content:
        with self._loading:
            version = self._current_version()
            if self._cached is None or self._cached.version != version:
                self._cached = self._read(version)
            return self._cached

    def _read(self, version: str) -> Content:
        """Read a version; when a writer swept it away meanwhile, read the one that is current."""
        if version == EMPTY:
            return Content.empty(self._embedder)
        try:
            return _read_dataset(self._folder / version)
        except StoreUnavailable:
            current = self._current_version()
            if current == version:
                raise
            return self._read(current)

    @contextmanager
    def _changing(self) -> Iterator[Content]:
        """Be the only writer, in this process and in all others."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with filelock.FileLock(self._folder / "writer.lock", timeout=WRITER_WAIT_S):
                yield self._content()
        except filelock.Timeout as error:
            raise StoreUnavailable(
                "Another session is changing this knowledge base. Nothing was changed."
            ) from error
        except OSError as error:
            raise StoreUnavailable(
                f"The knowledge base can not be written ({error.strerror}). It is as it was.",
                next_step="Check that the data folder is writable and the disk is not full.",
            ) from error

    def _add(self, before: Content, new: Sequence[EmbeddedDocument]) -> None:
        self._replace(before.with_added(new, self._embedder))

    def _replace(self, content: Content) -> None:
        """Write `content` as a new dataset, then make it the current one in one step."""
        self._sweep()
        if content.chunks:
            try:
                _write_dataset(self._folder / content.version, content)
            except BaseException:
                # A disk that is full needs the room of what was begun.
                shutil.rmtree(self._folder / content.version, ignore_errors=True)
                raise
        pointer = self._folder / "current.new"
        pointer.write_text(content.version)
        _to_disk(pointer)
        pointer.replace(self._folder / "current")
        _to_disk(self._folder)
        self._cached = content
        log.info("store_changed version=%s chunks=%d", content.version, len(content.chunks))

    def _sweep(self) -> None:
        """Remove what no reader needs: superseded datasets, and what a crash left behind.

        The current dataset stays for readers that are still loading it when it is superseded.
        """
        keep = self._current_version()
        for folder in self._folder.glob("v-*"):
            if folder.name != keep:
                shutil.rmtree(folder, ignore_errors=True)


def import_deeplake() -> Any:
    """Import deeplake (1.4 s) without its calls home.

    By default the import asks PyPI for a newer version and reports usage, and `libdeeplake`
    (`indra`) reports to a third host as soon as something imports it; nothing here needs it.
    """
    with _importing:
        if "deeplake" not in sys.modules:
            os.environ["BUGGER_OFF"] = "true"
            no_check = types.ModuleType("deeplake.util.check_latest_version")
            no_check.warn_if_update_required = lambda version: None  # type: ignore[attr-defined]
            sys.modules[no_check.__name__] = no_check
            # During the import only: deeplake then takes libdeeplake for not installed, and later
            # asks `"indra" in sys.modules`.
            sys.modules["indra"] = None  # type: ignore[assignment]
            try:
                import deeplake
            finally:
                del sys.modules["indra"]
        import deeplake

        return deeplake


_importing = threading.Lock()


def _write_dataset(path: Path, content: Content) -> None:
    """Write a dataset with the tensors of deeplake's own `VectorStore`, and wait for the disk."""
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
        # deeplake's own lock outlives a killed process by 300 s; `writer.lock` does its work.
        dataset = deeplake.empty(str(path), lock_enabled=False, verbose=False)
        with dataset:
            for tensor in DEFAULT_VECTORSTORE_TENSORS:
                dataset.create_tensor(**tensor)
            # Tensor by tensor is 20 times as fast as `dataset.extend`, which goes row by row.
            for name, column in columns.items():
                dataset[name].extend(column)
            name, width = content.embedder
            dataset.info.update(embedder=name, width=width)
    except (SampleAppendError, SampleExtendError) as error:
        raise StoreUnavailable(
            "The documents could not be written. The knowledge base is as it was."
        ) from error
    for folder, _, files in os.walk(path):
        for file in files:
            _to_disk(Path(folder, file))
        _to_disk(Path(folder))


def _read_dataset(path: Path) -> Content:
    deeplake = import_deeplake()
    from deeplake.util import exceptions

    try:
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
        raise StoreUnavailable(
            "The knowledge base can not be read: its files are damaged or missing.",
            next_step="Restore the data folder, or delete it and add the documents again.",
        ) from error
    chunks = tuple(
        Chunk(str(id_), about["document_id"], about["document"], about["position"], str(text))
        for id_, text, about in zip(ids, texts, metadata, strict=True)
    )
    return Content(documents_of(metadata), chunks, embeddings, embedder, path.name)


def _to_disk(path: Path) -> None:
    """Wait until a file or a folder is on the disk: a power cut must not undo a stored document."""
    if os.name == "nt" and path.is_dir():
        return  # Windows has no such call for folders
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
