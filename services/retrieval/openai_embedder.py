"""The embedder for OpenAI, or any server with its API."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import openai

from services.errors import AppError, ConfigurationError, EmbedderUnavailable, NotAllowed
from services.models import Waiting
from services.openai_api.client import Headers, RetryingClient, RetryPolicy
from services.openai_api.errors import UnusableAnswer, error_in, explain, refusal_of
from services.retrieval.embeddings import normalised

# OpenAI's limits for one embeddings request and one input (API reference, "Create embeddings").
MAX_INPUTS_PER_REQUEST = 2_048
MAX_TOKENS_PER_REQUEST = 300_000
MAX_TOKENS_PER_INPUT = 8_192
# English has about 4 bytes a token. Counting 2 leaves room for scripts that need more tokens.
BYTES_PER_TOKEN = 2
RETRY_POLICY_AT_THE_SCREEN = RetryPolicy(longest_s=60.0)
OPENAI_WIDTHS = {
    "text-embedding-3-small": 1_536,
    "text-embedding-3-large": 3_072,
    "text-embedding-ada-002": 1_536,
}
# How servers say that a request has too many texts, or too long ones; their messages differ.
_TOO_MUCH_STATUSES = (400, 413, 422)


class BatchSize:
    """How many texts a server accepts at once, as far as known. Shared by all threads."""

    def __init__(self) -> None:
        self.most = MAX_INPUTS_PER_REQUEST
        self._lock = threading.Lock()

    def learn(self, most: int) -> None:
        with self._lock:
            self.most = min(self.most, most)


@lru_cache(maxsize=64)
def batch_size_of(base_url: str, model: str) -> BatchSize:
    """The batch size shared by all embedders of `model` at `base_url` in this process."""
    return BatchSize()


class OpenAIEmbedder:
    """An embedding model of OpenAI, or of any server with its API.

    A request holds `most_at_once` texts, or fewer if the server refuses so many: a refused batch is
    halved, and the size that worked is remembered.
    """

    def __init__(
        self,
        client: openai.OpenAI,
        model: str,
        retry_policy: RetryPolicy = RETRY_POLICY_AT_THE_SCREEN,
        most_at_once: int = MAX_INPUTS_PER_REQUEST,
    ) -> None:
        self.name = model
        self._calls = RetryingClient(client, model, retry_policy)
        self._most_at_once = most_at_once

    @cached_property
    def width(self) -> int:
        """Known for OpenAI's own models; any other model is asked once."""
        return OPENAI_WIDTHS.get(self.name) or self._vectors(["width"])[0].shape[1]

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        _require_short(texts)
        answers = self._vectors(texts)
        if any(answer.shape[1] != self.width for answer in answers):
            raise EmbedderUnavailable(
                f"{self.name} answered with vectors of a width other than {self.width}.",
                next_step="Check that EMBEDDING_MODEL names the model that was used before.",
            )
        return np.concatenate([np.zeros((0, self.width), np.float32), *answers])

    def _vectors(self, texts: Sequence[str]) -> list[np.ndarray]:
        """The vectors of `texts` in order, one array per request."""
        known = batch_size_of(str(self._calls.client.base_url), self.name)
        most = min(known.most, self._most_at_once)
        answers: list[np.ndarray] = []
        done = 0
        while done < len(texts):
            batch = first_batch(texts, done, most)
            try:
                answers.append(self._request(batch))
            except openai.OpenAIError as error:
                if len(batch) == 1 or not _is_too_much(error):
                    raise self._for_people(error, batch) from error
                most = len(batch) // 2
            else:
                done += len(batch)
        # Only once all are done: a refusal of one text that is too long says nothing about batches.
        known.learn(most)
        return answers

    def waiting(self) -> Waiting | None:
        return self._calls.waits.now

    def _request(self, texts: list[str]) -> np.ndarray:
        def request(client: openai.OpenAI) -> tuple[np.ndarray, Headers]:
            answer = client.embeddings.with_raw_response.create(
                model=self.name, input=texts, encoding_format="float"
            )
            return _vectors_in(answer.http_response.content, len(texts)), answer.headers

        vectors = self._calls.call(request, tokens=sum(map(_tokens_at_most, texts)))
        with np.errstate(over="ignore"):
            lengths = np.linalg.norm(vectors, axis=1)  # NaN or infinite if its vector is
        is_blank = np.array([not text.strip() for text in texts])
        unusable = ~np.isfinite(lengths) | ((lengths == 0) & ~is_blank)
        if unusable.any():
            raise EmbedderUnavailable(
                f"{self.name} gave {unusable.sum()} of {len(texts)} texts a vector that cannot be "
                "compared: zeros, or not numbers. Nothing was stored.",
                next_step="Look at the log of its server, or set another EMBEDDING_MODEL.",
            )
        return normalised(vectors).astype(np.float32)

    def _for_people(self, error: openai.OpenAIError, texts: Sequence[str]) -> AppError:
        """Say why a request failed, without any key or text."""
        client = self._calls.client
        happened, _ = explain(error, client=client, model=self.name, sent=texts)
        refusal = refusal_of(error)
        if refusal and refusal.status in (401, 403, 404):
            return ConfigurationError(happened)
        if refusal and refusal.is_quota:
            return EmbedderUnavailable(
                happened, next_step="Add credit or raise the limit of the account, then try again."
            )
        if refusal and not refusal.may_pass:
            return EmbedderUnavailable(
                happened, next_step="Check the limits of the model on its server, then try again."
            )
        return EmbedderUnavailable(happened)


def _is_too_much(error: openai.OpenAIError) -> bool:
    refusal = refusal_of(error)
    return refusal is not None and (
        refusal.is_too_long or (refusal.status in _TOO_MUCH_STATUSES and not refusal.is_quota)
    )


def _vectors_in(body: bytes, count: int) -> np.ndarray:
    """Return float64 (count, width) in the order of the texts, which `index` gives.

    A null is read as NaN. In float64, so that no length overflows.

    Raises:
        UnusableAnswer: not one vector per text; the library would pass on a proxy's error page.
    """
    try:
        answer = json.loads(body)
        if (said := error_in(answer, instead_of="data")) is not None:
            raise UnusableAnswer("an error", said)
        rows = sorted(answer["data"], key=lambda row: row["index"])
        vectors = np.array([_numbers_of(row["embedding"]) for row in rows], dtype=np.float64)
        indices = [row["index"] for row in rows]
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise UnusableAnswer("not a list of vectors of one width") from error
    if indices != list(range(count)) or vectors.ndim != 2 or not vectors.size:
        raise UnusableAnswer("not one vector for each text")
    return vectors


def _numbers_of(embedding: Any) -> Any:
    """The numbers of a vector; some servers always send base64."""
    if isinstance(embedding, str):
        return np.frombuffer(base64.b64decode(embedding, validate=True), dtype="<f4")
    return embedding


def first_batch(texts: Sequence[str], begin: int, most: int) -> list[str]:
    """The texts from `begin` on for one request: at most `most`, within OpenAI's limits."""
    batch, tokens = [texts[begin]], _tokens_at_most(texts[begin])
    for text in texts[begin + 1 : begin + most]:
        tokens += _tokens_at_most(text)
        if tokens > MAX_TOKENS_PER_REQUEST:
            break
        batch.append(text)
    return batch


def _require_short(texts: Sequence[str]) -> None:
    """Raise NotAllowed if a text is longer than the model reads. Cutting it would hide its end."""
    if any(_tokens_at_most(text) > MAX_TOKENS_PER_INPUT for text in texts):
        raise NotAllowed(
            "A text is too long for the embedding model: at most about "
            f"{MAX_TOKENS_PER_INPUT * BYTES_PER_TOKEN:,} bytes.",
            next_step="Shorten it and try again.",
        )


def _tokens_at_most(text: str) -> int:
    return len(text.encode()) // BYTES_PER_TOKEN + 1
