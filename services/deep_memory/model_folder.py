"""A trained model as a folder that others can use, packed as a zip."""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import IO, BinaryIO

import numpy as np

from services.deep_memory.folder_search import search_py
from services.deep_memory.model_card import model_card
from services.deep_memory.query_map import QueryMap
from services.models import Chunk, TrainingRun
from services.ranking.context import in_context
from services.retrieval.content import Snapshot

FOLDER = "deep-memory-model"
_WHEN = (1980, 1, 1, 0, 0, 0)  # so that the same model and chunks give the same bytes
_ANYONE_READS = 0o644 << 16
_UNIX = 3


def write_model_folder(
    file: BinaryIO, run: TrainingRun, embedder: str, query_map: QueryMap, snapshot: Snapshot
) -> None:
    """Write the model of a completed run with the chunks of `snapshot`; see the card for the files.

    `embedder` is the name of the model that embedded both. The same arguments give the same bytes.

    Raises:
        OSError: there is no room for it.
    """
    width, chunks = query_map.width, snapshot.chunks
    with zipfile.ZipFile(file, "w") as folder:
        with _member(folder, "README.md") as member:
            member.write(model_card(run, embedder, width, chunks).encode())
        with _member(folder, "search.py") as member:
            member.write(search_py(embedder, width).encode())
        with _member(folder, "chunks.jsonl") as member:
            member.writelines(_lines(chunks))
        # Vectors hardly get smaller.
        with _member(folder, "map.npy", zipfile.ZIP_STORED) as member:
            np.save(member, query_map.matrix.astype(np.float32))
        with _member(folder, "chunks.npy", zipfile.ZIP_STORED) as member:
            documents = [chunk.document_id for chunk in snapshot.chunks]
            np.save(member, in_context(snapshot.embeddings, documents))


def model_file(
    run: TrainingRun, embedder: str, query_map: QueryMap, snapshot: Snapshot
) -> BinaryIO:
    """What `write_model_folder` writes, as an open file without a name, at its start.

    Raises:
        OSError: there is no room for it.
    """
    file = tempfile.TemporaryFile()  # noqa: SIM115 - whoever gets it closes it
    try:
        write_model_folder(file, run, embedder, query_map, snapshot)
        file.seek(0)
    except BaseException:
        with suppress(OSError):  # closing tries once more to write the rest
            file.close()
        raise
    return file


@contextmanager
def _member(
    folder: zipfile.ZipFile, name: str, compression: int = zipfile.ZIP_DEFLATED
) -> Iterator[IO[bytes]]:
    about = zipfile.ZipInfo(f"{FOLDER}/{name}", _WHEN)
    about.compress_type, about.create_system = compression, _UNIX
    about.external_attr = _ANYONE_READS
    with folder.open(about, "w", force_zip64=True) as member:
        yield member


def _lines(chunks: Sequence[Chunk]) -> Iterator[bytes]:
    for chunk in chunks:
        about = {
            "id": chunk.id,
            "document": chunk.document,
            "page": chunk.page,
            "heading_path": chunk.heading_path,
            "text": chunk.text,
        }
        yield json.dumps(about, ensure_ascii=False).encode() + b"\n"
