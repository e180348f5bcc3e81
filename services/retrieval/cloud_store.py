"""A knowledge base in DeepLake Cloud's Managed Tensor Database."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from cachetools import LRUCache, cached

from services.config import Settings
from services.errors import ConfigurationError, NotAllowed, StoreUnavailable
from services.models import Chunk, SearchHit
from services.retrieval.cloud_calls import CloudProcess
from services.retrieval.cloud_failures import WORDS, CloudFailure, Failure
from services.retrieval.content import (
    EMPTY,
    Content,
    EmbeddedDocument,
    documents_of,
    metadata_of,
)
from services.retrieval.vector_store import VectorStore

log = logging.getLogger(__name__)

SEARCH_S = 20.0
READ_S = 120.0
CHANGE_S = 600.0  # uploads of a large knowledge base; a kill leaves the lock for five minutes
# Screens ask for counts with each rerun. Changes by this app are known at once all the same.
FRESH_S = 30.0


class CloudVectorStore(VectorStore):
    """One user's dataset in the cloud; which also searches there.

    `reader` and `writer` are processes of their own, so that a search does not wait for an upload.
    """

    def __init__(
        self,
        path: str,
        embedder_name: str,
        width: int,
        *,
        reader: CloudProcess,
        writer: CloudProcess,
    ) -> None:
        super().__init__((embedder_name, width))
        self.path = path
        self.reader = reader
        self.writer = writer
        self._looked_at = -FRESH_S
        self._lock = threading.RLock()

    def search(
        self, query_vector: np.ndarray, k: int, *, deep_memory: bool = False
    ) -> list[SearchHit]:
        """Return the `k` best chunks as the service ranks them, with its trained model or without.

        Raises:
            StoreUnavailable: the service does not answer, or has no model for this dataset.
        """
        if not self.count():
            return []
        try:
            found = self.reader.call(
                "search", self.path, query_vector, k, deep_memory, deadline_s=SEARCH_S
            )
        except CloudFailure as failure:
            raise store_error(failure, "The search did not run.") from failure
        rows = zip(found["id"], found["text"], found["metadata"], found["score"], strict=True)
        return [
            SearchHit(id_, about["document"], text, float(score), rank)
            for rank, (id_, text, about, score) in enumerate(rows, start=1)
        ]

    @contextmanager
    def _changing(self) -> Iterator[Content]:
        with self._lock:
            yield self._content(fresh=True)

    def _add(self, before: Content, new: Sequence[EmbeddedDocument]) -> None:
        self._change("append", Content.empty(self._embedder).with_added(new, self._embedder))

    def _replace(self, after: Content) -> None:
        self._change("replace", after)

    def _content(self, *, fresh: bool = False) -> Content:
        """The content, looked for again when the last look is old; read only when it changed."""
        with self._lock:
            if self._cached is not None and not fresh and self._age_s() < FRESH_S:
                return self._cached
            try:
                version = self.reader.call("version", self.path, deadline_s=READ_S)
                if self._cached is None or self._cached.version != version:
                    self._cached = self._read()
            except CloudFailure as failure:
                raise store_error(failure, "The knowledge base could not be read.") from failure
            self._looked_at = time.monotonic()
            return self._cached

    def _read(self) -> Content:
        stored = self.reader.call("read", self.path, deadline_s=READ_S)
        if stored["version"] == EMPTY:
            return Content.empty(self._embedder)
        rows = zip(stored["ids"], stored["texts"], stored["metadata"], strict=True)
        return Content(
            documents=documents_of(stored["metadata"]),
            chunks=tuple(
                Chunk(id_, about["document_id"], about["document"], about["position"], text)
                for id_, text, about in rows
            ),
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
            # Both ways may be repeated: one skips rows that are there, the other replaces all.
            self.writer.call(how, self.path, rows, content.embedder, deadline_s=CHANGE_S)
        except CloudFailure as failure:
            raise store_error(failure, "The change was made whole or not at all.") from failure
        finally:
            self._looked_at = -FRESH_S
        log.info("cloud_store_changed how=%s chunks=%d", how, len(content.chunks))

    def _age_s(self) -> float:
        return time.monotonic() - self._looked_at


def open_cloud_store(
    settings: Settings, user_id: str, embedder_name: str, width: int
) -> CloudVectorStore:
    """The user's own dataset: the one in DEEPLAKE_PATH with the user's id behind its name."""
    if not re.fullmatch(r"[A-Za-z0-9_-]+", user_id):
        raise NotAllowed("This user id can not name a dataset.")
    assert settings.deeplake_path and settings.activeloop_token  # `Settings` saw to both
    token = settings.activeloop_token.get_secret_value()
    path = f"{settings.deeplake_path.rstrip('/')}-{user_id}"
    return _shared_store(path, embedder_name, width, token, settings.activeloop_endpoint)


def store_error(failure: CloudFailure, consequence: str) -> StoreUnavailable | ConfigurationError:
    """What a person is told of a failed call, and what it means for the knowledge base."""
    happened, next_step = WORDS[failure.kind]
    kind = ConfigurationError if failure.kind is Failure.TOKEN else StoreUnavailable
    return kind(f"{happened} {consequence}", next_step=next_step)


@cached(LRUCache(2), condition=threading.Condition())
def shared_process(token: str, endpoint: str | None, role: str) -> CloudProcess:
    """One process for each role ("read", "write"), shared by all users' stores."""
    return CloudProcess(token, endpoint)


@cached(LRUCache(64), condition=threading.Condition())
def _shared_store(
    path: str, embedder_name: str, width: int, token: str, endpoint: str | None
) -> CloudVectorStore:
    reader, writer = (shared_process(token, endpoint, role) for role in ("read", "write"))
    return CloudVectorStore(path, embedder_name, width, reader=reader, writer=writer)
