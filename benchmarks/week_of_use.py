"""A week of use of OpenAI and DeepLake Cloud: `python -m benchmarks.week_of_use`.

The real services and clients against the stand-ins, with faults, stops and restarts in between.
Prints what happened each day, and one JSON object last. It exits with status 1 if a promise is
broken: a call without a time limit, an answer or a training that is paid for twice, or a day that
did not end as it should.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.cloud_faults import timed
from benchmarks.faults import document
from services.config import Settings
from services.errors import AppError
from services.generation.batch_mode import BatchMode
from services.models import TrainingRun
from services.pairs.store import PairStore
from services.runs.states import RunStatus
from services.studio import Studio
from services.workspace import Workspace
from tests.behind_the_door import store_of
from tests.embedded import temporary_data_dir
from tests.fakes import openai_server, wire
from tests.fakes.activeloop_server import FakeActiveloop
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.wire import Call

CHAT, TRAIN = "/chat/completions{", "/deepmemory/v1/train"
NEVER_S = 90.0  # as good as: the search gives up on such a call after 20 seconds, and repeats it
LONGEST_SEARCH_S = 60.0
_ID = re.compile(r"(?<=/)(file-|batch_)\d+|(?<=/)[\w-]*[0-9a-f-]{20,}\w*")


@dataclass
class Week:
    """One person, an app that is restarted along the way, and what was noticed."""

    settings: Settings
    openai: FakeOpenAI
    cloud: FakeActiveloop
    documents: int = 0
    asked_again_on_request: int = 0
    stored_and_asked_again: int = 0
    under_way_and_asked_again: int = 0
    _run_began: int = 0  # where the log stood
    broken: list[str] = field(default_factory=list)

    def start(self) -> None:
        """Start the app, and sign in."""
        mode = BatchMode(0, urlsplit(self.openai.base_url).netloc, 0.1, 0.5)
        self.studio = Studio(self.settings, batch_mode=mode)
        user = self.studio.accounts.sign_up("week@example.com", "a long password")
        self.space = Workspace(self.studio, user)

    def stop(self) -> None:
        self.studio.stop()
        store_of(self.space).reader.close()  # type: ignore[attr-defined]
        store_of(self.space).writer.close()  # type: ignore[attr-defined]

    def restart(self) -> None:
        self.stop()
        self.start()

    def add(self, count: int) -> None:
        files = [document(self.documents + number) for number in range(count)]
        self.space.documents.add(files)
        self.documents += count

    def expect(self, run: TrainingRun, status: RunStatus) -> TrainingRun:
        if run.status is not status:
            self.broken.append(f"a run is {run.status}, not {status}: {run.error_message}")
        return run

    def begin(self, *, batch_mode: bool = False) -> TrainingRun:
        self._run_began = len(self.openai.log)
        return self.space.runs.generate(2, batch_mode=batch_mode)

    def generate(self) -> TrainingRun:
        run, _ = timed(self.space, self.begin)
        return run

    def train(self, run: TrainingRun) -> TrainingRun:
        trained, _ = timed(self.space, lambda: self.space.runs.train(run.id))
        return self.expect(trained, RunStatus.COMPLETED)

    def proceed(self, run: TrainingRun) -> TrainingRun:
        """Proceed, and check that nothing that is stored is asked again."""
        stored = {pair.chunk_id for pair in PairStore(self.space.user.database).all(run.id)}
        texts = {chunk.id: chunk.text for chunk in store_of(self.space).snapshot().chunks}
        before = len(self.openai.log)
        after, _ = timed(self.space, lambda: self.space.runs.proceed(run.id))
        asked = Counter(map(passage, answered(self.openai.log[before:])))
        self.stored_and_asked_again += sum(asked[texts[id_]] for id_ in stored if id_ in texts)
        if after.status is RunStatus.GENERATED:
            all_asked = Counter(map(passage, answered(self.openai.log[self._run_began :])))
            # Answered but not stored: what was in flight when the work was stopped.
            self.under_way_and_asked_again += sum(count - 1 for count in all_asked.values())
        return after

    def until(self, is_so: Callable[[TrainingRun], bool], seconds: float = 30) -> TrainingRun:
        deadline = time.monotonic() + seconds
        while True:
            run = self.space.runs.page(limit=1)[0][0]
            if is_so(run):
                return run
            if time.monotonic() > deadline:
                raise SystemExit(f"The week stands still: {run}")
            time.sleep(0.05)

    def search(self, count: int) -> None:
        for number in range(count):
            query = f"Who moors vesselb{number} at quay{number}?"
            self.space.search.compare(query, 5, self.space.models.state().active)


def monday(week: Week) -> str:
    week.add(40)
    run = week.expect(week.generate(), RunStatus.GENERATED)
    week.train(run)
    week.space.models.set_enabled(True)
    week.search(5)
    return "40 documents, generated, trained, searched"


def tuesday(week: Week) -> str:
    """429, dropped connections and slow replies pass; cut-off answers are retried on request."""
    week.add(10)
    week.openai.fail(openai_server.rate_limited(0.5), times=3, matching=CHAT)
    week.openai.fail(wire.hang_up, times=2, matching=CHAT)
    week.openai.fail(wire.slow(1.5), openai_server.cut_off, times=2, matching=CHAT)
    run = week.expect(week.generate(), RunStatus.GENERATED)
    cut = sum(week.space.runs.problems(run.id).values())
    week.asked_again_on_request += cut
    run, _ = timed(week.space, lambda: week.space.runs.retry_problems(run.id))
    week.cloud.outcome = "stuck"
    week.space.runs.train(run.id)
    week.until(lambda run: run.deeplake_job_id in week.cloud.jobs)
    week.space.runs.stop(run.id)
    week.cloud.outcome = "completed"
    week.expect(week.proceed(week.until(lambda run: True)), RunStatus.COMPLETED)
    return f"faults passed by, {cut} cut answers asked again, training stopped and proceeded"


def wednesday(week: Week) -> str:
    """A stop in the middle of a generation, then Proceed; a document is removed."""
    week.add(10)
    week.openai.fail(wire.slow(0.8), times=10_000, matching=CHAT)
    run = week.begin()
    week.until(lambda run: run.processed_chunks >= 8)
    week.space.runs.stop(run.id)
    stopped = week.until(lambda run: not run.status.is_active)
    week.openai.forgive()
    week.expect(week.proceed(stopped), RunStatus.GENERATED)
    week.space.runs.stop(run.id)
    week.space.runs.remove(run.id)
    week.space.documents.remove(week.space.documents.all()[0].id)
    week.search(5)
    return f"stopped with {stopped.processed_chunks} chunks done, proceeded, discarded"


def thursday(week: Week) -> str:
    """A quota that is used up, and restarts in the middle of a generation and of a training."""
    week.openai.fail(openai_server.insufficient_quota, times=1_000, matching=CHAT)
    week.expect(week.generate(), RunStatus.GENERATING_FAILED)
    week.openai.forgive()
    week.openai.fail(wire.slow(0.8), times=10_000, matching=CHAT)
    week.space.runs.proceed(week.until(lambda run: True).id)
    week.until(lambda run: run.processed_chunks >= 8)
    week.restart()
    week.openai.forgive()
    left = week.until(lambda run: not run.status.is_active)
    run = week.expect(week.proceed(left), RunStatus.GENERATED)
    week.cloud.outcome = "stuck"
    week.space.runs.train(run.id)
    week.until(lambda run: run.deeplake_job_id in week.cloud.jobs)
    week.restart()
    week.cloud.outcome = "completed"
    again = week.proceed(week.until(lambda run: not run.status.is_active))
    week.expect(again, RunStatus.COMPLETED)
    return "no quota, then restarts in a generation and in a training"


def friday(week: Week) -> str:
    """Batch mode, with a restart while a batch is waiting."""
    week.add(5)
    queue = week.openai.queue
    assert queue is not None
    queue.answers_a_look = 1
    week.begin(batch_mode=True)
    week.until(lambda _: any(batch.answered for batch in queue.batches.values()))
    week.restart()
    queue.answers_a_look = None
    left = week.until(lambda run: not run.status.is_active)
    run = week.expect(week.proceed(left), RunStatus.GENERATED)
    week.train(run)
    return f"{len(queue.batches)} batch for {run.total_chunks} chunks, over a restart"


def saturday(week: Week) -> str:
    """A search that the cloud never answers."""
    week.cloud.fail(wire.slow(NEVER_S), matching="/api/query/")
    began = time.monotonic()
    try:
        week.search(1)
    except AppError as error:
        said = str(error)
    else:
        said = "answered at the second try"
    seconds = time.monotonic() - began
    if seconds > LONGEST_SEARCH_S:
        week.broken.append(f"a search took {seconds:.0f} s")
    week.search(5)
    return f"a search that hung ended after {seconds:.0f} s ({said})"


def sunday(week: Week) -> str:
    week.search(10)
    return "10 searches"


DAYS = (monday, tuesday, wednesday, thursday, friday, saturday, sunday)


def main() -> None:
    began = time.monotonic()
    with a_week() as week:
        for day in DAYS:
            day_began = time.monotonic()
            print(f"{day.__name__}: {day(week)} ({rounded(day_began)} s)", flush=True)
        runs = week.space.runs.page(limit=100)[0]
        figures = read_logs(week, runs)
    promises = {
        "calls_without_a_time_limit": figures["calls_without_a_time_limit"],
        "answers_paid_for_twice": figures["answers_paid_for_twice"],
        "answers_under_way_asked_again": figures["answers_under_way_asked_again"],
        "cloud_trainings_paid_for_twice": figures["cloud_trainings_paid_for_twice"],
        "days_that_ended_otherwise": len(week.broken),
    }
    print(json.dumps({**figures, "broken": week.broken, "seconds": rounded(began)}))
    sys.exit(any(promises.values()))


@contextmanager
def a_week() -> Iterator[Week]:
    with (
        temporary_data_dir() as data_dir,
        FakeOpenAI() as openai,
        FakeActiveloop(Path(data_dir)) as cloud,
    ):
        settings = Settings(
            _env_file=None,
            data_dir=data_dir,
            deeplake_path="hub://acme/week",
            activeloop_token=cloud.token,
            activeloop_endpoint=cloud.url,
            openai_api_key=openai.key,
            openai_base_url=openai.base_url,
            embedding_model="wordllama",
        )
        week = Week(settings, openai, cloud)
        week.start()
        try:
            yield week
        finally:
            week.stop()


def read_logs(week: Week, runs: list[TrainingRun]) -> dict[str, object]:
    of_openai, of_cloud = week.openai.calls(), week.cloud.calls()
    # The client says how long it waits in a header. DeepLake's has no limit of its own: its calls
    # are made by a process that is ended at a deadline, which Saturday holds it to.
    unbounded = [
        call
        for call in of_openai
        if call.method != "BATCH" and not limit_s(call.request.headers) > 0
    ]
    trainings = sum(call.status == 200 for call in week.cloud.calls(TRAIN))
    cancelled = sum(call.status == 200 for call in week.cloud.calls("/cancel"))
    completed = {run.deeplake_job_id for run in runs if run.deeplake_job_id}
    return {
        "calls": routes(of_openai, "OpenAI") | routes(of_cloud, "DeepLake Cloud"),
        "calls_without_a_time_limit": len(unbounded),
        "answers": len(answered(of_openai)),
        "answers_paid_for_twice": week.stored_and_asked_again,
        "answers_under_way_asked_again": week.under_way_and_asked_again,
        "answers_asked_again_on_request": week.asked_again_on_request,
        "cloud_trainings": trainings,
        "cloud_trainings_cancelled_by_a_stop": cancelled,
        "cloud_trainings_paid_for_twice": trainings - cancelled - len(completed),
        "longest_call_s": round(max(call.seconds for call in of_openai + of_cloud), 1),
    }


def answered(calls: list[Call]) -> list[Call]:
    """The calls that cost money: questions, alone and in batches."""
    return [call for call in calls if "/chat/completions" in call.path and call.status == 200]


def passage(call: Call) -> str:
    content = json.loads(call.request.text)["messages"][-1]["content"]
    return content.split("<passage>\n")[1].split("\n</passage>")[0]


def limit_s(headers: dict[str, str]) -> float:
    return float(headers.get("x-stainless-read-timeout", 0))


def routes(calls: list[Call], server: str) -> dict[str, int]:
    """How many calls went to each route, ids left out."""
    counted = Counter(f"{server} {call.method} {_ID.sub('*', call.path)}" for call in calls)
    return dict(sorted(counted.items()))


def rounded(began: float) -> float:
    return round(time.monotonic() - began, 1)


if __name__ == "__main__":
    main()
