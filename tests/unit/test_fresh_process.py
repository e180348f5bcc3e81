"""What is loaded at the first use is whole for every thread that uses it, in any new process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from types import ModuleType
from typing import Any

import pytest

from services.config import Settings
from services.http import bearer
from services.openai_api import limits as openai_limits
from services.retrieval import cloud_store, stores

# Every thread does all of the work, and all begin at once, before anything is loaded.
THREADS = """
import json, sys, threading
from services.knowledge.sample import sample_documents

texts = [content.decode() for _, content in sample_documents()[:12]]
made, start = {}, threading.Barrier(int(sys.argv[1]))

def work(name):
    start.wait()
    made[name] = make()

def run():
    threads = [threading.Thread(target=work, args=(name,)) for name in range(start.parties)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    assert len(made) == start.parties
    print(json.dumps(list(made.values())))
"""
QUESTIONS = """
def make():
    from services.models import Chunk
    from services.generation.offline_writer import OfflineQuestionWriter
    writer = OfflineQuestionWriter()
    chunks = [Chunk(id="c", document_id="d", document="d", position=0, text=t) for t in texts]
    return [writer.write(chunk, 10).questions for chunk in chunks]
run()
"""
VECTORS = """
def make():
    from services.retrieval.embeddings import WordLlamaEmbedder
    return WordLlamaEmbedder().embed(texts).tolist()
run()
"""
WORD_SCORES = """
import lzma
opened, open_table = [], lzma.open
lzma.open = lambda *args: (opened.append(args), open_table(*args))[1]

def make():
    from services.ranking.words import numbered_words
    vocabulary, words, counts = numbered_words(texts)
    return [vocabulary, words.tolist(), counts.tolist()]
run()
assert len(opened) == 1, "the table of base forms takes 25 MB and a fifth of a second each time"
"""


def made_by_a_new_process(code: str, *, threads: int, hash_seed: int) -> list[Any]:
    """What each of `threads` threads made."""
    done = subprocess.run(
        [sys.executable, "-c", THREADS + code, str(threads)],
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "code", [QUESTIONS, VECTORS, WORD_SCORES], ids=["questions", "vectors", "word scores"]
)
def test_all_threads_of_a_new_process_make_what_a_single_one_makes(code: str) -> None:
    alone = made_by_a_new_process(code, threads=1, hash_seed=1)[0]
    assert alone
    for made in made_by_a_new_process(code, threads=8, hash_seed=2):
        assert made == alone


@pytest.mark.parametrize(
    ("module", "made", "ask"),
    [
        (openai_limits, "RateLimiter", lambda: openai_limits.limiter_of("http://fresh", "model")),
        (stores, "LocalVectorStore", lambda: stores.open_store(Settings(), "fresh", "toy", 8)),
        (
            cloud_store,
            "CloudProcesses",
            lambda: cloud_store._shared_processes("fresh", None, "read"),
        ),
        (bearer, "BearerWorkspaces", lambda: bearer._workspaces("fresh")),
    ],
    ids=["limiter", "local store", "cloud processes", "workspaces"],
)
def test_what_all_threads_share_is_one_also_for_those_that_ask_first(
    module: ModuleType, made: str, ask: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    two_are_making_it = threading.Barrier(2)

    def slowly(*_: object, **__: object) -> object:
        with suppress(threading.BrokenBarrierError):
            two_are_making_it.wait(timeout=0.5)
        return object()

    monkeypatch.setattr(module, made, slowly)
    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(lambda _: ask(), range(2))
    assert first is second
