"""Do the tests notice? `python -m benchmarks.mutations [--per-module 6] [--seed 0] [--only WORD]`

Puts small faults, one at a time, into a copy of the modules that matter and into the functions of
the migrations, runs the test files that are to notice, and says which went unnoticed. Nothing is
changed in this checkout. About 15 minutes on 2 quiet cores for 6 faults a module. Prints a table,
and one JSON object last. Not for CI.

Why no mutation tool: mutmut 3 runs our pure modules well and fast (134 mutants of `spending.py`,
126 noticed), but it has no sample, counts changed words of messages as faults, forks a process
that holds Postgres and threads, and knows no SQL, where half of our rules are. poodle puts
`services/` on the path, where `services/http` hides Python's own; cosmic-ray changes the checkout;
mutatest ended with Python 3.8.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.mutants import Mutant, current_functions, python_mutants, sql_mutants
from benchmarks.mutation_targets import EQUIVALENT, MODULES, SQL
from services.config import PROJECT_ROOT

WORKERS = 2
MOST_S = 600  # for the tests of one mutant; one that hangs is noticed
_MIGRATIONS = "supabase/migrations"
_NOT_COPIED = shutil.ignore_patterns(".git", ".*_cache", "__pycache__", "data", ".env", "mutants")


@dataclass(frozen=True, slots=True)
class Fault:
    """One mutant, the file that it is put into, and the tests that are to notice."""

    target: str
    file: str
    mutant: Mutant
    tests: tuple[str, ...]

    def __str__(self) -> str:
        where = f"{self.file}:{self.mutant.line}"
        return f"{where}  {self.mutant.was}  ->  {self.mutant.became}"


def sample(per_module: int, seed: int, only: str = "") -> list[Fault]:
    """Some faults of each target with `only` in its name; all of them where there are few."""
    pools: dict[str, list[Fault]] = {}
    for fault in every_fault():
        pools.setdefault(fault.target, []).append(fault)
    return [
        fault
        for target, pool in pools.items()
        if only in target
        for fault in random.Random(f"{seed} {target}").sample(pool, min(per_module, len(pool)))
    ]


def every_fault() -> Iterator[Fault]:
    for module, tests in MODULES.items():
        for mutant in python_mutants((PROJECT_ROOT / module).read_text()):
            if (module, mutant.was, mutant.became) not in EQUIVALENT:
                yield Fault(module, module, mutant, tuple(tests))
    files = {path.name: path.read_text() for path in (PROJECT_ROOT / _MIGRATIONS).glob("*.sql")}
    functions = current_functions(files)
    for target, (names, tests) in SQL.items():
        for name in names:
            file, begin, end = functions[name]
            for mutant in sql_mutants(files[file], begin, end):
                if (name, mutant.was, mutant.became) not in EQUIVALENT:
                    yield Fault(target, f"{_MIGRATIONS}/{file}", mutant, tuple(tests))


class Copies:
    """Copies of the tree for workers to put faults into, one fault at a time in each."""

    def __init__(self, folder: Path) -> None:
        self._free: queue.SimpleQueue[Path] = queue.SimpleQueue()
        for number in range(WORKERS):
            copy = folder / f"copy-{number}"
            shutil.copytree(PROJECT_ROOT, copy, ignore=_NOT_COPIED)
            (copy / ".pytest_cache").mkdir()
            fetched = PROJECT_ROOT / ".pytest_cache" / "embedded-tools"  # so that npm is not asked
            fetched.mkdir(parents=True, exist_ok=True)
            (copy / ".pytest_cache" / "embedded-tools").symlink_to(fetched)
            self._free.put(copy)

    @contextmanager
    def one(self) -> Iterator[Path]:
        copy = self._free.get()
        try:
            yield copy
        finally:
            self._free.put(copy)

    def outcome(self, fault: Fault) -> str:
        """As `run_tests`; only of SQL is a mutant invalid, where the database does not take it."""
        with self.one() as copy:
            path = copy / fault.file
            whole = path.read_text()
            path.write_text(fault.mutant.text)
            try:
                outcome = run_tests(copy, fault.tests)
            finally:
                path.write_text(whole)
        return "caught" if outcome == "invalid" and path.suffix == ".py" else outcome

    def is_green(self, tests: Sequence[str]) -> bool:
        with self.one() as copy:
            return run_tests(copy, tests) == "survived"


def run_tests(copy: Path, tests: Sequence[str]) -> str:
    """Say "caught", "hung", "survived", or "invalid" where not even the first test began."""
    options = ["-x", "-q", "-o", "addopts=", "-p", "no:cacheprovider"]
    # No bytecode: two mutants of one length in one second would look alike to it.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    files = [f"tests/{name}.py" for name in tests]
    try:
        answer = subprocess.run(
            [sys.executable, "-m", "pytest", *options, *files],
            cwd=copy, env=environment, capture_output=True, text=True, timeout=MOST_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return "hung"
    if answer.returncode == 0:
        return "survived"
    began = " passed" in answer.stdout or " failed" in answer.stdout
    return "caught" if began else "invalid"


def measure(faults: Sequence[Fault], copies: Copies) -> dict[str, list[tuple[Fault, str]]]:
    """The outcomes by target. Stops where tests fail without any fault: they would notice all."""
    outcomes: dict[str, list[tuple[Fault, str]]] = {}
    with ThreadPoolExecutor(WORKERS) as pool:
        lists = sorted({fault.tests for fault in faults})
        for tests, green in zip(lists, pool.map(copies.is_green, lists), strict=True):
            if not green:
                raise SystemExit(f"These fail as the code is: {', '.join(tests)}")
        for fault, outcome in zip(faults, pool.map(copies.outcome, faults), strict=True):
            outcomes.setdefault(fault.target, []).append((fault, outcome))
            print(f"{outcome:9} {fault}", flush=True)
    return outcomes


def report(outcomes: dict[str, list[tuple[Fault, str]]], seed: int, seconds: float) -> None:
    table = {
        target: [
            sum(o in ("caught", "hung") for _, o in rows),
            sum(o != "invalid" for _, o in rows),
        ]
        for target, rows in outcomes.items()
    }
    print("\n| module | caught | of |\n|---|---:|---:|")
    for target, (caught, total) in table.items():
        print(f"| {target} | {caught} | {total} |")
    caught, total = (sum(counts) for counts in zip(*table.values(), strict=True))
    print(f"| all | {caught} | {total} |\n")
    survivors = [str(f) for rows in outcomes.values() for f, o in rows if o == "survived"]
    result = {
        "caught": caught, "total": total, "share": round(caught / total, 3), "seed": seed,
        "seconds": round(seconds), "modules": table, "survivors": survivors,
    }  # fmt: skip
    print(json.dumps(result))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--per-module", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="targets with this in their name")
    chosen = parser.parse_args()
    faults = sample(chosen.per_module, chosen.seed, chosen.only)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutations-") as folder:
        os.chmod(folder, 0o755)  # for root, Postgres runs as another user
        outcomes = measure(faults, Copies(Path(folder)))
    report(outcomes, chosen.seed, time.monotonic() - began)


if __name__ == "__main__":
    main()
