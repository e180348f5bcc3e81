"""A LangChain retriever with the app's whole ranking: pip install langchain-core httpx."""

from __future__ import annotations

import httpx
from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from pydantic import SecretStr


class DeepMemoryRetriever(BaseRetriever):
    """Finds chunks of the token's owner; ranked by Deep Memory if search uses it."""

    token: SecretStr  # a Supabase access token, which lasts an hour
    studio: str = "http://localhost:8501"
    k: int = 10

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[Document]:
        answer = httpx.post(
            f"{self.studio}/v1/api/search",
            json={"query": query, "k": self.k},
            headers={"Authorization": f"Bearer {self.token.get_secret_value()}"},
            timeout=60,
        )
        answer.raise_for_status()
        found = answer.json()
        return [
            Document(
                id=hit["id"],
                page_content=hit["text"],
                metadata={
                    "source": hit["document"],
                    "page": hit["page"],
                    "headings": hit["heading_path"],
                    "score": hit["score"],
                    "deep_memory": found["deep_memory"],
                },
            )
            for hit in found["hits"]
        ]
