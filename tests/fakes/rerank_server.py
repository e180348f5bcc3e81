"""A stand-in for a reranker with Cohere's API: scores a text by the words of the question in it."""

from __future__ import annotations

import re

from tests.fakes.wire import Reply, Request, WireServer

MODEL = "house-reranker"


class FakeReranker(WireServer):
    """Answers `POST /v1/rerank` to who has the key, best text first, as strictly as a real one."""

    key = "rk-fake-0123456789"

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    def answer(self, request: Request) -> Reply:
        if (request.method, request.path) != ("POST", "/v1/rerank"):
            return Reply(404, {"message": "no such address"})
        if request.headers.get("authorization") != f"Bearer {self.key}":
            return Reply(401, {"message": "invalid api token"})
        asked = request.json()
        if asked.keys() != {"model", "query", "documents", "top_n"} or not asked["documents"]:
            return Reply(422, {"message": "unknown or missing fields"})
        if asked["model"] != MODEL:
            return Reply(404, {"message": f"model {asked['model']} not found"})
        wanted = _words(asked["query"])
        results = [
            {"index": index, "relevance_score": len(wanted & _words(text)) / len(wanted)}
            for index, text in enumerate(asked["documents"])
        ]
        results.sort(key=lambda result: -result["relevance_score"])
        return Reply(200, {"id": "1", "results": results[: asked["top_n"]], "meta": {}})


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))
