"""Faults of DeepLake Cloud that need more than a scripted answer, for `benchmarks.faults`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from services.errors import AppError
from services.models import TrainingRun
from services.runs.states import RunStatus
from services.workspace import Workspace
from tests.fakes import wire
from tests.fakes.activeloop_server import FakeActiveloop

ALWAYS = 1_000_000
PEOPLE, SEARCH_S = 20, 1.5
# Fault, what the person sees, seconds, pairs kept, whether Proceed completed the run.
Row = tuple[str, str, float, int, bool | None]


def scenarios(workspace: Workspace, cloud: FakeActiveloop) -> Iterator[Row]:
    yield cancel_refused(workspace, cloud)
    yield slow_search(workspace, cloud)
    yield many_searches(workspace, cloud)


def cancel_refused(workspace: Workspace, cloud: FakeActiveloop) -> Row:
    """A person stops a run; the cloud goes on training, and is done when the person proceeds."""
    run, _ = timed(workspace, workspace.runs.generate)
    cloud.outcome, cloud.refuses_to_cancel = "stuck", 409
    before = set(cloud.jobs)
    workspace.runs.train(run.id)
    while not (jobs := set(cloud.jobs) - before):
        time.sleep(0.1)
    began = time.monotonic()
    seen = said(lambda: workspace.runs.stop(run.id))
    seconds = rounded(began)
    cloud.outcome, cloud.refuses_to_cancel = "completed", 0
    for job in jobs:
        cloud.finish(job)
    again, _ = timed(workspace, lambda: workspace.runs.proceed(run.id))
    return "cancel refused", seen, seconds, run.pair_count, again.status is RunStatus.COMPLETED


def slow_search(workspace: Workspace, cloud: FakeActiveloop) -> Row:
    cloud.fail(wire.slow(600), times=ALWAYS, matching="/api/query/")
    began = time.monotonic()
    seen = said(lambda: workspace.search.compare("quay", 5, None))
    seconds = rounded(began)
    cloud.forgive()
    return "a search that is never answered", seen, seconds, 0, None


def many_searches(workspace: Workspace, cloud: FakeActiveloop) -> Row:
    cloud.fail(wire.slow(SEARCH_S), times=ALWAYS, matching="/api/query/")
    began = time.monotonic()
    with ThreadPoolExecutor(PEOPLE) as people:
        searches = [lambda: workspace.search.compare("quay", 5, None)] * PEOPLE
        failed = [words for words in people.map(said, searches) if words != "nothing"]
    seconds = rounded(began)
    cloud.forgive()
    seen = f"{len(failed)} failed: {failed[0]}" if failed else "nothing"
    return f"{PEOPLE} searches at once, {SEARCH_S} s each", seen, seconds, 0, None


def said(act: Callable[[], object]) -> str:
    try:
        act()
    except AppError as error:
        return f"{error} {error.next_step}"
    return "nothing"


def timed(workspace: Workspace, begin: Callable[[], object]) -> tuple[TrainingRun, float]:
    """Call `begin`, and return the newest run and the seconds until nobody works on it."""
    began = time.monotonic()
    begin()
    while True:
        run = workspace.runs.page(limit=1)[0][0]
        if not run.status.is_active:
            return run, rounded(began)
        time.sleep(0.2)


def rounded(began: float) -> float:
    return round(time.monotonic() - began, 1)
