"""The files and batches of the OpenAI stand-in: strict, and moved on by looking at them.

Each look at a batch (a retrieve) moves it one step: validating, in_progress, finalizing, and its
end. So a test needs no clock, and a program that never looks gets nothing.
"""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email import message_from_string
from typing import Any

from tests.fakes.wire import Reply, Request

MOST_REQUESTS = 50_000
MOST_BYTES = 200 * 1024 * 1024
_ENDPOINTS = {"/v1/chat/completions", "/v1/embeddings", "/v1/completions", "/v1/responses"}
_PURPOSES = {"assistants", "batch", "fine-tune", "vision", "user_data", "evals"}
_BATCH_FIELDS = {
    "input_file_id",
    "endpoint",
    "completion_window",
    "metadata",
    "output_expires_after",
}
_ENDED = {"completed", "failed", "expired", "cancelled"}
_EXPIRED = "This request could not be executed before the completion window expired."
_CANCELLED = "This request could not be executed because the batch was cancelled."


class BadRequest(Exception):
    """What the real API answers with an error object."""

    def __init__(self, status: int, message: str, param: str = "") -> None:
        super().__init__(message)
        self.status, self.param = status, param


@dataclass
class _Batch:
    id: str
    body: dict[str, Any]  # as it was asked for
    lines: list[dict[str, Any]]
    created_at: int = field(default_factory=lambda: int(time.time()))
    status: str = "validating"
    answered: int = 0  # lines
    outputs: list[dict[str, Any]] = field(default_factory=list)
    failures: list[dict[str, Any]] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)
    output_file_id: str | None = None
    error_file_id: str | None = None


class BatchQueue:
    """`answer` answers the body of one request, as if it had come alone.

    `token_limit` is what may wait at once. A look answers `answers_a_look` requests, all when it
    is None, and 0 holds the queue. `expires_after` ends the next batch once it has so many
    answers. `cancels_in` looks pass between "cancelling" and "cancelled".
    """

    def __init__(
        self, answer: Callable[[dict[str, Any]], Reply | None], tokens_of: Callable[[str], int]
    ) -> None:
        self.token_limit: int | None = None
        self.answers_a_look: int | None = None
        self.expires_after: int | None = None
        self.cancels_in = 1
        self.files: dict[str, str] = {}
        self.batches: dict[str, _Batch] = {}
        self._answer = answer
        self._tokens_of = tokens_of
        self._purposes: dict[str, str] = {}
        self._cancelling: dict[str, int] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.RLock()

    def reply_to(self, request: Request) -> Reply | None:
        """The reply, or None when the route is none of these."""
        match (request.method, request.path.removeprefix("/v1/").split("/")):
            case "POST", ["files"]:
                route = self._upload
            case "GET", ["files", _, "content"]:
                route = self._content
            case "POST", ["batches"]:
                route = self._create
            case "GET", ["batches"]:
                route = self._list
            case "GET", ["batches", _]:
                route = self._retrieve
            case "POST", ["batches", _, "cancel"]:
                route = self._cancel
            case _:
                return None
        with self._lock:
            try:
                return route(request)
            except BadRequest as bad:
                body = {"message": str(bad), "type": "invalid_request_error"}
                return Reply(bad.status, {"error": {**body, "param": bad.param, "code": None}})

    def end(self, batch_id: str, status: str) -> None:
        """End a batch at once, as time (expired) or somebody else (cancelled) would."""
        with self._lock:
            self._finish(self.batches[batch_id], status)

    # Files

    def _upload(self, request: Request) -> Reply:
        kind = request.headers.get("content-type", "")
        if not kind.startswith("multipart/form-data"):
            raise BadRequest(400, "Content-Type must be multipart/form-data")
        form = message_from_string(f"Content-Type: {kind}\n\n{request.text}")
        parts = {part.get_param("name", header="content-disposition"): part for part in form.walk()}
        if "purpose" not in parts or "file" not in parts:
            raise BadRequest(400, "'purpose' and 'file' are required properties", "file")
        purpose, file = parts["purpose"].get_payload().strip(), parts["file"]
        text = file.get_payload()
        if purpose not in _PURPOSES:
            raise BadRequest(400, f"'{purpose}' is not one of {sorted(_PURPOSES)}", "purpose")
        if purpose == "batch" and not str(file.get_filename()).endswith(".jsonl"):
            raise BadRequest(400, "Invalid extension. Supported formats: jsonl", "file")
        if not 0 < len(text.encode()) <= MOST_BYTES:
            raise BadRequest(400, "The file is empty or larger than 200 MB", "file")
        file_id = self._keep(text, purpose)
        about = {"id": file_id, "object": "file", "bytes": len(text.encode()), "purpose": purpose}
        dated = {"created_at": int(time.time()), "filename": file.get_filename()}
        return Reply(200, {**about, **dated, "status": "processed"})

    def _keep(self, text: str, purpose: str) -> str:
        file_id = f"file-{next(self._numbers):022}"
        self.files[file_id], self._purposes[file_id] = text, purpose
        return file_id

    def _content(self, request: Request) -> Reply:
        file_id = request.path.split("/")[-2]
        if file_id not in self.files:
            raise BadRequest(404, f"No such File object: {file_id}", "id")
        return Reply(200, self.files[file_id], {"content-type": "application/octet-stream"})

    # Batches

    def _create(self, request: Request) -> Reply:
        body = request.json()
        if unknown := sorted(set(body) - _BATCH_FIELDS):
            raise BadRequest(400, f"Unknown parameter: '{unknown[0]}'", unknown[0])
        if body.get("endpoint") not in _ENDPOINTS:
            raise BadRequest(400, "Invalid value for 'endpoint'", "endpoint")
        if body.get("completion_window") != "24h":
            raise BadRequest(400, "Invalid value: supported is '24h'", "completion_window")
        metadata = body.get("metadata") or {}
        if len(metadata) > 16 or any(
            not isinstance(value, str) or len(key) > 64 or len(value) > 512
            for key, value in metadata.items()
        ):
            raise BadRequest(400, "Invalid 'metadata'", "metadata")
        file_id = body.get("input_file_id")
        if self._purposes.get(file_id) != "batch":
            raise BadRequest(400, f"No such batch input file: {file_id}", "input_file_id")
        batch = _Batch(f"batch_{next(self._numbers):024}", body, [])
        self.batches[batch.id] = batch
        return Reply(200, _shown(batch))

    def _list(self, request: Request) -> Reply:
        limit = int(request.query.get("limit", 20))
        if not 1 <= limit <= 100:
            raise BadRequest(400, "'limit' must be between 1 and 100", "limit")
        newest_first = [_shown(batch) for batch in reversed(self.batches.values())]
        if after := request.query.get("after"):
            ids = [shown["id"] for shown in newest_first]
            newest_first = newest_first[ids.index(after) + 1 :]
        page = newest_first[:limit]
        ends = {"first_id": page[0]["id"], "last_id": page[-1]["id"]} if page else {}
        more = len(newest_first) > limit
        return Reply(200, {"object": "list", "data": page, "has_more": more, **ends})

    def _retrieve(self, request: Request) -> Reply:
        batch = self._batch(request.path.split("/")[-1])
        self._move_on(batch)
        return Reply(200, _shown(batch))

    def _cancel(self, request: Request) -> Reply:
        batch = self._batch(request.path.split("/")[-2])
        if batch.status in _ENDED:
            raise BadRequest(409, f"Cannot cancel a batch with status '{batch.status}'.")
        batch.status = "cancelling"
        self._cancelling.setdefault(batch.id, self.cancels_in)
        return Reply(200, _shown(batch))

    def _batch(self, batch_id: str) -> _Batch:
        if batch_id not in self.batches:
            raise BadRequest(404, f"No batch found with id '{batch_id}'.")
        return self.batches[batch_id]

    def _move_on(self, batch: _Batch) -> None:
        match batch.status:
            case "validating":
                batch.errors = self._validate(batch)
                batch.status = "failed" if batch.errors else "in_progress"
            case "in_progress":
                self._work_on(batch)
            case "finalizing":
                self._finish(batch, "completed")
            case "cancelling":
                self._cancelling[batch.id] -= 1
                if self._cancelling[batch.id] < 0:
                    self._finish(batch, "cancelled")

    def _work_on(self, batch: _Batch) -> None:
        most = len(batch.lines) if self.answers_a_look is None else self.answers_a_look
        expires = self.expires_after is not None and batch.answered + most >= self.expires_after
        if self.expires_after is not None and expires:
            most, self.expires_after = self.expires_after - batch.answered, None
        for line in batch.lines[batch.answered : batch.answered + most]:
            self._answer_line(batch, line)
        batch.answered = min(len(batch.lines), batch.answered + most)
        if expires:
            self._finish(batch, "expired")
        elif batch.answered == len(batch.lines):
            batch.status = "finalizing"

    def _answer_line(self, batch: _Batch, line: dict[str, Any]) -> None:
        reply = self._answer(line["body"])
        if reply is None:
            timeout = {"code": "request_timeout", "message": "The call to the model timed out."}
            batch.failures.append(_outcome(line, self._numbers, error=timeout))
            return
        response = {"status_code": reply.status, "request_id": "req_1", "body": reply.body}
        answered = _outcome(line, self._numbers, response=response)
        (batch.outputs if reply.status == 200 else batch.failures).append(answered)

    def _finish(self, batch: _Batch, status: str) -> None:
        batch.status = status
        code, message = ("batch_expired", _EXPIRED)
        if status == "cancelled":
            code, message = ("batch_cancelled", _CANCELLED)
        for line in batch.lines[batch.answered :]:
            error = {"code": code, "message": message}
            batch.failures.append(_outcome(line, self._numbers, error=error))
        # The real one does not keep the order either.
        if batch.outputs:
            batch.output_file_id = self._keep(_jsonl(batch.outputs[::-1]), "batch_output")
        if batch.failures:
            batch.error_file_id = self._keep(_jsonl(batch.failures), "batch_output")

    def _validate(self, batch: _Batch) -> list[dict[str, Any]]:
        """Read the file into the batch, or say what is wrong with it."""
        errors: list[dict[str, Any]] = []

        def wrong(code: str, message: str, line: int | None = None) -> None:
            errors.append({"code": code, "message": message, "line": line, "param": None})

        seen: set[str] = set()
        models: set[str] = set()
        texts = self.files[batch.body["input_file_id"]].strip().split("\n")
        if len(texts) > MOST_REQUESTS:
            wrong("too_many_tasks", f"The batch has more than {MOST_REQUESTS} requests")
        for number, text in enumerate(texts, start=1):
            try:
                line = json.loads(text)
            except ValueError:
                wrong("invalid_json_line", "This line is not parseable as valid JSON.", number)
                continue
            if set(line) != {"custom_id", "method", "url", "body"} or not line["custom_id"]:
                wrong("missing_required_parameter", "custom_id, method, url, body", number)
                continue
            if line["custom_id"] in seen:
                wrong("duplicate_custom_id", "The custom_id was already used.", number)
            if line["method"] != "POST":
                wrong("invalid_method", "Only POST is supported.", number)
            if line["url"] != batch.body["endpoint"]:
                wrong("mismatched_url", "The url is not the endpoint of the batch.", number)
            seen.add(line["custom_id"])
            models.add(line["body"].get("model"))
            batch.lines.append(line)
        if len(models) > 1:
            wrong("mismatched_model", "All requests must be for one model.")
        if not errors and self._is_too_much(batch):
            message = f"Enqueued token limit reached. Limit: {self.token_limit:,} enqueued tokens."
            wrong("token_limit_exceeded", message)
        return errors

    def _is_too_much(self, batch: _Batch) -> bool:
        waiting = [other for other in self.batches.values() if other.status not in _ENDED]
        tokens = sum(
            self._tokens_of(message["content"])
            for other in {id(other): other for other in [*waiting, batch]}.values()
            for line in other.lines
            for message in line["body"].get("messages", [])
        )
        return self.token_limit is not None and tokens > self.token_limit


def _outcome(
    line: dict[str, Any], numbers: Any, *, response: Any = None, error: Any = None
) -> dict[str, Any]:
    number = f"batch_req_{next(numbers)}"
    return {"id": number, "custom_id": line["custom_id"], "response": response, "error": error}


def _jsonl(lines: list[dict[str, Any]]) -> str:
    return "\n".join(map(json.dumps, lines)) + "\n"


def _shown(batch: _Batch) -> dict[str, Any]:
    errors = {"object": "list", "data": batch.errors} if batch.errors else None
    ended = {f"{batch.status}_at": int(time.time())} if batch.status in _ENDED else {}
    return {
        "id": batch.id,
        "object": "batch",
        "endpoint": batch.body["endpoint"],
        "errors": errors,
        "input_file_id": batch.body["input_file_id"],
        "completion_window": "24h",
        "status": batch.status,
        "output_file_id": batch.output_file_id,
        "error_file_id": batch.error_file_id,
        "created_at": batch.created_at,
        "expires_at": batch.created_at + 86_400,
        **ended,
        "request_counts": {
            "total": len(batch.lines),
            "completed": len(batch.outputs),
            "failed": len(batch.failures),
        },
        "metadata": batch.body.get("metadata"),
    }
