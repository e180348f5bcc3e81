"""Makes the embedder that the settings ask for."""

from __future__ import annotations

from services.config import OFFLINE_EMBEDDER, Settings
from services.retrieval.embeddings import Embedder, WordLlamaEmbedder


def make_embedder(settings: Settings) -> Embedder:
    """Return the embedder that EMBEDDING_MODEL names."""
    if settings.embedding_model == OFFLINE_EMBEDDER:
        return WordLlamaEmbedder()
    # Imported here, because openai takes a second to import, which the offline default can skip.
    from services.openai_api.client import make_openai_client
    from services.retrieval.openai_embedder import OpenAIEmbedder

    return OpenAIEmbedder(
        make_openai_client(settings),
        settings.embedding_model,
        most_at_once=settings.embedding_batch,
    )
