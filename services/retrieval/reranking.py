"""A reranker on a server: reads the question with each of the first hits, and orders them anew.

Any server with Cohere's `POST /rerank`, which Jina and vLLM have too. Search does not depend on it:
what fails or takes too long is `RerankerFailed`, and search keeps the order that it had.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import httpx
from tenacity import retry, retry_if_exception_type, stop_after_attempt

from services.config import Settings
from services.errors import AppError
from services.models import SearchHit
from services.retrieval.search import Comparison, Reranking, rank_changes

DEPTH = 30  # of the first hits are ordered anew
WITHIN_S = 4.0
_AT_ONCE = 8  # calls; further ones wait, and their time runs
_LONGEST_ANSWER = 4_000_000  # bytes: some servers repeat the texts in it

log = logging.getLogger(__name__)


class RerankerFailed(AppError):
    """The reranker gave no usable order in time. Never contains the key, the question or a text."""

    code = "reranker_failed"
    next_step = "Search works without it. Check RERANK_URL, RERANK_MODEL and RERANK_API_KEY."


class Reranker:
    """The model `model` at `url`. Safe to share between threads."""

    def __init__(
        self, url: str, model: str, key: str | None = None, within_s: float = WITHIN_S
    ) -> None:
        self.model = model
        self._address = f"{url}/rerank"
        self._server = urlsplit(url).hostname or "The reranker"
        self._within_s = within_s
        self._client = httpx.Client(
            headers={"Authorization": f"Bearer {key}"} if key else {}, timeout=within_s
        )
        # A read has its own time limit, and a slow server may need many: the future has the last
        # word on how long a person waits.
        self._calls = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="rerank")

    def scores(self, query: str, texts: Sequence[str]) -> list[float]:
        """How well each text answers the query, in their order; higher is better.

        Raises:
            RerankerFailed: no answer within the time, or none that scores every text once.
        """
        if not texts:
            return []
        asked = {"model": self.model, "query": query, "documents": texts, "top_n": len(texts)}
        call = self._calls.submit(self._post, asked, time.monotonic() + self._within_s)
        try:
            return _scores_in(call.result(self._within_s), len(texts))
        except TimeoutError:
            call.cancel()
            raise self._failed(f"did not answer within {self._within_s:g} seconds") from None
        except httpx.TimeoutException as error:
            raise self._failed(f"did not answer within {self._within_s:g} seconds") from error
        except httpx.HTTPStatusError as error:
            raise self._failed(_said_by(error.response.status_code)) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._failed("could not be reached, or hung up") from error
        except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
            raise self._failed("did not answer with one score for each text") from error

    @retry(
        retry=retry_if_exception_type((httpx.NetworkError, httpx.RemoteProtocolError)),
        stop=stop_after_attempt(2),
        reraise=True,
    )
    def _post(self, asked: dict[str, Any], until: float) -> bytes:
        """The body of the answer. Gives up once nobody waits for it any more.

        Asks a second time if the connection breaks, as one does that was kept open for too long.
        """
        body = bytearray()
        with self._client.stream("POST", self._address, json=asked) as answer:
            answer.raise_for_status()
            for part in answer.iter_bytes():
                body += part
                if time.monotonic() > until:
                    raise httpx.ReadTimeout("too slow")
                if len(body) > _LONGEST_ANSWER:
                    raise ValueError("longer than any answer")
        return bytes(body)

    def _failed(self, how: str) -> RerankerFailed:
        log.info("rerank_failed")
        return RerankerFailed(f"The reranker {self.model} at {self._server} {how}.")


def reranked(
    found: Comparison, query: str, k: int, reranker: Reranker, *, is_of_trained: bool
) -> Comparison:
    """`found` with the first `DEPTH` hits of one list ordered anew, and both lists cut to `k`.

    Those hits have the reranker's scores; of equal ones, the one that search had first stays first.
    If the reranker fails, the order stays, and `reranking` says why.
    """
    without, with_ = found.without, found.with_
    began, problem = time.perf_counter(), ""
    try:
        if is_of_trained:
            with_ = _in_new_order(with_, query.strip(), reranker)
        else:
            without = _in_new_order(without, query.strip(), reranker)
    except RerankerFailed as error:
        problem = str(error)
    seconds = time.perf_counter() - began
    without, with_ = without[:k], with_[:k]
    return replace(
        found,
        without=without,
        with_=with_,
        # What the model moved, if only the other list was ordered anew.
        moved=rank_changes(without, with_) if is_of_trained else _of(with_, found.moved),
        reranking=Reranking(reranker.model, seconds, is_of_trained, problem),
    )


def _of(hits: list[SearchHit], moved: dict[str, int | None]) -> dict[str, int | None]:
    return {hit.chunk_id: moved[hit.chunk_id] for hit in hits}


def _in_new_order(hits: list[SearchHit], query: str, reranker: Reranker) -> list[SearchHit]:
    first = hits[:DEPTH]
    scores = reranker.scores(query, [hit.in_context for hit in first])
    best_first = sorted(range(len(first)), key=scores.__getitem__, reverse=True)
    anew = [
        replace(first[place], score=scores[place], rank=rank)
        for rank, place in enumerate(best_first, start=1)
    ]
    return anew + hits[DEPTH:]


def make_reranker(settings: Settings) -> Reranker | None:
    """The reranker that the settings name; None if they name none."""
    if not settings.rerank_url or not settings.rerank_model:
        return None
    key = settings.rerank_api_key.get_secret_value() if settings.rerank_api_key else None
    return Reranker(settings.rerank_url, settings.rerank_model, key)


def _said_by(status: int) -> str:
    if status in (401, 403):
        return "refused the key"
    if status == 404:
        return "does not exist there, or has no such address"
    if status == 429:
        return "refused because of its rate limit"
    return f"refused or failed (status {status})"


def _scores_in(body: bytes, count: int) -> list[float]:
    """The score of each text, by its index.

    Raises:
        KeyError, TypeError, ValueError, OverflowError, RecursionError: it is not one for each.
    """
    scores: dict[int, float] = {}
    for result in json.loads(body)["results"]:
        index, score = result["index"], result["relevance_score"]
        if type(index) is not int or type(score) not in (int, float):  # True is an int in Python
            raise TypeError("not a number")
        if index in scores or not math.isfinite(score):
            raise ValueError("twice, or not finite")
        scores[index] = float(score)
    if scores.keys() != set(range(count)):
        raise ValueError("not one for each text")
    return [scores[index] for index in range(count)]
