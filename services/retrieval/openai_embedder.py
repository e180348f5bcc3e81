"""The embedder that speaks to OpenAI, or to any server with its API."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
import openai

from services.errors import AppError, ConfigurationError, EmbedderUnavailable, NotAllowed
from services.models import Waiting
from services.openai_client import (
    Headers,
    Patience,
    PatientClient,
    UnusableAnswer,
    explain,
    is_transient,
)
from services.retrieval.embeddings import normalised

# OpenAI's limits for one embeddings request and one input (API reference, "Create embeddings").
MAX_INPUTS_PER_REQUEST = 2_048
MAX_TOKENS_PER_REQUEST = 300_000
MAX_TOKENS_PER_INPUT = 8_192
# English has about 4 bytes a token. Counting 2 leaves room for scripts that need more tokens.
BYTES_PER_TOKEN = 2
PATIENCE_AT_THE_SCREEN = Patience(longest_s=60.0)
OPENAI_WIDTHS = {
    "text-embedding-3-small": 1_536,
    "text-embedding-3-large": 3_072,
    "text-embedding-ada-002": 1_536,
}


class OpenAIEmbedder:
    """An embedding model of OpenAI, or of any server that speaks its API."""

    def __init__(
        self, client: openai.OpenAI, model: str, patience: Patience = PATIENCE_AT_THE_SCREEN
    ) -> None:
        self.name = model
        self._patient = PatientClient(client, model, patience)

    @cached_property
    def width(self) -> int:
        """Known for OpenAI's own models; another server's model is asked once."""
        return OPENAI_WIDTHS.get(self.name) or self._request(["width"]).shape[1]

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        answers = [self._request(batch) for batch in batches_within_limits(texts)]
        if any(answer.shape[1] != self.width for answer in answers):
            raise EmbedderUnavailable(
                f"{self.name} answered with vectors of another width than {self.width}.",
                next_step="Check that EMBEDDING_MODEL names the model that was used before.",
            )
        return normalised(np.concatenate([np.zeros((0, self.width), np.float32), *answers]))

    def waiting(self) -> Waiting | None:
        return self._patient.waits.now

    def _request(self, texts: list[str]) -> np.ndarray:
        def request(client: openai.OpenAI) -> tuple[np.ndarray, Headers]:
            answer = client.embeddings.with_raw_response.create(
                model=self.name, input=texts, encoding_format="float"
            )
            return _vectors_in(answer.http_response.content, len(texts)), answer.headers

        try:
            return self._patient.call(request, tokens=sum(map(_tokens_at_most, texts)))
        except openai.OpenAIError as error:
            raise _for_people(error, self._patient.client, self.name) from error


def _vectors_in(body: bytes, count: int) -> np.ndarray:
    """Return float32 (count, width) in the order of the texts; `index` has it, the list may not.

    Raises:
        UnusableAnswer: the library itself would hand on a proxy's page or half an answer.
    """
    try:
        rows = sorted(json.loads(body)["data"], key=lambda row: row["index"])
        vectors = np.array([row["embedding"] for row in rows], dtype=np.float32)
        indices = [row["index"] for row in rows]
    except (KeyError, TypeError, ValueError) as error:
        raise UnusableAnswer("not a list of vectors of one width") from error
    if indices != list(range(count)) or vectors.ndim != 2:
        raise UnusableAnswer("not one vector for each text")
    return vectors


def batches_within_limits(texts: Sequence[str]) -> Iterator[list[str]]:
    """Cut `texts` into requests that OpenAI accepts, in order.

    Raises:
        NotAllowed: a text is longer than the model reads. Cutting it would hide its end.
    """
    batch: list[str] = []
    batch_tokens = 0
    for text in texts:
        tokens = _tokens_at_most(text)
        if tokens > MAX_TOKENS_PER_INPUT:
            raise NotAllowed(
                "A text is too long for the embedding model: at most about "
                f"{MAX_TOKENS_PER_INPUT * BYTES_PER_TOKEN:,} bytes.",
                next_step="Shorten it and try again.",
            )
        if batch and (
            len(batch) == MAX_INPUTS_PER_REQUEST or batch_tokens + tokens > MAX_TOKENS_PER_REQUEST
        ):
            yield batch
            batch, batch_tokens = [], 0
        batch.append(text)
        batch_tokens += tokens
    if batch:
        yield batch


def _tokens_at_most(text: str) -> int:
    return len(text.encode()) // BYTES_PER_TOKEN + 1


def _for_people(error: openai.OpenAIError, client: openai.OpenAI, model: str) -> AppError:
    """Say what an embeddings request failed of; never a key, never a text."""
    happened, _ = explain(error, client=client, model=model)
    match error:
        case openai.AuthenticationError() | openai.PermissionDeniedError() | openai.NotFoundError():
            return ConfigurationError(happened)
        case openai.RateLimitError() if not is_transient(error):
            return EmbedderUnavailable(
                happened, next_step="Add credit or raise the limit of the account, then try again."
            )
        case _:
            return EmbedderUnavailable(happened)
