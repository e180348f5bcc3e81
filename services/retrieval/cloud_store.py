"""A knowledge base in DeepLake Cloud's Managed Tensor Database."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from cachetools import LRUCache, cached

from services.config import Settings
from services.errors import ConfigurationError, NotAllowed, StoreUnavailable
from services.models import SearchHit
from services.retrieval.cloud_calls import CloudProcesses
from services.retrieval.cloud_failures import WORDS, CloudFailure, Failure
from services.retrieval.content import (
    ABSENT,
    EMPTY,
    Content,
    EmbeddedDocument,
    chunk_of,
    documents_of,
    metadata_of,
)
from services.retrieval.deadline import Deadline
from services.retrieval.vector_store import VectorStore

log = logging.getLogger(__name__)

# The most time that each operation may take, including retries and waits for others.
SEARCH_S = 20.0
CHECK_S = 20.0
READ_S = 120.0
CHANGE_S = 600.0  # for uploads of a large knowledge base; a kill leaves the lock for five minutes
# How long a check is good, because screens ask at each rerun. This app's own changes show at once.
FRESH_S = 30.0
READERS = 4  # for all users; 100 MB each


class CloudVectorStore(VectorStore):
    """One user's dataset in the cloud, where it is also searched.

    `reader` and `writer` have separate processes, so that a search does not wait for an upload.
    """

    def __init__(
        self,
        path: str,
        embedder_name: str,
        width: int,
        *,
        reader: CloudProcesses,
        writer: CloudProcesses,
        witness: Path | None = None,
    ) -> None:
        super().__init__((embedder_name, width), witness)
        self.path = path
        self.reader = reader
        self.writer = writer
        self._seen: str | None = None  # the version at the last check
        self._checked_at = 0.0
        # Lock order: a thread that holds one of them may only wait for those after it.
        self._changes, self._reading, self._checking = (threading.Lock() for _ in range(3))

    def search(
        self,
        query_vector: np.ndarray,
        k: int,
        *,
        deep_memory: bool = False,
        deadline: Deadline | None = None,
    ) -> list[SearchHit]:
        """Return the `k` best chunks as the service ranks them, with its trained model or without.

        Everything ends at `deadline`, by default SEARCH_S from now.

        Raises:
            StoreUnavailable: the service does not answer, or has no model for this dataset.
        """
        deadline = deadline or Deadline(SEARCH_S)
        with _explained("The search did not run."):
            version = self._version(deadline)
        if version == ABSENT:
            self._present()  # raises StoreDamaged if the store is lost
        if version in (ABSENT, EMPTY):
            return []
        with _explained("The search did not run."):
            found = self.reader.call(
                "search", self.path, query_vector, k, deep_memory, deadline=deadline
            )
        rows = zip(found["id"], found["text"], found["metadata"], found["score"], strict=True)
        return [
            SearchHit.of(chunk_of(id_, text, about), float(score), rank)
            for rank, (id_, text, about, score) in enumerate(rows, start=1)
        ]

    @contextmanager
    def _changing(self) -> Iterator[None]:
        with self._changes:
            with self._checking:
                self._seen = None
            yield

    def _add(self, before: Content, new: Sequence[EmbeddedDocument]) -> None:
        self._change("append", Content.empty(self._embedder).with_added(new, self._embedder))

    def _replace(self, after: Content) -> None:
        self._change("replace", after)

    def _content(self) -> Content:
        """The content, checked again if the last check is old, and read only if it has changed."""
        deadline = Deadline(READ_S)
        with _explained("The knowledge base could not be read."), deadline.turn(self._reading):
            version = self._version(Deadline(CHECK_S))
            if self._cached is None or self._cached.version != version:
                self._cached = self._read(deadline)
            return self._cached

    def _version(self, deadline: Deadline) -> str:
        """The last commit, asked for again if the last check is old, once for all threads."""
        with deadline.turn(self._checking):
            if self._seen is None or time.monotonic() - self._checked_at >= FRESH_S:
                self._seen = str(self.reader.call("version", self.path, deadline=deadline))
                self._checked_at = time.monotonic()
            return self._seen

    def _read(self, deadline: Deadline) -> Content:
        stored = self.reader.call("read", self.path, deadline=deadline)
        if stored["version"] in (ABSENT, EMPTY):
            return Content.empty(self._embedder, stored["version"])
        rows = zip(stored["ids"], stored["texts"], stored["metadata"], strict=True)
        return Content(
            documents=documents_of(stored["metadata"]),
            chunks=tuple(chunk_of(id_, text, about) for id_, text, about in rows),
            embeddings=stored["embeddings"],
            embedder=stored["embedder"],
            version=stored["version"],
        )

    def _change(self, how: str, content: Content) -> None:
        documents = {document.id: document for document in content.documents}
        rows = {
            "text": [chunk.text for chunk in content.chunks],
            "metadata": [metadata_of(c, documents[c.document_id]) for c in content.chunks],
            "embedding": content.embeddings,
            "id": [chunk.id for chunk in content.chunks],
        }
        try:
            with _explained("The change was made completely or not at all."):
                # Both are safe to repeat: append skips existing rows, replace replaces all.
                self.writer.call(
                    how, self.path, rows, content.embedder, deadline=Deadline(CHANGE_S)
                )
        finally:
            with self._checking:  # after any check in progress, which may not see the change
                self._seen = None
        log.info("cloud_store_changed how=%s chunks=%d", how, len(content.chunks))


def open_cloud_store(
    settings: Settings, user_id: str, embedder_name: str, width: int, witness: Path
) -> CloudVectorStore:
    """The user's own dataset: the name in DEEPLAKE_PATH, followed by the user's id."""
    if not re.fullmatch(r"[A-Za-z0-9_-]+", user_id):
        raise NotAllowed("This user id cannot name a dataset.")
    assert settings.deeplake_path and settings.activeloop_token  # `Settings` requires both
    token = settings.activeloop_token.get_secret_value()
    path = f"{settings.deeplake_path.rstrip('/')}-{user_id}"
    return _shared_store(path, embedder_name, width, witness, token, settings.activeloop_endpoint)


@contextmanager
def _explained(consequence: str) -> Iterator[None]:
    """Turn a CloudFailure into an error for people, with its consequence for the knowledge base."""
    try:
        yield
    except CloudFailure as failure:
        raise store_error(failure, consequence) from failure


def store_error(failure: CloudFailure, consequence: str) -> StoreUnavailable | ConfigurationError:
    """The error for people about a failed call, with its consequence for the knowledge base."""
    happened, next_step = WORDS[failure.kind]
    kind = ConfigurationError if failure.kind is Failure.TOKEN else StoreUnavailable
    return kind(f"{happened} {consequence}", next_step=next_step)


@cached(LRUCache(2), condition=threading.Condition())
def _shared_processes(token: str, endpoint: str | None, role: str) -> CloudProcesses:
    """The processes of a role ("read" or "write"), shared by all users' stores."""
    return CloudProcesses(token, endpoint, size=READERS if role == "read" else 1)


@cached(LRUCache(64), condition=threading.Condition())
def _shared_store(
    path: str, embedder_name: str, width: int, witness: Path, token: str, endpoint: str | None
) -> CloudVectorStore:
    reader, writer = (_shared_processes(token, endpoint, role) for role in ("read", "write"))
    return CloudVectorStore(
        path, embedder_name, width, reader=reader, writer=writer, witness=witness
    )
