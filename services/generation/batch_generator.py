"""Chunks -> question-chunk pairs over the Batch API: submitted, recorded, collected.

A batch is recorded before it is submitted, and a chunk waits in at most one batch. So whatever
happens in between, the next attempt finds each chunk either stored, waiting, or still to be asked.
"""

from __future__ import annotations

import logging
import uuid
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from services.config import Settings
from services.errors import GenerationError
from services.generation.batch_ledger import BatchLedger
from services.generation.batch_mode import BatchMode
from services.generation.openai_batches import (
    QUEUE_IS_FULL,
    AnswersGone,
    BatchState,
    OpenAIBatches,
)
from services.generation.pair_generator import Finished, usage_row
from services.generation.pricing import CHARACTERS_PER_TOKEN, INSTRUCTION_TOKENS
from services.generation.spending import BatchBudget
from services.generation.written_questions import NO_TOKENS
from services.models import Chunk, TokenUsage, Waiting
from services.openai_api.client import make_openai_client
from services.runs.lease import RunLease, RunLost

log = logging.getLogger(__name__)

# The lowest tier may queue 2,000,000 input tokens for the small models. As each request carries the
# instructions, a batch has fewer than 5,000 requests, and stays far below 200 MB.
BATCH_TOKENS = 1_800_000
_SAVED_AT_ONCE = 200


@dataclass
class _Batch:
    id: str
    waiting: set[str]  # the ids of its chunks
    openai_id: str
    status: str = "validating"
    answered: int = 0
    # Cancelled before this attempt began, by the stop that preceded it.
    was_stopped: bool = False
    has_answers: bool = False
    usage: TokenUsage = field(default=NO_TOKENS)
    unmetered: list[Chunk] = field(default_factory=list)  # answered without stating the cost


def generate_in_batches(
    lease: RunLease,
    chunks: Sequence[Chunk],
    settings: Settings,
    *,
    questions_per_chunk: int,
    mode: BatchMode,
    usage: TokenUsage = NO_TOKENS,
    batch_tokens: int = BATCH_TOKENS,
) -> TokenUsage:
    """Ask about every chunk that is not done yet, wait, and finish the run's generation.

    `usage` is what earlier attempts spent; the sum is returned and stored with each write.

    Raises:
        GenerationError: it cannot continue; what came back is stored, and the next attempt
            collects what was submitted.
        RunLost: the run was stopped or handed on; nothing more is submitted.
        ConfigurationError: there is a cap on spending, and the price of the question model is
            not known.
    """
    batches = OpenAIBatches(make_openai_client(settings), settings.question_model, lease.lost)
    budget = BatchBudget(
        cap_usd=settings.run_cost_cap_usd,
        model=settings.question_model,
        own_prices=settings.model_prices,
    )
    work = _Attempt(lease, chunks, batches, questions_per_chunk, budget, usage, batch_tokens)
    with lease.watching(work.waiting):
        work.recall()
        pause_s = mode.first_pause_s
        while work.submit_next() or work.under_way:
            pause_s = mode.first_pause_s if work.poll() else min(2 * pause_s, mode.longest_pause_s)
            if work.under_way and lease.lost.wait(pause_s):
                raise RunLost
    lease.finish_generation()
    return work.usage


class _Attempt:
    """One attempt: the chunks still to ask about, and the batches that wait for answers."""

    def __init__(
        self,
        lease: RunLease,
        chunks: Sequence[Chunk],
        api: OpenAIBatches,
        count: int,
        budget: BatchBudget,
        usage: TokenUsage,
        batch_tokens: int,
    ) -> None:
        self.under_way: dict[str, _Batch] = {}
        self.usage = usage
        self._lease = lease
        self._ledger = BatchLedger(lease)
        self._chunks = {chunk.id: chunk for chunk in chunks}
        self._to_ask: deque[Chunk] = deque()
        self._api = api
        self._count = count
        self._budget = budget
        self._batch_tokens = batch_tokens
        self._queue_is_full = False
        self._is_at_cap = False

    def waiting(self) -> Waiting | None:
        at_openai = Waiting(f"{self._api.server}'s batches") if self.under_way else None
        return self._api.waits.now or at_openai

    def recall(self) -> None:
        """Adopt the batches that earlier attempts submitted, and collect what is left to ask."""
        done = self._lease.begin_generation(list(self._chunks))
        for row in self._ledger.waiting():
            batch_id, intended_at = row["id"], datetime.fromisoformat(row["created_at"])
            openai_id = row["openai_id"] or self._api.find(batch_id, intended_at)
            if openai_id is None:
                self._ledger.forget(batch_id, "never submitted")
                continue
            if not row["openai_id"]:
                self._ledger.record(batch_id, openai_id)
            batch = _Batch(batch_id, set(row["chunk_ids"]), openai_id, "adopted", row["answered"])
            batch.was_stopped = "cancel" in self._api.state(openai_id).status
            self.under_way[batch_id] = batch
        waiting = set().union(*(batch.waiting for batch in self.under_way.values()))
        self._to_ask.extend(
            chunk for id_, chunk in self._chunks.items() if id_ not in done and id_ not in waiting
        )
        log.info(
            "batch_generation_begins run=%s to_ask=%d waiting=%d",
            self._lease.run_id,
            len(self._to_ask),
            len(waiting),
        )

    def submit_next(self) -> bool:
        """Submit one batch if there is one to submit now; returns whether it did."""
        # One at a time: only validation shows whether the account's queue accepted it.
        validating = any(batch.status == "validating" for batch in self.under_way.values())
        must_wait = validating or self._is_at_cap or self._queue_is_full
        if not self._to_ask or (self.under_way and must_wait):
            return False
        wanted = self._next_batch()
        chunks = [] if self._is_at_cap else self._budget.fitting(wanted, self._count)
        # The batch that the cap truncates is the last: a little more might fit if the others turn
        # out cheaper than estimated, but that would not be worth another day.
        self._is_at_cap |= len(chunks) < len(wanted)
        if not chunks:
            if self.under_way:
                return False
            raise self._budget.exhausted()
        self._lease.check()
        self._submit(chunks)
        for _ in chunks:
            self._to_ask.popleft()
        return True

    def poll(self) -> bool:
        """Query each batch, and collect those that ended; returns whether any made progress."""
        moved = False
        for batch in list(self.under_way.values()):
            self._lease.check()
            state = self._api.state(batch.openai_id)
            if state.has_ended:
                self._end(batch, state)
                moved = True
                continue
            if state.answered != batch.answered:
                self._ledger.note(batch.id, state.answered)
            moved |= (state.status, state.answered) != (batch.status, batch.answered)
            batch.status, batch.answered = state.status, state.answered
        return moved

    def _next_batch(self) -> list[Chunk]:
        chunks: list[Chunk] = []
        tokens = 0
        for chunk in self._to_ask:
            tokens += len(chunk.in_context) // CHARACTERS_PER_TOKEN + INSTRUCTION_TOKENS
            if chunks and tokens > self._batch_tokens:
                break
            chunks.append(chunk)
        return chunks

    def _submit(self, chunks: Sequence[Chunk]) -> None:
        batch_id = str(uuid.uuid4())
        file_id = self._api.upload(chunks, self._count)
        # After the upload, which may take long: this confirms the lease at the last moment.
        self._ledger.intend(batch_id, [chunk.id for chunk in chunks])
        openai_id = self._api.create(
            file_id,
            self._lease.run_id,
            batch_id,
            datetime.now(UTC),
            confirm=lambda: self._lease.retrying(self._lease.poll),
        )
        self._budget.commit(batch_id, chunks, self._count)
        try:
            self._ledger.record(batch_id, openai_id)
        except RunLost:
            self._api.cancel(openai_id)  # whoever stopped the run could not know of it
            raise
        self.under_way[batch_id] = _Batch(batch_id, {chunk.id for chunk in chunks}, openai_id)
        log.info("batch_submitted run=%s batch=%s", self._lease.run_id, openai_id)

    def _end(self, batch: _Batch, state: BatchState) -> None:
        """Store the answers, release the other chunks, and raise if continuing makes no sense."""
        try:
            failures = self._collect(batch, state)
        except AnswersGone:
            self._forget(batch, "its answers are gone")
            raise GenerationError(
                f"The answers of {state.id} are no longer at {self._api.server}, "
                "which keeps them for 30 days.",
                next_step="Proceed asks about their chunks again.",
            ) from None
        self._forget(batch, state.status)
        if state.status == "failed":
            self._refused(state, len(batch.waiting))
        elif final := [code for (code, is_final) in failures if is_final]:
            raise self._api.refusal(sorted(set(final)))
        elif batch.was_stopped or not batch.waiting:
            return
        elif state.status == "cancelled":
            raise GenerationError(
                f"{state.id} was cancelled at {self._api.server}. What it answered is kept.",
                next_step="Proceed submits the rest again.",
            )
        elif not batch.has_answers:
            reasons = ", ".join(sorted({code for code, _ in failures})) or "no reason given"
            raise GenerationError(
                f"{state.id} came back without a single answer ({reasons}).",
                next_step="Proceed submits its chunks again.",
            )

    def _refused(self, state: BatchState, chunk_count: int) -> None:
        """Back off if the account's queue is full; any other refusal ends the attempt."""
        if QUEUE_IS_FULL not in state.errors:
            raise self._api.refusal(state.errors)
        self._queue_is_full = True
        if not self.under_way:
            if chunk_count == 1:
                raise self._api.refusal(state.errors)
            self._batch_tokens = max(1, self._batch_tokens // 2)

    def _collect(self, batch: _Batch, state: BatchState) -> Counter[tuple[str, bool]]:
        """Store the answers of a batch; returns the failed chunks' counts by (code, is_final)."""
        failures: Counter[tuple[str, bool]] = Counter()
        finished, ids = Finished(), list[str]()

        def save() -> None:
            nonlocal finished, ids
            self._ledger.save_pairs(ids, finished.chunks, finished.pairs, usage_row(self.usage))
            finished, ids = Finished(), []

        for answer in self._api.answers(state, self._count):
            batch.has_answers |= answer.written is not None
            if answer.chunk_id not in batch.waiting:
                continue  # stored before a restart
            if answer.written is None:
                failures[answer.failure, answer.is_final] += 1
                continue
            ids.append(answer.chunk_id)
            batch.waiting.discard(answer.chunk_id)
            self.usage += answer.written.usage
            batch.usage += answer.written.usage
            if chunk := self._chunks.get(answer.chunk_id):  # else its document is gone
                finished.add(chunk, answer.written)
                batch.unmetered.extend([chunk] * answer.written.unmetered)
            if len(ids) == _SAVED_AT_ONCE:
                save()
        if ids:
            save()
        self._budget.settle(batch.id, batch.usage, batch.unmetered, self._count)
        return failures

    def _forget(self, batch: _Batch, how: str) -> None:
        self._ledger.forget(batch.id, how)
        del self.under_way[batch.id]
        self._queue_is_full = False
        self._to_ask.extendleft(self._known(batch.waiting))

    def _known(self, chunk_ids: Iterable[str]) -> list[Chunk]:
        return [self._chunks[id_] for id_ in sorted(chunk_ids) if id_ in self._chunks]
