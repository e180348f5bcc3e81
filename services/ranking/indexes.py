"""What search needs for each person's knowledge base, built once for each version of it."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import Future
from dataclasses import dataclass, field

from cachetools import LRUCache

from services.ranking.index import RankingIndex
from services.retrieval.content import Snapshot
from services.retrieval.embeddings import WordLlamaEmbedder
from services.retrieval.nearest import VectorIndex

_CHUNKS_KEPT = 1_500_000
_TIMEOUT_S = 3.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class _Version:
    """What search needs for one version of a store."""

    snapshot: Snapshot
    plain: VectorIndex
    ranking: Future[RankingIndex]
    is_wanted: threading.Event = field(default_factory=threading.Event)  # whatever comes after it


class Superseded(Exception):
    """The store changed while its index waited for its turn to be built."""


class SearchIndexes:
    """Everybody's indexes; only the newest of each person is kept.

    Older versions hold texts of documents that were removed since, and a store that changes every
    minute would fill the memory with them.

    An index for the ranker takes a second at 10,000 chunks and minutes at 1,000,000, because its
    words are counted in Python. So it is built in a thread, and `soon` does not wait for it.
    """

    def __init__(self) -> None:
        # Keyed by owner, and limited in chunks, because an index takes some 6 kB for each.
        self._kept: LRUCache[str, _Version] = LRUCache(
            _CHUNKS_KEPT, lambda version: min(1 + len(version.snapshot.chunks), _CHUNKS_KEPT)
        )
        self._lock = threading.Lock()
        self._turn = threading.Lock()  # one index is built at a time: each takes a core

    def plain(self, owner: str, snapshot: Snapshot) -> VectorIndex:
        """The index for plain cosine search in this person's store; available immediately."""
        return self._version(owner, snapshot).plain

    def of(self, owner: str, snapshot: Snapshot) -> RankingIndex:
        """The index for rankers; waits until it is built, even if the store has changed since."""
        return self._building(owner, snapshot, is_wanted=True).result()

    def soon(self, owner: str, snapshot: Snapshot) -> RankingIndex | None:
        """The index for rankers; None if it is not built within three seconds, or failed."""
        try:
            return self._building(owner, snapshot).result(timeout=_TIMEOUT_S)
        except (TimeoutError, Superseded, MemoryError):
            return None

    def _version(self, owner: str, snapshot: Snapshot) -> _Version:
        with self._lock:
            version = self._kept.get(owner)
            if version is None or version.snapshot.version != snapshot.version:
                version = _Version(snapshot, VectorIndex(snapshot.embeddings), Future())
                self._kept[owner] = version
            return version

    def _building(
        self, owner: str, snapshot: Snapshot, *, is_wanted: bool = False
    ) -> Future[RankingIndex]:
        version = self._version(owner, snapshot)
        with self._lock:
            if is_wanted:
                version.is_wanted.set()
            if not version.ranking.running() and not version.ranking.done():
                version.ranking.set_running_or_notify_cancel()
                # Daemon: an app that shuts down need not wait for an index.
                threading.Thread(
                    target=self._build, args=(owner, version), name="index", daemon=True
                ).start()
        return version.ranking

    def _build(self, owner: str, version: _Version) -> None:
        with self._turn:
            self._build_now(owner, version)

    def _build_now(self, owner: str, version: _Version) -> None:
        chunks = version.snapshot.chunks
        try:
            with self._lock:
                if self._kept.get(owner) is not version and not version.is_wanted.is_set():
                    raise Superseded
            index = RankingIndex(
                version.plain,
                [chunk.in_context for chunk in chunks],
                [chunk.document_id for chunk in chunks],
                WordLlamaEmbedder().embed,
            )
        except Superseded as error:
            version.ranking.set_exception(error)
        except Exception as error:
            log.exception("search_index_failed version=%s", version.snapshot.version)
            with self._lock:
                if self._kept.get(owner) is version:
                    del self._kept[owner]  # the next search tries again
            version.ranking.set_exception(error)
        else:
            version.ranking.set_result(index)
