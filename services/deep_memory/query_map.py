"""A trained map of query embeddings, and the file that stores it.

The file is numpy's .npz followed by its SHA-256, which numpy ignores.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import struct
import tempfile
import tokenize
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from services.errors import TrainingError
from services.retrieval.embeddings import normalised

FORMAT = "deep-memory-query-map"
FORMAT_VERSION = 2  # 1 had no checksum
_SEAL = b"\nsha256 "
_SEALED_BYTES = len(_SEAL) + 64


_UNREADABLE = (
    OSError,
    EOFError,
    ValueError,
    KeyError,
    TypeError,
    RuntimeError,
    struct.error,
    tokenize.TokenError,  # raised by numpy for the header of an array
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True, slots=True)
class QueryMap:
    """A trained map: `apply` brings query embeddings closer to the chunks that answer them."""

    matrix: np.ndarray  # (width, width) float32
    embedder: str = ""  # the name of the embedder whose vectors it was trained on
    seed: int = 0
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def width(self) -> int:
        return len(self.matrix)

    def require_width(self, queries: np.ndarray) -> None:
        """Raises TrainingError if queries (n, width) differ in width from the model."""
        if queries.ndim != 2 or queries.shape[1] != self.width:
            raise TrainingError(
                f"This model is for embeddings of width {self.width}.",
                next_step="Train again with the embedding model that is set now.",
            )

    def apply(self, queries: np.ndarray) -> np.ndarray:
        """Map (n, width) query embeddings; the rows come back normalised, float32.

        Raises:
            TrainingError: the queries differ in width from the model.
        """
        self.require_width(queries)
        return normalised(queries.astype(np.float32) @ self.matrix)

    def save(self, path: Path) -> None:
        """Write the model to `path` atomically: a reader sees the old file or the whole new one.

        Raises:
            TrainingError: the disk is full or not writable; no partial file is left.
        """
        about = {
            "format": FORMAT,
            "version": FORMAT_VERSION,
            "embedder": self.embedder,
            "width": self.width,
            "seed": self.seed,
            "settings": self.settings,
        }
        try:
            _write_atomically(path, matrix=self.matrix, about=np.array(json.dumps(about)))
        except OSError as error:
            raise TrainingError(
                "The trained model cannot be written. The pairs are kept.",
                next_step="Make room on the disk, then train again.",
            ) from error

    @classmethod
    def load(cls, path: Path) -> QueryMap:
        """Read a model that `save` wrote.

        Raises:
            TrainingError: the file is missing, damaged, or not such a model.
        """
        try:
            content, is_sealed = _unsealed(Path(path).read_bytes())
            with np.load(io.BytesIO(content), allow_pickle=False) as stored:
                matrix, about = stored["matrix"], json.loads(str(stored["about"]))
            if (about["format"], about["version"]) != (FORMAT, FORMAT_VERSION if is_sealed else 1):
                raise ValueError("another format")
            if matrix.shape != (about["width"],) * 2 or not np.isfinite(matrix).all():
                raise ValueError("the matrix does not fit its description")
            return cls(
                matrix.astype(np.float32),
                str(about["embedder"]),
                int(about["seed"]),
                dict(about["settings"]),
            )
        except _UNREADABLE as error:
            raise TrainingError(
                f"The trained model {Path(path).name} cannot be read.",
                next_step="Switch to another model, or train again. The pairs are kept.",
            ) from error


def _sealed(content: bytes) -> bytes:
    return content + _SEAL + hashlib.sha256(content).hexdigest().encode()


def _unsealed(stored: bytes) -> tuple[bytes, bool]:
    """The content and whether it was sealed; raises ValueError if the checksum does not match."""
    content, seal = stored[:-_SEALED_BYTES], stored[-_SEALED_BYTES:]
    if not seal.startswith(_SEAL):
        return stored, False
    if _sealed(content) != stored:
        raise ValueError("the content is not what was written")
    return content, True


def _write_atomically(path: Path, **arrays: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        content = io.BytesIO()
        np.savez(content, allow_pickle=False, **arrays)
        with os.fdopen(descriptor, "wb") as file:
            file.write(_sealed(content.getvalue()))
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
