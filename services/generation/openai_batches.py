"""OpenAI's Batch API: requests are uploaded in one file, and answers downloaded in another.

Limits (guide "Batch"): 50,000 requests and 200 MB per file; files are kept for 30 days.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

from openai import ConflictError, NotFoundError, OpenAI, OpenAIError
from openai.types import Batch

from services.config import Settings
from services.errors import GenerationError
from services.generation.batch_answers import BatchAnswer, read_answer, read_lines
from services.generation.openai_writer import request_in_batch
from services.models import Chunk, RememberedBatch
from services.openai_api.client import Headers, RetryingClient, RetryPolicy, make_openai_client
from services.openai_api.errors import (
    QUOTA_CODES,
    UnusableAnswer,
    explain,
    server_name,
)
from services.runs.lease import RunLost

log = logging.getLogger(__name__)

ENDPOINT: Final = "/v1/chat/completions"
# A batch runs for hours: an outage of an hour is no reason to give up on it.
_RETRY_POLICY = RetryPolicy(longest_s=3_600, attempts=1_000)
_UPLOAD_TIMEOUT_S = 300.0
_CLOCKS_DIFFER_BY = timedelta(hours=1)
_KEPT = "The questions that came back so far are kept."
QUEUE_IS_FULL = "token_limit_exceeded"
# A key in the metadata of a batch at OpenAI. Do not rename it: waiting batches are found by it.
_NAMED = "part"
_Answer = TypeVar("_Answer")


class AnswersGone(Exception):
    """A file of answers no longer exists."""


@dataclass(frozen=True, slots=True)
class BatchState:
    """Where a batch stands at OpenAI."""

    id: str
    status: str  # validating, in_progress, finalizing, completed, failed, expired, cancel...
    answered: int
    errors: tuple[str, ...]  # codes, if the batch was refused as a whole
    files: tuple[str, ...]  # with answers and with failures

    @property
    def has_ended(self) -> bool:
        return self.status in ("completed", "failed", "expired", "cancelled")


class OpenAIBatches:
    """Calls to the Batch API. All raise GenerationError, or RunLost once `stop` is set."""

    def __init__(
        self,
        client: OpenAI,
        model: str,
        stop: threading.Event,
        retry_policy: RetryPolicy = _RETRY_POLICY,
    ) -> None:
        self.model = model
        self.server = server_name(client)
        # A limiter of their own: the headers of these calls say nothing about the model's limits.
        self._calls = RetryingClient(client, f"batches of {model}", retry_policy, stop)
        self.waits = self._calls.waits

    def upload(self, chunks: Sequence[Chunk], count: int) -> str:
        """Upload the requests, which costs nothing yet; returns the file's id."""
        lines = "\n".join(json.dumps(_line(chunk, count, self.model)) for chunk in chunks)
        file = ("questions.jsonl", lines.encode())

        def request(client: OpenAI) -> tuple[str, Headers]:
            files = client.files.with_raw_response
            answer = files.create(file=file, purpose="batch", timeout=_UPLOAD_TIMEOUT_S)
            return _id_of(answer.parse()), answer.headers

        return self._call(request, self._no_batch_api, [chunk.text for chunk in chunks])

    def create(
        self,
        file_id: str,
        run_id: str,
        batch_id: str,
        intended_at: datetime,
        confirm: Callable[[], None],
    ) -> str:
        """Submit a file, and return the batch's id at OpenAI. `confirm` raises to prevent it.

        A submission whose answer was lost may have succeeded, so a retry looks for it first.
        """
        may_be_there = False

        def request(client: OpenAI) -> tuple[str, Headers]:
            nonlocal may_be_there
            if may_be_there and (found := _find(client, batch_id, intended_at)):
                return found, {}
            confirm()
            may_be_there = True
            answer = client.batches.with_raw_response.create(
                input_file_id=file_id,
                endpoint=ENDPOINT,
                completion_window="24h",
                metadata={"run_id": run_id, _NAMED: batch_id},
            )
            return _id_of(answer.parse()), answer.headers

        return self._call(request, self._no_batch_api)

    def find(self, batch_id: str, intended_at: datetime) -> str | None:
        """The id at OpenAI of the batch submitted as `batch_id`; None if it never was."""
        return self._call(
            lambda client: (_find(client, batch_id, intended_at), {}), self._no_batch_api
        )

    def state(self, batch_id: str) -> BatchState:
        def request(client: OpenAI) -> tuple[BatchState, Headers]:
            answer = client.batches.with_raw_response.retrieve(batch_id)
            return _state(answer.parse()), answer.headers

        def unknown() -> GenerationError:
            return GenerationError(
                f"{self.server} knows no batch {batch_id}.",
                next_step="Set the OPENAI_API_KEY of the project that it was submitted with, then "
                f"proceed. If it was deleted there, remove this run and start a new one. {_KEPT}",
            )

        return self._call(request, unknown)

    def answers(self, state: BatchState, count: int) -> Iterator[BatchAnswer]:
        """The answers of a batch, in any order.

        Raises:
            AnswersGone: a file was deleted, or its 30 days are over.
        """
        for file_id in state.files:

            def request(client: OpenAI, file_id: str = file_id) -> tuple[list[Any], Headers]:
                answer = client.files.with_raw_response.content(file_id)
                return read_lines(answer.http_response.text), answer.headers

            try:
                lines = self._call(request, AnswersGone)
            except AnswersGone as gone:
                raise AnswersGone(file_id) from gone
            for line in lines:
                yield read_answer(line, count)

    def cancel(self, batch_id: str) -> None:
        """Cancel a batch that could not be recorded. Does not retry."""
        _cancel(self._calls.client, batch_id)

    def refusal(self, codes: Sequence[str]) -> GenerationError:
        """The error that says why OpenAI refused a batch or one of its requests."""
        if QUOTA_CODES & set(codes):
            return GenerationError(
                f"The quota of this account at {self.server} is used up.",
                next_step=f"Add credit or raise the limit of the account, then proceed. {_KEPT}",
            )
        if QUEUE_IS_FULL in codes:
            return GenerationError(
                f"The queue for batches of {self.model} at {self.server} is full.",
                next_step=f"Proceed when other batches of this account are done. {_KEPT}",
            )
        return GenerationError(
            f"{self.server} refused the batch ({', '.join(codes) or 'without a reason'}).",
            next_step=f"Check that the model {self.model} can be used in batches, then proceed. "
            f"{_KEPT}",
        )

    def _no_batch_api(self) -> GenerationError:
        return GenerationError(
            f"{self.server} has no Batch API, which the batch mode needs.",
            next_step="Remove this run, and start one without the batch mode.",
        )

    def _call(
        self,
        request: Callable[[OpenAI], tuple[_Answer, Headers]],
        missing: Callable[[], Exception],
        sent: Sequence[str] = (),
    ) -> _Answer:
        try:
            return self._calls.call(request, tokens=0)
        except OpenAIError as error:
            if self._calls.stop.is_set():
                raise RunLost from error
            if isinstance(error, NotFoundError):
                raise missing() from error
            told = explain(error, client=self._calls.client, model=self.model, sent=sent)
            raise GenerationError(told[0], next_step=f"{told[1]} {_KEPT}") from error


def cancel_at_openai(settings: Settings, batches: Sequence[RememberedBatch]) -> None:
    """See `batch_mode.cancel_batches`."""
    client = make_openai_client(settings).with_options(timeout=5.0, max_retries=1)

    def cancel(batch: RememberedBatch) -> None:
        if batch_id := batch.openai_id or _find(client, batch.batch_id, batch.intended_at):
            _cancel(client, batch_id)

    try:
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(cancel, batches))
    except OpenAIError as error:
        raise GenerationError(
            f"A batch at {server_name(client)} could not be cancelled, and may go on.",
            next_step="Cancel it on platform.openai.com under Batches, or proceed to collect it.",
        ) from error


def _line(chunk: Chunk, count: int, model: str) -> dict[str, Any]:
    body = request_in_batch(chunk, count, model)
    return {"custom_id": chunk.id, "method": "POST", "url": ENDPOINT, "body": body}


def _find(client: OpenAI, batch_id: str, intended_at: datetime) -> str | None:
    earliest = (intended_at - _CLOCKS_DIFFER_BY).timestamp()
    for batch in client.batches.list(limit=100):  # newest first; the library fetches further pages
        if (batch.metadata or {}).get(_NAMED) == batch_id:
            return batch.id
        if batch.created_at < earliest:
            break
    return None


def _cancel(client: OpenAI, batch_id: str) -> None:
    try:
        client.batches.cancel(batch_id)
        log.info("batch_cancelled batch=%s", batch_id)
    except (ConflictError, NotFoundError):
        log.info("batch_had_ended batch=%s", batch_id)


def _id_of(answer: object) -> str:
    # The library builds its objects without validation, and returns text if it is not JSON.
    found = getattr(answer, "id", None)
    if not isinstance(found, str):
        raise UnusableAnswer("no id")
    return found


def _state(batch: Batch) -> BatchState:
    if not isinstance(getattr(batch, "status", None), str):
        raise UnusableAnswer("no batch")
    counts = batch.request_counts
    return BatchState(
        _id_of(batch),
        batch.status,
        counts.completed + counts.failed if counts else 0,
        tuple(error.code or "" for error in (batch.errors and batch.errors.data) or ()),
        tuple(file for file in (batch.output_file_id, batch.error_file_id) if file),
    )
