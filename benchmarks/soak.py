"""Does anything grow? `python -m benchmarks.soak --minutes 10 [--with-fakes]`.

The app runs in a separate process with the embedded database, and people use it without a pause:
each signs in, adds documents, generates and follows the events, reviews, trains, searches without
and with Deep Memory, removes a document and signs out; others open the screens over a websocket
and leave. Offline by default; with `--with-fakes` strict stand-ins for OpenAI and DeepLake Cloud
write, embed, store and train. Each knowledge base keeps its size, so whatever grows is a leak.

Every two seconds it records memory (MB private to a process, and resident), open files, threads and
processes of the app, of its worker processes and of the embedded Supabase. Prints one JSON object
last: for each of them the mean of the first and of the last third after the warm-up (a quarter of
the time), and the slope per hour (Theil-Sen: the median of all slopes between two samples). It
exits with status 1 if an operation failed.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import psutil

from benchmarks.soak_people import Person, watch_screens
from services.config import PROJECT_ROOT
from tests.embedded import temporary_data_dir
from tests.running_app import RunningApp, run_app

_EVERY_S = 2.0
_PEOPLE, _WATCHERS = 4, 1
_WARM_UP = 0.25
_GIVE_UP_S = 600.0  # to end the day that somebody began
Series = dict[str, list[float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--with-fakes", action="store_true")
    options = parser.parse_args()
    done: Counter[str] = Counter()
    errors: list[str] = []
    with (
        temporary_data_dir() as data_dir,
        ExitStack() as fakes,
        run_app(data_dir, **(_settings(fakes, data_dir) if options.with_fakes else {})) as app,
    ):
        until = time.monotonic() + 60 * options.minutes
        work = [Person(app, data_dir, number, done).live_a_day for number in range(_PEOPLE)]
        work += [watch_screens(app, data_dir, done)] * _WATCHERS
        with _working(work, until, errors):
            times, series = _sampled(app, data_dir, until)
        log = app.log.read_text()
    print(
        json.dumps(
            {
                "minutes": options.minutes,
                "with_fakes": options.with_fakes,
                "operations": dict(sorted(done.items())),
                "growth": {name: growth(times, series[name]) for name in sorted(series)},
                "errors": errors[:20],
                "tracebacks_in_log": log.count("Traceback"),
            }
        )
    )
    sys.exit(bool(errors))


def growth(times: list[float], values: list[float]) -> dict[str, float]:
    """First and last third after the warm-up, and the slope per hour; `times` in seconds."""
    first = int(_WARM_UP * len(values))
    at, warm = np.array(times[first:]), np.array(values[first:])
    third = max(1, len(warm) // 3)
    earlier, later = np.triu_indices(len(warm), k=1)
    slopes = (warm[later] - warm[earlier]) / (at[later] - at[earlier])
    return {
        "first_third": round(float(warm[:third].mean()), 1),
        "last_third": round(float(warm[-third:].mean()), 1),
        "per_hour": round(float(np.median(slopes)) * 3600, 1) if len(slopes) else 0.0,
    }


def _sampled(app: RunningApp, data_dir: Path, until: float) -> tuple[list[float], Series]:
    """What each group of processes uses, recorded every two seconds, and when."""
    times: list[float] = []
    series: Series = defaultdict(list)
    while True:
        number = len(times)
        times.append(time.monotonic())
        found = _sample(app, data_dir)
        for name in {*series, *found}:  # a group that is not there holds nothing
            series[name] += [0.0] * (number - len(series[name])) + [found.get(name, 0.0)]
        if time.monotonic() > until:
            return times, series
        time.sleep(_EVERY_S)


def _sample(app: RunningApp, data_dir: Path) -> dict[str, float]:
    found: Counter[str] = Counter()
    for group, process in _processes(app, data_dir):
        try:
            memory = process.memory_full_info()
            found[f"{group}_own_mb"] += memory.uss // 2**20
            found[f"{group}_resident_mb"] += memory.rss // 2**20
            found[f"{group}_files"] += process.num_fds()
            found[f"{group}_threads"] += process.num_threads()
            found[f"{group}_processes"] += 1
        except psutil.Error:  # it ended meanwhile
            continue
    return dict(found)


def _processes(app: RunningApp, data_dir: Path) -> Iterator[tuple[str, psutil.Process]]:
    """The app, what it started, and the Supabase that serves the data folder.

    Each connection to Postgres is a process of it.
    """
    roots = [psutil.Process(app.process.pid)]
    roots.extend(
        process
        for process in psutil.process_iter(["cmdline"])
        if str(data_dir) in " ".join(process.info["cmdline"] or [])
    )
    seen = set()
    for root in roots:
        try:
            tree = [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            continue
        for process in tree:
            if process.pid in seen:
                continue
            seen.add(process.pid)
            yield _group(app, process), process


def _group(app: RunningApp, process: psutil.Process) -> str:
    if process.pid == app.process.pid:
        return "app"
    try:
        command = " ".join(process.cmdline())
    except psutil.Error:
        return "worker"
    known = ("postgrest", "postgres", "local_supabase")
    return next((name for name in known if name in command), "worker")


@contextmanager
def _working(work: list[Callable[[], None]], until: float, errors: list[str]) -> Iterator[None]:
    """Repeat each of `work`, in its own thread, until the time is over."""

    def repeat(one: Callable[[], None]) -> None:
        while time.monotonic() < until:
            try:
                one()
            except Exception as error:  # noqa: BLE001 - all of them are told at the end
                errors.append(f"{type(error).__name__}: {error}"[:300])
                time.sleep(1)

    threads = [threading.Thread(target=repeat, args=(one,), daemon=True) for one in work]
    for thread in threads:
        thread.start()
    yield
    deadline = time.monotonic() + _GIVE_UP_S
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
        if thread.is_alive():
            raise SystemExit("Somebody's day does not end: the app hangs, or the machine is full.")


def _settings(stack: ExitStack, data_dir: Path) -> dict[str, str]:
    """The stand-ins, in separate processes, and the settings with which the app finds them."""
    openai = stack.enter_context(_server("openai_server"))
    cloud = stack.enter_context(_server("activeloop_server", "--folder", str(data_dir.parent)))
    return {**openai, **cloud, "DEEPLAKE_PATH": "hub://acme/soak"}


@contextmanager
def _server(name: str, *arguments: str) -> Iterator[dict[str, str]]:
    """A stand-in, with the settings that it prints once it is serving."""
    command = [sys.executable, "-m", f"tests.fakes.{name}", "--port", "0", *arguments]
    server = subprocess.Popen(command, cwd=PROJECT_ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        yield dict(re.findall(r"(\w+)=(\S+)", server.stdout.readline()))
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
