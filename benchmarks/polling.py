"""Measure how much polling clients slow down a generation: `python -m benchmarks.polling`.

50 people poll settings and runs over HTTP, every 2 seconds as the screens do, while one run asks a
stand-in for OpenAI that takes 200 ms per answer. The same run is measured without and with them, in
turn. Everything shares this machine, including the clients. Prints one JSON object last.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx
import numpy as np
from pydantic import SecretStr

from benchmarks.generation import TEXT, fake_openai
from services.accounts.auth import Accounts, SignedInUser
from services.accounts.database import Database, SupabaseEndpoint
from services.http.api import PREFIX
from services.runs.states import RunStatus
from services.runs.store import RunStore
from tests.embedded import run_embedded, temporary_data_dir
from tests.running_app import run_app

LATENCY_S = 0.2
CONCURRENCY = 16


@dataclass
class Polls:
    """The seconds that each answer took, and the statuses of those that were not 200."""

    seconds: list[float] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--every-s", type=float, default=2.0)
    parser.add_argument("--chunks", type=int, default=1_500)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    polls = Polls()
    quiet_rates, polled_rates = [], []
    with (
        temporary_data_dir() as data_dir,
        fake_openai(LATENCY_S) as (openai_url, openai_key),
        run_embedded(data_dir) as stack,
        run_app(
            data_dir,
            SUPABASE_URL=stack.url,
            SUPABASE_PUBLISHABLE_KEY=stack.publishable_key,
            SUPABASE_SECRET_KEY=stack.secret_key,
            OPENAI_BASE_URL=openai_url,
            OPENAI_API_KEY=openai_key,
            EMBEDDING_MODEL="wordllama",
            GENERATION_CONCURRENCY=str(CONCURRENCY),
        ) as app,
    ):
        address = f"{app.url}{PREFIX}"
        users = _sign_up(stack.url, stack.publishable_key, stack.secret_key, options.clients)
        owner = users[0]
        chunks = _add_document(address, owner, options.chunks)
        _generate(address, owner)  # the first run also pays for imports
        for number in range(options.rounds):
            quiet_rates.append(chunks / _generate(address, owner))
            with _polling(address, users, options.every_s, polls):
                polled_rates.append(chunks / _generate(address, owner))
            print(f"round {number + 1}: {quiet_rates[-1]:.1f} -> {polled_rates[-1]:.1f} chunks/s")
    quiet, polled = statistics.mean(quiet_rates), statistics.mean(polled_rates)
    p50, p95, p99 = np.percentile(polls.seconds, [50, 95, 99]) * 1e3
    result = {
        "clients": options.clients,
        "every_s": options.every_s,
        "polls": len(polls.seconds),
        "polls_refused": len(polls.refused),
        "polls_per_s": round(2 * options.clients / options.every_s, 1),
        "poll_ms_p50": round(p50, 1),
        "poll_ms_p95": round(p95, 1),
        "poll_ms_p99": round(p99, 1),
        "chunks": chunks,
        "chunks_per_s_without": round(quiet, 1),
        "chunks_per_s_with": round(polled, 1),
        "rate_change": round(polled / quiet - 1, 3),
    }
    print(json.dumps(result))


def _sign_up(url: str, publishable_key: str, secret_key: str, count: int) -> list[SignedInUser]:
    endpoint = SupabaseEndpoint(url, SecretStr(publishable_key), SecretStr(secret_key))
    accounts = Accounts(endpoint, Database(url, endpoint.secret_key))
    return [accounts.sign_up(f"client{n}@example.com", f"password {n}") for n in range(count)]


def _add_document(address: str, user: SignedInUser, chunk_count: int) -> int:
    """Store about `chunk_count` chunks; return how many there are."""
    text = "\n\n".join(f"# Quay {n}\n\n{TEXT.format(n)}" for n in range(chunk_count))
    answer = httpx.post(
        f"{address}/documents",
        files={"files": ("quays.md", text.encode())},
        headers=_headers(user),
        timeout=300,
    )
    return answer.json()["documents"][0]["chunk_count"]


def _generate(address: str, user: SignedInUser) -> float:
    """Let a run ask about every chunk, then remove it; return its seconds by the database clock."""
    runs = RunStore(user.database)
    body = {"user_id": user.identity.user_id, "questions_per_chunk": 1}
    started = httpx.post(f"{address}/deep-memory/generate", json=body, headers=_headers(user))
    run_id = started.raise_for_status().json()["training_run_id"]
    while runs.get(run_id).status is RunStatus.GENERATING:
        time.sleep(1)
    assert runs.get(run_id).status is RunStatus.GENERATED
    timeline = runs.events(run_id)
    runs.stop(run_id, by="the benchmark")
    runs.remove(run_id)
    return (timeline[-1].at - timeline[0].at).total_seconds()


@contextmanager
def _polling(
    address: str, users: list[SignedInUser], every_s: float, polls: Polls
) -> Iterator[None]:
    """Poll from a separate thread during the block."""
    stop = threading.Event()
    thread = threading.Thread(
        target=lambda: asyncio.run(_poll_all(address, users, every_s, polls, stop))
    )
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


async def _poll_all(
    address: str, users: list[SignedInUser], every_s: float, polls: Polls, stop: threading.Event
) -> None:
    # Below the 5 s after which the server closes an idle connection.
    limits = httpx.Limits(max_connections=None, keepalive_expiry=4)
    async with httpx.AsyncClient(timeout=30, limits=limits) as client:
        starts = np.linspace(0, every_s, len(users), endpoint=False)
        await asyncio.gather(
            *(
                _poll(client, address, user, start, every_s, polls, stop)
                for user, start in zip(users, starts, strict=True)
            )
        )


async def _poll(
    client: httpx.AsyncClient,
    address: str,
    user: SignedInUser,
    start_s: float,
    every_s: float,
    polls: Polls,
    stop: threading.Event,
) -> None:
    own = {"user_id": user.identity.user_id}
    await asyncio.sleep(start_s)
    while not stop.is_set():
        began = time.perf_counter()
        for path in ("settings", "runs"):
            asked = time.perf_counter()
            answer = await client.get(
                f"{address}/deep-memory/{path}", params=own, headers=_headers(user)
            )
            polls.seconds.append(time.perf_counter() - asked)
            if answer.status_code != 200:
                polls.refused.append(answer.status_code)
        await asyncio.sleep(max(0.0, every_s - (time.perf_counter() - began)))


def _headers(user: SignedInUser) -> dict[str, str]:
    return {"Authorization": f"Bearer {user.access_token()}"}


if __name__ == "__main__":
    main()
