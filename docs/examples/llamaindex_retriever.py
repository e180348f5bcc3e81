"""A LlamaIndex retriever with the app's whole ranking: pip install llama-index-core httpx."""

from __future__ import annotations

import httpx
from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode


class DeepMemoryRetriever(BaseRetriever):
    """Finds chunks of the token's owner; ranked by Deep Memory if search uses it."""

    def __init__(self, token: str, studio: str = "http://localhost:8501", k: int = 10) -> None:
        """`token` is a Supabase access token, which lasts an hour."""
        super().__init__()
        self._token, self._studio, self._k = token, studio, k

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        answer = httpx.post(
            f"{self._studio}/v1/api/search",
            json={"query": query_bundle.query_str, "k": self._k},
            headers={"Authorization": f"Bearer {self._token}"},
            timeout=60,
        )
        answer.raise_for_status()
        found = answer.json()
        return [
            NodeWithScore(
                node=TextNode(
                    id_=hit["id"],
                    text=hit["text"],
                    metadata={
                        "source": hit["document"],
                        "page": hit["page"],
                        "headings": hit["heading_path"],
                        "deep_memory": found["deep_memory"],
                    },
                ),
                score=hit["score"],
            )
            for hit in found["hits"]
        ]
