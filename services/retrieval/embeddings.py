"""Text to vectors: the embedder protocol, and WordLlama, which needs no key and no download."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from services.models import Waiting


class Embedder(Protocol):
    """Turns texts into vectors whose dot product is their cosine similarity."""

    @property
    def name(self) -> str:
        """The model, as a store records it: vectors of different models cannot be compared."""

    @property
    def width(self) -> int:
        """The number of dimensions of a vector."""

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Return float32 (n, width), row i for text i, L2-normalised; (0, width) for no texts.

        A text without any word that WordLlama knows gives a row of zeros.

        Raises:
            AppError: the model cannot be reached, refuses, or returns something that is not a
                vector; nothing was changed.
        """

    def waiting(self) -> Waiting | None:
        """What all its calls wait for now; None while at least one makes progress."""


class WordLlamaEmbedder:
    """WordLlama with 256 dimensions, from the weights in its wheel."""

    name = "wordllama-256"
    width = 256
    _model: Any = None
    _loading = threading.Lock()

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        if not texts:
            return np.zeros((0, self.width), dtype=np.float32)
        return normalised(self._loaded_model().embed(list(texts)))

    def waiting(self) -> Waiting | None:
        """Never, because no server is asked."""
        return None

    @classmethod
    def _loaded_model(cls) -> Any:
        """Load the weights on first use, once per process: this takes 0.5 s."""
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
    """Import wordllama. A handler makes its `logging.basicConfig(level=INFO)` a no-op."""
    root, handler = logging.getLogger(), logging.NullHandler()
    root.addHandler(handler)
    try:
        import wordllama
    finally:
        root.removeHandler(handler)
    return wordllama


def normalised(vectors: np.ndarray) -> np.ndarray:
    """Return the rows scaled to length 1; a row of zeros stays as it is."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
