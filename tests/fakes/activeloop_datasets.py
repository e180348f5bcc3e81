"""What the stand-in for DeepLake Cloud does with the datasets that lie in its folder."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Any

import numpy as np

from services.retrieval.local_store import import_deeplake
from tests.fakes.wire import Reply

_TQL = re.compile(
    r"select (?P<tensors>[\w, ]+), score from \(select \*, "
    r"(?P<metric>COSINE_SIMILARITY|deepmemory_distance)\(embedding, ARRAY\[(?P<vector>[^\]]+)\]\)"
    r" as score order by (?P=metric)\(embedding, ARRAY\[[^\]]+\]\) DESC limit (?P<limit>\d+)\)"
)


class Refused(Exception):
    """What the service answers with an error."""

    def __init__(self, status: int, description: str) -> None:
        super().__init__(description)
        self.reply = error(status, description)


def error(status: int, description: str = "Something went wrong") -> Reply:
    return Reply(status, {"description": description})


class DatasetReader:
    """Called with an organization and a dataset: its rows, read again only after a file changed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[Path, tuple[Any, dict[str, Any]]] = {}
        # deeplake's readers share caches and are not safe together.
        self._reading = threading.Lock()

    def __call__(self, organization: str, dataset: str) -> dict[str, Any]:
        path = self._folder / organization / dataset
        with self._reading:
            state = sorted((str(file), file.stat().st_mtime_ns) for file in path.rglob("*"))
            if self._read.get(path, (None,))[0] != state:
                self._read[path] = (state, _read_rows(str(path)))
            return self._read[path][1]


def answer_query(tql: str, rows: dict[str, Any], model: np.ndarray | None) -> dict[str, Any]:
    """The best rows for a query in TQL."""
    found = _TQL.fullmatch(tql)
    if not found:
        raise Refused(400, "TQL syntax error")
    query = np.array(found["vector"].split(","), dtype=np.float32)
    if query.shape != rows["embedding"].shape[1:]:
        raise Refused(400, "The embedding has another width than the tensor")
    if found["metric"] == "deepmemory_distance":
        if model is None:
            raise Refused(400, "This dataset has no Deep Memory model")
        query = _normalised((query @ model)[None])[0]
    scores = rows["embedding"] @ query
    best = np.argsort(-scores, kind="stable")[: int(found["limit"])]
    tensors = [name.strip() for name in found["tensors"].split(",")]
    data = {name: [rows[name][row] for row in best] for name in tensors if name != "embedding"}
    data["score"] = [float(scores[row]) for row in best]
    return {"indices": [int(row) for row in best], "data": data}


def _read_rows(path: str) -> dict[str, Any]:
    deeplake = import_deeplake()
    if not deeplake.exists(path):
        raise Refused(404, "There is no such dataset")
    stored = deeplake.load(path, read_only=True, lock_enabled=False, verbose=False)
    if not len(stored):
        raise Refused(400, "The dataset is empty")
    return {
        "id": [str(id_) for id_ in stored.id.text()],
        "text": [str(text) for text in stored.text.text()],
        "metadata": stored.metadata.dict(),
        "embedding": stored.embedding.numpy(),
    }


def fit(questions: np.ndarray, chunks: np.ndarray) -> np.ndarray:
    """The matrix that takes each question to its chunk, by least squares near the identity."""
    ridge = len(questions) / 50 * np.eye(questions.shape[1], dtype=np.float32)
    return np.linalg.solve(questions.T @ questions + ridge, questions.T @ chunks + ridge)


def _normalised(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
