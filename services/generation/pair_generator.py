"""Chunks -> question-chunk pairs, by a pool of threads; finished chunks are stored in batches."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from services.accounts.database import storable
from services.generation.written_questions import QuestionWriter, WrittenQuestions
from services.models import Chunk, TokenUsage
from services.pairs.store import PREVIEW_CHARACTERS
from services.runs.lease import RunLease

log = logging.getLogger(__name__)

_BATCH_CHUNKS = 50
_BATCH_S = 1.0


@dataclass
class Finished:
    """A batch of finished chunks that are not stored yet."""

    chunks: list[dict[str, Any]] = field(default_factory=list)
    pairs: list[dict[str, Any]] = field(default_factory=list)
    begun_at: float = field(default_factory=time.monotonic)

    def add(self, chunk: Chunk, written: WrittenQuestions) -> None:
        problem = written.problem or (None if written.questions else "no questions")
        self.chunks.append({"chunk_id": chunk.id, "problem": problem})
        self.pairs.extend(
            {
                "chunk_id": chunk.id,
                "chunk_preview": storable(chunk.text[:PREVIEW_CHARACTERS]),
                "question_text": storable(question),
                "relevance_score": 1.0,
            }
            for question in written.questions
        )

    @property
    def is_due(self) -> bool:
        full = len(self.chunks) >= _BATCH_CHUNKS
        return full or (bool(self.chunks) and time.monotonic() - self.begun_at > _BATCH_S)


def generate_pairs(
    lease: RunLease,
    chunks: Sequence[Chunk],
    writer: QuestionWriter,
    *,
    questions_per_chunk: int,
    concurrency: int,
    usage: TokenUsage = TokenUsage(),
) -> TokenUsage:
    """Ask `writer` about every chunk that is not done yet, and finish the run's generation.

    `usage` is what earlier attempts spent; the sum is returned and stored with each batch.

    Raises:
        GenerationError: the writer cannot continue; what was finished is stored.
        RunLost: the run was stopped or handed on. Nothing more is asked; answers in flight are
            awaited, and stored unless the run was handed on.
    """
    done = lease.begin_generation([chunk.id for chunk in chunks])
    remaining = [chunk for chunk in chunks if chunk.id not in done]
    log.info("generation_begins run=%s chunks=%d of %d", lease.run_id, len(remaining), len(chunks))
    batch = Finished()

    def store() -> None:
        nonlocal batch
        if batch.chunks:
            full, batch = batch, Finished()
            lease.save_pairs(full.chunks, full.pairs, usage_row(usage))

    with lease.watching(writer.waiting):
        try:
            for answer in _ask_all(lease, remaining, writer, questions_per_chunk, concurrency):
                if answer is not None:
                    chunk, written = answer
                    usage += written.usage
                    batch.add(chunk, written)
                if batch.is_due or lease.lost.is_set():  # somebody may proceed with it soon
                    store()
        finally:
            store()  # whatever ended it: these are paid for
    lease.finish_generation()
    return usage


def usage_so_far(row: dict[str, Any]) -> TokenUsage:
    """The usage stored in a run's row."""
    return TokenUsage(row.get("input_tokens", 0), row.get("output_tokens", 0))


def usage_row(usage: TokenUsage) -> dict[str, int]:
    return {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}


def _ask_all(
    lease: RunLease, chunks: Sequence[Chunk], writer: QuestionWriter, count: int, concurrency: int
) -> Iterator[tuple[Chunk, WrittenQuestions] | None]:
    """Yield each chunk with its questions as they arrive, and None at times while none does."""
    waiting: queue.SimpleQueue[Chunk] = queue.SimpleQueue()
    for chunk in chunks:
        waiting.put(chunk)
    # Bounded: while the database is unavailable, threads stop asking (and paying) at this many.
    finished: queue.Queue[tuple[Chunk, WrittenQuestions] | Exception] = queue.Queue(
        _BATCH_CHUNKS + concurrency
    )
    closing = threading.Event()
    abandoned = threading.Event()

    def hand_over(answer: tuple[Chunk, WrittenQuestions] | Exception) -> None:
        while not abandoned.is_set():
            with contextlib.suppress(queue.Full):
                return finished.put(answer, timeout=0.5)

    def ask() -> None:
        while not (closing.is_set() or lease.lost.is_set()):
            if not lease.is_confirmed:
                closing.wait(0.1)
                continue
            try:
                chunk = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                answer = (chunk, writer.write(chunk, count))
            except Exception as error:  # noqa: BLE001 - passed on to the worker's thread
                hand_over(error)
                return
            hand_over(answer)

    # Not an executor: it would join its threads at exit, however long their calls take.
    threads = [
        threading.Thread(target=ask, name=f"ask-{lease.run_id}-{number}", daemon=True)
        for number in range(min(concurrency, len(chunks)))
    ]
    for thread in threads:
        thread.start()
    failure: Exception | None = None
    try:
        while any(thread.is_alive() for thread in threads) or not finished.empty():
            answer = _take(finished)
            if isinstance(answer, Exception):
                failure = failure or answer
            else:
                yield answer
            if failure or lease.lost.is_set():
                # No new calls; calls in flight are paid for, so they are still awaited.
                closing.set()
                writer.stop()
    finally:
        closing.set()
        abandoned.set()
        writer.stop()
    lease.check()
    if failure is not None:
        raise failure


def _take(finished: queue.Queue[Any]) -> Any:
    try:
        return finished.get(timeout=0.25)
    except queue.Empty:
        return None
