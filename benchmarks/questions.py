"""Draw a sample of the offline writer's questions, to be read and judged.

    python -m benchmarks.questions FILES... [--sample 20] [--seed 0] [--count 3]

Reads each file as the app does, asks about every chunk and prints `--sample` questions a file, each
beside its chunk. The last line is one JSON object with counts. A folder stands for its files, which
are sampled together.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.chunks import chunks_of
from services.generation.offline_writer import OfflineQuestionWriter
from services.models import Chunk
from services.pairs.quality import asks_little


@dataclass(frozen=True)
class Asked:
    """The questions about one file or folder."""

    name: str
    chunks: list[Chunk]
    pairs: list[tuple[Chunk, str]]
    seconds: float  # for writing alone


def ask(path: Path, count: int) -> Asked:
    """Write up to `count` questions about every chunk."""
    files = sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]
    chunks = [chunk for file in files for chunk in chunks_of(file.name, file.read_bytes())]
    writer, began = OfflineQuestionWriter(), time.perf_counter()
    pairs = [(chunk, asked) for chunk in chunks for asked in writer.write(chunk, count).questions]
    return Asked(path.name, chunks, pairs, time.perf_counter() - began)


def print_sample(asked: Asked, size: int, seed: int) -> None:
    """Print `size` of the questions, each as likely as any other."""
    drawn = random.Random(seed).sample(asked.pairs, min(size, len(asked.pairs)))
    for number, (chunk, question) in enumerate(drawn, 1):
        print(f"\n## {asked.name} {number}: {question}\n\n{chunk.text}")


def counts(asked: list[Asked]) -> dict[str, Any]:
    """The figures of the last line."""
    chunks = sum(len(one.chunks) for one in asked)
    questions = [question for one in asked for _, question in one.pairs]
    asked_about = sum(len({chunk.id for chunk, _ in one.pairs}) for one in asked)
    seconds = sum(one.seconds for one in asked)
    return {
        "chunks": chunks,
        "questions": len(questions),
        "questions_a_chunk": round(len(questions) / max(1, chunks), 2),
        "chunks_without_questions": chunks - asked_about,
        "fillers": sum(map(asks_little, questions)),
        "chunks_per_s": round(chunks / max(seconds, 1e-9), 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE")
    parser.add_argument("--sample", type=int, default=20, metavar="N")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=3, help="at most so many about a chunk")
    arguments = parser.parse_args()
    asked = [ask(path, arguments.count) for path in arguments.files]
    for one in asked:
        print_sample(one, arguments.sample, arguments.seed)
    print(json.dumps(counts(asked)))


if __name__ == "__main__":
    main()
