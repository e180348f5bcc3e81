"""Text to vectors: one protocol, two embedders. WordLlama needs no key and no download."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import openai

from services.config import OFFLINE_EMBEDDER, Settings
from services.errors import AppError, ConfigurationError, EmbedderUnavailable, NotAllowed
from services.openai_client import (
    Patience,
    PatientClient,
    UnusableAnswer,
    explain,
    is_transient,
    make_openai_client,
)

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


class Embedder(Protocol):
    """Turns texts into vectors whose dot product is their cosine similarity."""

    @property
    def name(self) -> str:
        """The model, as a store records it: vectors of two models do not compare."""

    @property
    def width(self) -> int:
        """How many numbers a vector has."""

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Return float32 (n, width), row i for text i, L2-normalised; (0, width) for no texts.

        A text in which the model knows no word gives a row of zeros.

        Raises:
            AppError: the model can not be reached or refuses; nothing was changed.
        """


def make_embedder(settings: Settings) -> Embedder:
    """Return the embedder that EMBEDDING_MODEL names."""
    if settings.embedding_model == OFFLINE_EMBEDDER:
        return WordLlamaEmbedder()
    return OpenAIEmbedder(make_openai_client(settings), settings.embedding_model)


class WordLlamaEmbedder:
    """WordLlama's 256 numbers a text, from the weights inside its wheel."""

    name = "wordllama-256"
    width = 256
    _model: Any = None
    _loading = threading.Lock()

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        if not texts:
            return np.zeros((0, self.width), dtype=np.float32)
        return _normalised(self._loaded_model().embed(list(texts)))

    @classmethod
    def _loaded_model(cls) -> Any:
        """Load the weights at the first use, once per process: they take 0.5 s."""
        with cls._loading:
            if cls._model is None:
                wordllama = _import_quietly()
                cls._model = wordllama.WordLlama.load(
                    dim=cls.width,
                    cache_dir=Path(wordllama.__file__).parent,
                    disable_download=True,
                )
            return cls._model


def _import_quietly() -> Any:
    """Import wordllama without its `logging.basicConfig(level=INFO)`, a no-op beside a handler."""
    root, handler = logging.getLogger(), logging.NullHandler()
    root.addHandler(handler)
    try:
        import wordllama
    finally:
        root.removeHandler(handler)
    return wordllama


class OpenAIEmbedder:
    """An embedding model of OpenAI, or of any server that speaks its API."""

    def __init__(
        self, client: openai.OpenAI, model: str, patience: Patience = PATIENCE_AT_THE_SCREEN
    ) -> None:
        self.name = model
        self._patient = PatientClient(client, patience)

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
        return _normalised(np.concatenate([np.zeros((0, self.width), np.float32), *answers]))

    def _request(self, texts: list[str]) -> np.ndarray:
        def request(client: openai.OpenAI) -> np.ndarray:
            answer = client.embeddings.with_raw_response.create(
                model=self.name, input=texts, encoding_format="float"
            )
            return _vectors_in(answer.http_response.content, len(texts))

        try:
            return self._patient.call(request)
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
        tokens = len(text.encode()) // BYTES_PER_TOKEN + 1
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


def _normalised(vectors: np.ndarray) -> np.ndarray:
    """Return rows of length 1. A row without a length (no known word) becomes zeros."""
    finite = np.nan_to_num(vectors, copy=False)
    lengths = np.linalg.norm(finite, axis=1, keepdims=True)
    return np.divide(finite, lengths, out=np.zeros_like(finite), where=lengths > 0)


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
