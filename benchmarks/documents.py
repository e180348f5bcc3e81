"""How well and how fast are files read? `python -m benchmarks.documents DIR [--peers PYTHON]`

Reads every file below DIR as the app does (in a process of its own, one file at a time), and prints
for each: pages, chunks, characters, seconds, and what was left out. Then the totals, with the peak
memory of the reading process, and one JSON object last. Nothing is stored.

With `--peers`, a Python in which `markitdown[all]` and `kreuzberg` are installed reads the same
files, side by side in the same run, one process for each peer:

    python -m venv PEERS && PEERS/bin/pip install -r benchmarks/requirements-documents.txt
    python -m benchmarks.documents DIR --peers PEERS/bin/python
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from services.reading.blocks import Reading
from services.reading.readers import Readers
from services.retrieval.chunking import split_into_chunks

PEERS = ("markitdown", "kreuzberg")
_SAMPLES_S = 0.05
# Run by the other Python: reads the files named on its input, and prints a line for each.
_PEER = """
import json, sys, time
def markitdown():
    from markitdown import MarkItDown
    converter = MarkItDown(enable_plugins=False)
    return lambda path: converter.convert(path).text_content
def kreuzberg():
    from kreuzberg import extract_file_sync
    return lambda path: extract_file_sync(path).content
read = globals()[sys.argv[1]]()
for line in sys.stdin:
    began = time.perf_counter()
    try:
        said = {"characters": len(read(line.rstrip("\\n"))), "problem": ""}
    except Exception as error:
        said = {"characters": 0, "problem": type(error).__name__}
    print(json.dumps({**said, "seconds": time.perf_counter() - began}), flush=True)
"""


@dataclass(slots=True)
class OfFile:
    """What was read of one file. `pages` is the last page that has text, 0 without pages."""

    name: str
    megabytes: float
    seconds: float = 0.0
    pages: int = 0
    chunks: int = 0
    characters: int = 0
    notes: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


class PeakMemory:
    """The most resident memory, in MB, of the processes below this one while the block runs."""

    def __enter__(self) -> PeakMemory:
        self.mb = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(_SAMPLES_S):
            for child in psutil.Process().children(recursive=True):
                try:
                    self.mb = max(self.mb, child.memory_info().rss / 1e6)
                except psutil.NoSuchProcess:
                    continue


def read_by_us(files: Sequence[Path]) -> tuple[list[OfFile], float]:
    """What the app makes of the files, and the peak memory of its reading process in MB."""
    readers, lost = Readers(processes=1), threading.Event()
    with PeakMemory() as memory:
        found = [_of_file(readers, path, lost) for path in files]
    readers.stop()
    return found, memory.mb


def _of_file(readers: Readers, path: Path, lost: threading.Event) -> OfFile:
    of = OfFile(path.name, path.stat().st_size / 1e6)
    began = time.perf_counter()
    for outcome in readers.read(path.name, path, lambda share: None, lost):
        if not isinstance(outcome, Reading):
            of.refused.append(str(outcome[1]))
            continue
        chunks = split_into_chunks(outcome.blocks, "document", outcome.name)
        of.chunks += len(chunks)
        of.pages += max((block.page or 0 for block in outcome.blocks), default=0)
        of.characters += sum(len(chunk.text) for chunk in chunks)
        of.notes += outcome.notes
    of.seconds = time.perf_counter() - began
    return of


def read_by_peer(python: str, peer: str, files: Sequence[Path]) -> tuple[list[OfFile], float]:
    with tempfile.TemporaryDirectory() as folder, PeakMemory() as memory:
        answer = subprocess.run(
            [python, "-c", _PEER, peer],
            input="".join(f"{path.resolve()}\n" for path in files),
            capture_output=True, text=True, cwd=folder, env={**os.environ, "HF_HUB_OFFLINE": "1"},
        )  # fmt: skip
    lines = [json.loads(line) for line in answer.stdout.splitlines() if line.startswith("{")]
    found = []
    for path, said in zip(files, lines, strict=False):  # it may have died on one
        refused = [said["problem"]] if said["problem"] else []
        found.append(
            OfFile(
                path.name, path.stat().st_size / 1e6, said["seconds"],
                characters=said["characters"], refused=refused,
            )
        )  # fmt: skip
    return found, memory.mb


def report(ours: Sequence[OfFile], memory_mb: float) -> dict[str, float]:
    print("| file | MB | pages | chunks | characters | s | said |\n|---|--:|--:|--:|--:|--:|---|")
    for of in ours:
        said = "; ".join([*of.notes, *(f"refused: {reason}" for reason in of.refused)])
        print(
            f"| {of.name} | {of.megabytes:.2f} | {of.pages or ''} | {of.chunks:,} | "
            f"{of.characters:,} | {of.seconds:.2f} | {said} |"
        )
    seconds = sum(of.seconds for of in ours)
    paged = [of for of in ours if of.pages]
    paged_s = sum(of.seconds for of in paged)
    return {
        "files": len(ours),
        "refused": sum(bool(of.refused) for of in ours),
        "pages_per_s": round(sum(of.pages for of in paged) / paged_s, 1) if paged_s else 0.0,
        "chunks_per_s": round(sum(of.chunks for of in ours) / seconds, 1),
        "mb_per_s": round(sum(of.megabytes for of in ours) / seconds, 2),
        "seconds": round(seconds, 2),
        "peak_mb": round(memory_mb),
    }


def compare(ours: Sequence[OfFile], theirs: Sequence[OfFile], memory_mb: float) -> dict[str, float]:
    """A peer's totals; `times_ours` is how many times as long it takes on what both could read."""
    both = [
        (our, their)
        for our, their in zip(ours, theirs, strict=False)
        if our.chunks and not their.refused
    ]
    our_s, their_s = (sum(pair[side].seconds for pair in both) for side in (0, 1))
    return {
        "read": sum(not of.refused for of in theirs),
        "seconds": round(sum(of.seconds for of in theirs), 2),
        "times_ours": round(their_s / our_s, 2) if our_s else 0.0,
        "characters": sum(of.characters for of in theirs),
        "peak_mb": round(memory_mb),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--peers", default="", metavar="PYTHON", help="a Python that has the peers")
    chosen = parser.parse_args()
    files = sorted(path for path in chosen.folder.rglob("*") if path.is_file())
    if not files:
        sys.exit(f"{chosen.folder} holds no file.")
    ours, memory_mb = read_by_us(files)
    result: dict[str, object] = {"ours": report(ours, memory_mb)}
    if chosen.peers:
        peers = {}
        for peer in PEERS:
            theirs, their_mb = read_by_peer(chosen.peers, peer, files)
            peers[peer] = compare(ours, theirs, their_mb)
            print(f"\n{peer}: {peers[peer]}")
            for of in theirs:
                if of.refused:
                    print(f"- {of.name}: {of.refused[0]}")
        result["peers"] = peers
    print(json.dumps({**result, "by_file": [asdict(of) for of in ours]}))


if __name__ == "__main__":
    main()
