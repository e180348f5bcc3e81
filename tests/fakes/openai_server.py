"""A strict stand-in for the OpenAI API: refuses what the real one refuses.

In a test: `with FakeOpenAI(latency_s=0.2) as fake: fake.base_url`. As a process of its own:
`python -m tests.fakes.openai_server --port 8081`.
"""

from __future__ import annotations

import argparse
import base64
import itertools
import json
import re
import threading
import time
import zlib
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tests.fakes.openai_batch_queue import BatchQueue
from tests.fakes.wire import Answer, Call, Fault, Reply, Request, WireServer

CHAT_MODELS = {"gpt-4o-mini", "gpt-4.1-mini", "gpt-4.1-nano", "gpt-5-mini", "gpt-5-nano"}
EMBEDDING_WIDTHS = {
    "text-embedding-3-small": 1536,
    "text-embedding-3-large": 3072,
    "text-embedding-ada-002": 1536,
}
MAX_INPUTS = 2048
MAX_TOKENS_OF_AN_INPUT = 8192
MAX_TOKENS_OF_A_REQUEST = 300_000
CONTEXT_TOKENS = 128_000
_CHAT_FIELDS = {
    "model",
    "messages",
    "response_format",
    "max_completion_tokens",
    "max_tokens",
    "temperature",
    "top_p",
    "n",
    "seed",
    "stop",
    "stream",
    "store",
    "metadata",
    "user",
    "reasoning_effort",
}
_SCHEMA_TYPES = {"object", "array", "string", "integer", "number", "boolean", "null"}
_WORD = re.compile(r"[^\W_]{4,}")


class Refused(Exception):
    """The request is wrong: what the real API answers with an error object."""

    def __init__(
        self, status: int, message: str, *, code: str | None = None, param: str = ""
    ) -> None:
        super().__init__(message)
        self.reply = error(status, message, code=code, param=param)


def error(
    status: int, message: str, *, code: str | None = None, kind: str = "", param: str = ""
) -> Reply:
    """An error in the form of the API."""
    kind = kind or ("server_error" if status >= 500 else "invalid_request_error")
    return Reply(
        status,
        {"error": {"message": message, "type": kind, "param": param or None, "code": code}},
    )


@dataclass
class Allowance:
    """What a minute allows: a bucket that fills up steadily, with `level` in it at first."""

    per_minute: int
    level: float
    as_of: float = field(default_factory=time.monotonic)

    def refill(self) -> None:
        now = time.monotonic()
        filled = self.level + (now - self.as_of) * self.per_minute / 60
        self.level, self.as_of = min(self.per_minute, filled), now

    def headers(self, kind: str) -> dict[str, str]:
        reset_ms = 60_000 * (self.per_minute - self.level) / self.per_minute
        return {
            f"x-ratelimit-limit-{kind}": str(self.per_minute),
            f"x-ratelimit-remaining-{kind}": str(int(self.level)),
            f"x-ratelimit-reset-{kind}": f"{reset_ms:.0f}ms",
        }


class FakeOpenAI(WireServer):
    """Chat completions with structured output, embeddings, models, files and batches.

    `widths` maps each embedding model to its width. `obeys_schemas=False` is a server that
    refuses `json_schema`, `obeys_json=False` one that refuses any `response_format`, both with the
    status `refuses_with`, and `ignores_forms=True` one that takes every form and writes a list with
    a greeting. `requests` and `tokens` are what a minute allows; a call beyond them is refused with
    429. A server with `has_batches=False` has no files and no Batch API, as most that speak like
    OpenAI.
    """

    key = "sk-fake-0123456789"

    def __init__(
        self,
        *,
        latency_s: float = 0.0,
        port: int = 0,
        widths: dict[str, int] = EMBEDDING_WIDTHS,
        obeys_schemas: bool = True,
        obeys_json: bool = True,
        refuses_with: int = 400,
        ignores_forms: bool = False,
        requests: Allowance | None = None,
        tokens: Allowance | None = None,
        has_batches: bool = True,
    ) -> None:
        super().__init__(latency_s=latency_s, port=port)
        self.widths = dict(widths)
        self.obeys_schemas = obeys_schemas
        self.obeys_json = obeys_json
        self.refuses_with = refuses_with
        self.ignores_forms = ignores_forms
        self.allowances = {
            "requests": requests or Allowance(10_000, 10_000),
            "tokens": tokens or Allowance(200_000_000, 200_000_000),
        }
        self.queue = BatchQueue(self._answer_in_batch, tokens_of) if has_batches else None
        self._charging = threading.Lock()
        self._numbers = itertools.count(1)

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    @property
    def faults(self) -> dict[str, Fault]:
        return {**super().faults, **FAULTS}

    def answer(self, request: Request) -> Reply:
        if request.headers.get("authorization") != f"Bearer {self.key}":
            return error(401, "Incorrect API key provided.", code="invalid_api_key")
        if self.queue and (reply := self.queue.reply_to(request)):
            return replace(reply, headers={**reply.headers, **self._headers()})
        routes = {
            ("POST", "/v1/chat/completions"): self._chat,
            ("POST", "/v1/embeddings"): self._embed,
            ("GET", "/v1/models"): self._models,
        }
        route = routes.get((request.method, request.path))
        if route is None:
            return error(404, f"Invalid URL ({request.method} {request.path})")
        try:
            body = request.json() if request.method == "POST" else {}
        except ValueError:
            return error(400, "We could not parse the JSON body of your request.")
        refusal = self._charge({"requests": 1, "tokens": charge_for(body)})
        headers = self._headers()
        try:
            return refusal or replace(route(body), headers=headers)
        except Refused as refused:
            return replace(refused.reply, headers=headers)

    def _answer_in_batch(self, body: dict[str, Any]) -> Reply | None:
        """The reply to one request of a batch, logged as a call; None: it came to nothing."""
        request = Request("BATCH", "/v1/chat/completions", {}, {}, json.dumps(body))
        fault = self._next_fault(request)
        reply = fault(request, self._chat_alone) if fault else self._chat_alone(request)
        status = None if reply.cut is not None else reply.status
        with self._lock:
            self.log.append(Call(time.monotonic(), request.method, request.path, status, request))
        return reply if status else None

    def _chat_alone(self, request: Request) -> Reply:
        try:
            return self._chat(request.json())
        except Refused as refused:
            return refused.reply

    def _charge(self, costs: dict[str, int]) -> Reply | None:
        """Take it from the allowances; when one does not hold it, refuse and take nothing."""
        with self._charging:
            for kind, cost in costs.items():
                allowance = self.allowances[kind]
                allowance.refill()
                if allowance.level < cost:
                    missing_s = 60 * (cost - allowance.level) / allowance.per_minute
                    reply = error(429, f"Rate limit reached for {kind}", code="rate_limit_exceeded")
                    return replace(reply, headers={"retry-after-ms": f"{1000 * missing_s:.0f}"})
            for kind, cost in costs.items():
                self.allowances[kind].level -= cost
        return None

    def _headers(self) -> dict[str, str]:
        with self._charging:
            headers = {"x-request-id": f"req_{next(self._numbers)}"}
            for kind, allowance in self.allowances.items():
                headers |= allowance.headers(kind)
        return headers

    def _models(self, body: Any) -> Reply:
        names = sorted(CHAT_MODELS | set(self.widths))
        models = [
            {"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "fake"}
            for name in names
        ]
        return Reply(200, {"object": "list", "data": models})

    def _chat(self, body: dict[str, Any]) -> Reply:
        self._check_chat(body)
        text = "\n".join(message["content"] for message in body["messages"])
        prompt_tokens = tokens_of(text)
        if prompt_tokens > CONTEXT_TOKENS:
            raise Refused(
                400,
                f"This model's maximum context length is {CONTEXT_TOKENS} tokens.",
                code="context_length_exceeded",
                param="messages",
            )
        request = body["messages"][-1]["content"]
        if request.startswith("Question: "):
            judged = judgement_of(request)
            return completion(body["model"], judged, prompt_tokens, number=next(self._numbers))
        questions = questions_about(request)
        content = json.dumps({"questions": questions})
        if self.ignores_forms or body.get("response_format") is None:
            lines = [f"{number}. {question}" for number, question in enumerate(questions, start=1)]
            content = "\n".join(["Sure! Here they are:", *lines])
        return completion(body["model"], content, prompt_tokens, number=next(self._numbers))

    def _check_chat(self, body: dict[str, Any]) -> None:
        if unknown := sorted(set(body) - _CHAT_FIELDS):
            raise Refused(400, f"Unrecognized request argument supplied: {unknown[0]}")
        if body.get("model") not in CHAT_MODELS:
            message = f"The model `{body.get('model')}` does not exist"
            raise Refused(404, message, code="model_not_found")
        if body["model"].startswith("gpt-5"):
            for name in ("max_tokens", "temperature", "top_p"):
                if name in body:
                    code = "unsupported_parameter"
                    raise Refused(400, f"Unsupported parameter: '{name}'", code=code, param=name)
        elif "reasoning_effort" in body:
            code, name = "unsupported_parameter", "reasoning_effort"
            raise Refused(400, f"Unsupported parameter: '{name}'", code=code, param=name)
        messages = body.get("messages")
        if not isinstance(messages, list) or not messages:
            raise Refused(400, "[] is too short - 'messages'", param="messages")
        for message in messages:
            if message.get("role") not in {"system", "developer", "user", "assistant"}:
                raise Refused(400, "Invalid value for 'role'", param="messages")
            if not isinstance(message.get("content"), str):
                raise Refused(400, "Invalid type for 'content'", param="messages")
        self._check_response_format(body)

    def _check_response_format(self, body: dict[str, Any]) -> None:
        form = body.get("response_format", {"type": "text"})
        kind = form.get("type")
        if kind not in {"text", "json_object", "json_schema"}:
            raise Refused(400, "Invalid value for 'response_format.type'", param="response_format")
        refused = (kind == "json_schema" and not self.obeys_schemas) or (
            kind == "json_object" and not self.obeys_json
        )
        if refused:
            message = f"'response_format' of type '{kind}' is not supported with this model"
            raise Refused(self.refuses_with, message, param="response_format")
        if kind == "json_object" and not any(
            "json" in m["content"].lower() for m in body["messages"]
        ):
            message = "'messages' must contain the word 'json' in some form"
            raise Refused(400, message, param="messages")
        if kind == "json_schema":
            check_strict_schema(form.get("json_schema") or {})

    def _embed(self, body: dict[str, Any]) -> Reply:
        texts, width = self._checked_embedding(body)
        vectors = [embedding_of(text, width) for text in texts]
        as_base64 = body.get("encoding_format") == "base64"
        entries = [
            {
                "object": "embedding",
                "index": index,
                "embedding": base64.b64encode(vector.tobytes()).decode()
                if as_base64
                else vector.tolist(),
            }
            for index, vector in enumerate(vectors)
        ]
        tokens = sum(map(tokens_of, texts))
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return Reply(
            200, {"object": "list", "data": entries, "model": body["model"], "usage": usage}
        )

    def _checked_embedding(self, body: dict[str, Any]) -> tuple[list[str], int]:
        if body.get("model") not in self.widths:
            message = f"The model `{body.get('model')}` does not exist"
            raise Refused(404, message, code="model_not_found")
        if body.get("encoding_format", "float") not in {"float", "base64"}:
            raise Refused(400, "Invalid value for 'encoding_format'", param="encoding_format")
        given = body.get("input")
        texts = [given] if isinstance(given, str) else given
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise Refused(400, "Invalid type for 'input'", param="input")
        if not 1 <= len(texts) <= MAX_INPUTS:
            raise Refused(400, "'$.input' is invalid: 1 to 2048 items", param="input")
        if not all(texts):
            raise Refused(400, "'$.input' is invalid: an empty string", param="input")
        if any(tokens_of(text) > MAX_TOKENS_OF_AN_INPUT for text in texts):
            message = f"This model's maximum context length is {MAX_TOKENS_OF_AN_INPUT} tokens"
            raise Refused(400, message, code="context_length_exceeded", param="input")
        if sum(map(tokens_of, texts)) > MAX_TOKENS_OF_A_REQUEST:
            message = f"Requested more than {MAX_TOKENS_OF_A_REQUEST} tokens per request"
            raise Refused(400, message, code="max_tokens_per_request", param="input")
        widest = self.widths[body["model"]]
        width = body.get("dimensions", widest)
        if width != widest and (body["model"].endswith("ada-002") or not 1 <= width <= widest):
            raise Refused(400, "Invalid value for 'dimensions'", param="dimensions")
        return texts, width


def check_strict_schema(form: dict[str, Any]) -> None:
    """Refuse what `strict` structured output refuses: see OpenAI's "Supported schemas"."""
    if not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", form.get("name", "")):
        raise Refused(400, "Invalid 'response_format.json_schema.name'", param="response_format")
    schema = form.get("schema")
    if not isinstance(schema, dict) or schema.get("type") != "object":
        raise Refused(400, "Invalid schema: the root must be an object", param="response_format")
    if form.get("strict"):
        _check_node(schema)


def _check_node(node: dict[str, Any]) -> None:
    def refuse(reason: str) -> Refused:
        message = f"Invalid schema for response_format: {reason}"
        return Refused(400, message, param="response_format")

    kind = node.get("type")
    kinds = kind if isinstance(kind, list) else [kind]
    if "anyOf" not in node and "$ref" not in node and not set(kinds) <= _SCHEMA_TYPES:
        raise refuse("schema must have a 'type' key")
    if kind == "object":
        properties = node.get("properties", {})
        if node.get("additionalProperties") is not False:
            raise refuse("'additionalProperties' is required to be supplied and to be false")
        if set(node.get("required", [])) != set(properties):
            raise refuse("'required' is required to be supplied and to include every key")
        for child in properties.values():
            _check_node(child)
    if kind == "array":
        if "items" not in node:
            raise refuse("array schema missing items")
        _check_node(node["items"])
    for child in [*node.get("anyOf", []), *node.get("$defs", {}).values()]:
        _check_node(child)


def charge_for(body: dict[str, Any]) -> int:
    """Tokens that a call takes from the allowance: what it asks for at most, not what it used."""
    if "messages" in body:
        prompt = sum(tokens_of(str(message.get("content"))) for message in body["messages"])
        return max(prompt, body.get("max_completion_tokens") or body.get("max_tokens") or 0)
    given = body.get("input", "")
    return sum(map(tokens_of, map(str, [given] if isinstance(given, str) else given)))


def tokens_of(text: str) -> int:
    """Roughly what the real tokenizer counts: four characters a token."""
    return (len(text) + 3) // 4


def completion(
    model: str,
    content: str | None,
    prompt_tokens: int,
    *,
    number: int = 1,
    finish_reason: str = "stop",
    refusal: str | None = None,
) -> Reply:
    """A chat completion as the API answers it."""
    written = tokens_of(content or refusal or "")
    return Reply(
        200,
        {
            "id": f"chatcmpl-{number}",
            "object": "chat.completion",
            "created": 1_700_000_000,
            "model": model,
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": content, "refusal": refusal},
                    "finish_reason": finish_reason,
                    "logprobs": None,
                }
            ],
            "usage": {
                "prompt_tokens": prompt_tokens,
                "completion_tokens": written,
                "total_tokens": prompt_tokens + written,
            },
        },
    )


def questions_about(request_text: str) -> list[str]:
    """As many questions as the first number in the request, made of words of the passage."""
    asked = re.search(r"\d+", request_text)
    passage = request_text.split("<passage>")[-1].split("</passage>")[0]
    words = list(dict.fromkeys(_WORD.findall(passage))) or ["nothing"]
    # The rarest words of a text are, roughly, its longest: they tell this passage from others.
    words = sorted(words, key=lambda word: (-len(word), word))[:40]
    forms = ("What is known about {} and {}?", "How does {} relate to {}?", "{} {} details")
    return [
        forms[number % len(forms)].format(
            words[2 * number % len(words)], words[(2 * number + 1) % len(words)]
        )
        for number in range(int(asked.group()) if asked else 1)
    ]


def judgement_of(request_text: str) -> str:
    """A passage answers a question if it has at least half of the question's longer words."""
    question, _, passage = request_text.partition("<passage>")
    asked = set(_WORD.findall(question.partition("\n")[0].removeprefix("Question: ").casefold()))
    shared = asked & set(_WORD.findall(passage.casefold()))
    reason = f"It has {len(shared)} of {len(asked)} words."
    return json.dumps({"reason": reason, "answers": 2 * len(shared) >= len(asked) > 0})


def embedding_of(text: str, width: int) -> np.ndarray:
    """A unit vector of `width` float32: hashed words, so that texts that share words are near."""
    vector = np.zeros(width, dtype=np.float32)
    for word in _WORD.findall(text.casefold()):
        hashed = zlib.crc32(word.encode())
        vector[hashed % width] += 1.0 if hashed >> 31 else -1.0
    vector[zlib.crc32(text.encode()) % width] += 0.01  # no text is without a direction
    return vector / np.linalg.norm(vector)


def _chat_model(request: Request) -> str:
    return request.json()["model"]


def rate_limited(retry_after_s: float) -> Fault:
    def fault(request: Request, answer: Answer) -> Reply:
        reply = error(429, "Rate limit reached", code="rate_limit_exceeded", kind="requests")
        return replace(reply, headers={"retry-after": f"{retry_after_s:g}"})

    return fault


def failing(status: int, code: str | None = None) -> Fault:
    """The same error again and again."""
    return lambda request, answer: error(status, f"The server had an error ({status})", code=code)


def insufficient_quota(request: Request, answer: Answer) -> Reply:
    message = "You exceeded your current quota, please check your plan and billing details."
    return error(429, message, code="insufficient_quota", kind="insufficient_quota")


def refuse(request: Request, answer: Answer) -> Reply:
    """The model declines: status 200, no content, charged for."""
    refusal = "I'm sorry, I can't assist with that."
    return completion(_chat_model(request), None, tokens_of(request.text), refusal=refusal)


def cut_off(request: Request, answer: Answer) -> Reply:
    """The answer met the token limit: half a JSON, charged for."""
    text = '{"questions": ["What is'
    return completion(_chat_model(request), text, tokens_of(request.text), finish_reason="length")


def content_filtered(request: Request, answer: Answer) -> Reply:
    prompt_tokens = tokens_of(request.text)
    return completion(_chat_model(request), "", prompt_tokens, finish_reason="content_filter")


def saying(content: str | None) -> Fault:
    """A completion with this content, charged for."""
    return lambda request, answer: completion(
        _chat_model(request), content, tokens_of(request.text)
    )


def answering(**fields: Any) -> Fault:
    """The completion that would have been, charged for, with other `fields`."""

    def fault(request: Request, answer: Answer) -> Reply:
        reply = answer(request)
        return replace(reply, body={**reply.body, **fields})

    return fault


def answering_with_message(**fields: Any) -> Fault:
    """The completion that would have been, charged for, with other `fields` in its message."""

    def fault(request: Request, answer: Answer) -> Reply:
        reply = answer(request)
        [choice] = reply.body["choices"]
        message = {**choice["message"], **fields}
        return replace(reply, body={**reply.body, "choices": [{**choice, "message": message}]})

    return fault


FAULTS: dict[str, Fault] = {
    "rate_limited": rate_limited(1),
    "insufficient_quota": insufficient_quota,
    "server_error": failing(500),
    "overloaded": failing(503),
    "bad_gateway": failing(502),
    "forbidden": failing(403, "unsupported_country_region_territory"),
    "refuse": refuse,
    "cut_off": cut_off,
    "content_filtered": content_filtered,
    "empty": saying('{"questions": []}'),
    "wrong_json": saying('{"questions": "none"}'),
    "prose": saying("Here are your questions!"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8081)
    parser.add_argument("--latency-s", type=float, default=0.0)
    options = parser.parse_args()
    with FakeOpenAI(latency_s=options.latency_s, port=options.port) as fake:
        print(f"OPENAI_BASE_URL={fake.base_url} OPENAI_API_KEY={fake.key}", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
