"""A local DeepLake store that is filled and searched with vectors of `/v1/embeddings`.

pip install openai deeplake==3.9.52. `studio` is OpenAI's client with another address:
`OpenAI(base_url="http://localhost:8501/v1", api_key=token)`, where `token` is a Supabase access
token; `chunks` are the lines of an exported model's chunks.jsonl.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from deeplake.core.vectorstore import VectorStore
from openai import OpenAI


def embedding(studio: OpenAI, model: str) -> Callable[[Any], Any]:
    """An `embedding_function` of DeepLake: a text or a list of texts to vectors."""

    def embed(texts: str | list[str]) -> np.ndarray:
        answer = studio.embeddings.create(model=model, input=texts)
        vectors = np.array([entry.embedding for entry in answer.data], np.float32)
        return vectors[0] if isinstance(texts, str) else vectors

    return embed


def fill(path: str, studio: OpenAI, chunks: Sequence[dict[str, Any]]) -> VectorStore:
    """Make the store of all chunks. Training again does not change their vectors."""
    store = VectorStore(path=path, overwrite=True, verbose=False)
    store.add(
        text=[chunk["text"] for chunk in chunks],
        id=[chunk["id"] for chunk in chunks],
        metadata=[{"document": chunk["document"]} for chunk in chunks],
        embedding_function=embedding(studio, "deep-memory-chunk"),
        embedding_data=[chunk["id"] for chunk in chunks],
    )
    return store


def search(
    store: VectorStore, studio: OpenAI, question: str, k: int = 10
) -> list[tuple[str, float]]:
    """The ids of the `k` best chunks with their cosine, best first."""
    found = store.search(
        embedding_data=question,
        embedding_function=embedding(studio, "deep-memory-query"),
        k=k,
        distance_metric="COS",
    )
    return list(zip(found["id"], found["score"], strict=True))
