"""Measure what generation adds to the model's own time: `python -m benchmarks.generation`.

Runs the whole pool against the embedded Supabase and a stand-in for OpenAI, in a separate process,
that takes 200 ms per answer. Prints one JSON object last. The ideal rate is concurrency/latency.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from services.accounts.database import Database
from services.config import PROJECT_ROOT, Settings
from services.generation.pair_generator import generate_pairs
from services.generation.question_writers import make_question_writer
from services.models import Chunk
from services.runs.lease import RunLease
from services.runs.store import RunStore
from services.studio import Studio
from tests.embedded import temporary_data_dir

QUESTIONS_PER_CHUNK = 3
TEXT = (
    "Harbourmaster{0} of quay {0} keeps the berthingplan{0} and answers for mooringlines{0}. " * 8
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, default=1_000)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--latency-s", type=float, default=0.2)
    options = parser.parse_args()
    with temporary_data_dir() as data_dir, fake_openai(options.latency_s) as (base_url, key):
        settings = Settings(
            _env_file=None,
            data_dir=data_dir,
            openai_base_url=base_url,
            openai_api_key=key,
            embedding_model="wordllama",
        )
        seconds, pairs = generation(settings, options.chunks, options.concurrency)
    rate, ideal = options.chunks / seconds, options.concurrency / options.latency_s
    result = {
        "chunks": options.chunks,
        "pairs": pairs,
        "concurrency": options.concurrency,
        "latency_s": options.latency_s,
        "seconds": round(seconds, 2),
        "chunks_per_s": round(rate, 1),
        "ideal_chunks_per_s": ideal,
        "share_of_ideal": round(rate / ideal, 3),
    }
    print(json.dumps(result))


def generation(settings: Settings, chunk_count: int, concurrency: int) -> tuple[float, int]:
    """Return the seconds from the first call until the end is stored, and the number of pairs."""
    chunks = [Chunk(f"c{n}", "d", "Quays.txt", n, TEXT.format(n)) for n in range(chunk_count)]
    studio = Studio(settings)
    try:
        runs = RunStore(studio.sign_in_as_demo().database)
        run = runs.start(total_chunks=chunk_count, settings={})
        lease = RunLease(Database(studio.endpoint.url, studio.endpoint.secret_key), run)
        lease.claim()
        writer = make_question_writer(settings)  # imports openai, as the app has by then
        began = time.perf_counter()
        generate_pairs(
            lease,
            chunks,
            writer,
            questions_per_chunk=QUESTIONS_PER_CHUNK,
            concurrency=concurrency,
        )
        return time.perf_counter() - began, runs.get(run.id).pair_count
    finally:
        studio.stop()


@contextmanager
def fake_openai(latency_s: float) -> Iterator[tuple[str, str]]:
    """The base URL and the key of a stand-in in a separate process."""
    command = [sys.executable, "-m", "tests.fakes.openai_server", "--port", "0"]
    command += ["--latency-s", str(latency_s)]
    server = subprocess.Popen(command, cwd=PROJECT_ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        settings = dict(re.findall(r"(\w+)=(\S+)", server.stdout.readline()))
        yield settings["OPENAI_BASE_URL"], settings["OPENAI_API_KEY"]
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
