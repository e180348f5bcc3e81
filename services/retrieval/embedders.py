"""Makes the embedder that the settings ask for."""

from __future__ import annotations

from services.config import MINILM, OFFLINE_EMBEDDER, Settings
from services.retrieval.embeddings import Embedder, WordLlamaEmbedder
from services.retrieval.minilm_embedder import MiniLMEmbedder, require_installed


def require_embedder(settings: Settings) -> None:
    """Raise ConfigurationError if EMBEDDING_MODEL names an embedder that is not installed."""
    if settings.embedding_model == MINILM:
        require_installed()


def make_embedder(settings: Settings) -> Embedder:
    """Return the embedder that EMBEDDING_MODEL names.

    Raises:
        ConfigurationError: it is minilm, which is not installed.
    """
    if settings.embedding_model == OFFLINE_EMBEDDER:
        return WordLlamaEmbedder()
    if settings.embedding_model == MINILM:
        return MiniLMEmbedder()
    # Imported here, because openai takes a second to import, which the offline default can skip.
    from services.openai_api.client import make_openai_client
    from services.retrieval.openai_embedder import OpenAIEmbedder

    return OpenAIEmbedder(
        make_openai_client(settings),
        settings.embedding_model,
        most_at_once=settings.embedding_batch,
    )
