"""Each fault: what breaks, at which moment, and what must hold when the run is done all the same.

A fault leads a run to its moment, breaks something, and leaves the run either for the rescue or to
its worker that lives on. `run_fault` does the rest and counts.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from services.errors import DatabaseUnavailable
from services.runs.states import RunStatus
from tests.crash.scene import CHUNKS, CONCURRENCY, App, Person, Scene, eventually

S = RunStatus
DONE_S = 120.0  # for a run of 40 chunks and its training, on a busy machine
STORED = 12  # chunks that are stored when the fault comes

# Makes the sweep find the run: by waiting for it, or by letting the lease run out at once.
Rescue = Callable[[Scene, Person], None]


@dataclass(frozen=True)
class Broken:
    """What a fault leaves behind."""

    at: float  # time.monotonic
    is_rescued: bool = True  # False: its worker goes on by itself
    afterwards: Callable[[], None] = lambda: None  # once the run is done


@dataclass(frozen=True)
class Outcome:
    fault: str
    rescued_after_s: float | None  # None: nobody had to, the worker went on
    chunks_in_flight: int  # asked and not stored when the run was found
    chunks_asked_twice: int
    pairs_lost: int
    pairs_twice: int
    chunks_uncovered: int


@dataclass
class Act:
    """A fault about to happen: the scene, the app that it hits, the person whose run it is."""

    scene: Scene
    app: App
    person: Person
    outage_s: float

    def generating(self) -> None:
        """Until 12 chunks are stored and 4 calls wait for their answer."""
        self.person.watch.hold_after(STORED)
        self.app.generate(self.person)
        self.person.watch.wait_until_held(CONCURRENCY)
        eventually(lambda: self.person.processed(STORED), "12 chunks are stored")

    def in_review(self) -> None:
        self.app.generate(self.person)
        until(self.person, S.GENERATED)

    def kill(self, app: App | None = None) -> float:
        process = (app or self.app).running.process
        process.kill()
        process.wait()
        return time.monotonic()


def killed_before_a_reply(act: Act) -> Broken:
    act.generating()
    at = act.kill()
    act.person.watch.allow()
    return Broken(at)


def killed_after_a_reply(act: Act) -> Broken:
    """The answers have arrived, and are paid for; their write has not begun to land."""
    act.generating()
    with act.scene.database_pausing_at(act.person, "new.processed_chunks > 12") as pause:
        act.person.watch.allow(CONCURRENCY)
        pause.wait_until_reached()
        at = act.kill()
        pause.break_off()
    act.person.watch.allow()
    return Broken(at)


def killed_while_pairs_and_progress_land(act: Act) -> Broken:
    """They are one transaction: it lands whole, and only its answer reaches nobody."""
    act.generating()
    with act.scene.database_pausing_at(act.person, "new.processed_chunks > 12") as pause:
        act.person.watch.allow(CONCURRENCY)
        pause.wait_until_reached()
        at = act.kill()
        pause.go_on()
    eventually(lambda: act.person.run.processed_chunks > STORED, "the write has landed")
    act.person.watch.allow()
    return Broken(at)


def killed_before_the_training_submit(act: Act) -> Broken:
    """While the questions are embedded, which comes first."""
    act.in_review()
    act.person.watch.hold_after(0, path="/embeddings")
    act.app.train(act.person)
    act.person.watch.wait_until_held(1)
    at = act.kill()
    act.person.watch.allow()
    return Broken(at)


def killed_after_the_training_submit(act: Act) -> Broken:
    """The trainer is done, and nothing of it is stored yet."""
    act.in_review()
    measuring = "new.metrics->'progress'->>'step' like 'Measuring%'"
    with act.scene.database_pausing_at(act.person, measuring) as pause:
        act.app.train(act.person)
        pause.wait_until_reached()
        at = act.kill()
        pause.break_off()
    return Broken(at)


def killed_between_model_file_and_completed(act: Act) -> Broken:
    act.in_review()
    with act.scene.database_pausing_at(act.person, "new.status = 'completed'") as pause:
        act.app.train(act.person)
        pause.wait_until_reached()
        assert list(act.person.model_files.glob(f"{act.person.run_id}*"))
        at = act.kill()
        pause.break_off()
    return Broken(at)


def paused_past_the_lease(act: Act) -> Broken:
    """SIGSTOP, and SIGCONT when another process has long finished the run."""
    act.generating()
    os.kill(act.app.pid, signal.SIGSTOP)
    stopped_at = time.monotonic()

    def wake_up() -> None:
        before = (act.person.run, act.scene.pairs_of(act.person))
        time.sleep(max(0.0, stopped_at + 6 - time.monotonic()))  # longer than good news lasts
        os.kill(act.app.pid, signal.SIGCONT)
        eventually(lambda: act.app.says(f"run_lost run={act.person.run_id}"), "it stops")
        assert (act.person.run, act.scene.pairs_of(act.person)) == before

    return Broken(stopped_at, afterwards=wake_up)


def paused_in_training_past_the_lease(act: Act) -> Broken:
    """SIGSTOP just before its model is stored; another process trains in the meantime."""
    act.in_review()
    with act.scene.database_pausing_at(act.person, "new.metrics->'progress' is not null") as pause:
        act.app.train(act.person)
        pause.wait_until_reached()
        os.kill(act.app.pid, signal.SIGSTOP)
        pause.break_off()

    def wake_up() -> None:
        before, model = act.person.run, model_of(act.person).read_bytes()
        os.kill(act.app.pid, signal.SIGCONT)
        eventually(lambda: act.app.says(f"run_lost run={act.person.run_id}"), "it stops")
        assert (act.person.run, model_of(act.person).read_bytes()) == (before, model)

    return Broken(time.monotonic(), afterwards=wake_up)


def one_of_two_apps_killed(act: Act) -> Broken:
    """The other one works on a run of its own, which must not notice."""
    other = Act(act.scene, act.scene.survivor, act.scene.new_person(), act.outage_s)
    other.generating()
    act.generating()
    at = act.kill()
    act.person.watch.allow()

    def neighbour() -> None:
        other.person.watch.allow()
        until(other.person, S.GENERATED)
        assert set(other.person.watch.asked.values()) == {1}

    return Broken(at, afterwards=neighbour)


def postgres_killed_and_restarted(act: Act) -> Broken:
    act.generating()
    pid_file = act.scene.stack.data_dir / "postgres" / "postmaster.pid"
    postmaster = psutil.Process(int(pid_file.read_text().split()[0]))
    at = time.monotonic()
    postmaster.kill()
    act.person.watch.allow()
    eventually(lambda: not answers(act.scene), "Postgres is gone")
    eventually(lambda: answers(act.scene), "Postgres is back")
    return Broken(at, is_rescued=False)


def database_away(act: Act) -> Broken:
    """No app reaches it; what the models are asked meanwhile is bounded."""
    act.generating()
    at = time.monotonic()
    act.scene.way_to_supabase.cut()
    act.person.watch.allow()
    time.sleep(act.outage_s)  # the outage itself
    act.scene.way_to_supabase.restore()
    return Broken(at, is_rescued=False)


def database_hangs(act: Act) -> Broken:
    """It takes every statement and answers none; what was given up lands when it wakes up."""
    act.generating()
    at = time.monotonic()
    os.kill(act.scene.stack.pid, signal.SIGSTOP)
    try:
        act.person.watch.allow()
        time.sleep(act.outage_s)  # the outage itself
    finally:
        os.kill(act.scene.stack.pid, signal.SIGCONT)
    return Broken(at, is_rescued=False)


def shut_down_cleanly(act: Act) -> Broken:
    """SIGTERM: the app ends its run itself, in under 5 seconds, and says so in the row."""
    act.generating()
    at = time.monotonic()
    act.app.running.process.terminate()
    act.app.running.process.wait(5)
    assert act.person.run.status is S.GENERATING_FAILED
    assert "shut down" in (act.person.run.error_message or "")
    act.person.watch.allow()
    return Broken(at)


FAULTS: dict[str, Callable[[Act], Broken]] = {
    "kill -9 before a reply": killed_before_a_reply,
    "kill -9 after a reply, before its write": killed_after_a_reply,
    "kill -9 while pairs and progress land (one write)": killed_while_pairs_and_progress_land,
    "kill -9 before the training submit": killed_before_the_training_submit,
    "kill -9 after the training submit": killed_after_the_training_submit,
    "kill -9 between model file and completed": killed_between_model_file_and_completed,
    "SIGSTOP past the lease, then SIGCONT, generating": paused_past_the_lease,
    "SIGSTOP past the lease, then SIGCONT, training": paused_in_training_past_the_lease,
    "two apps on one database, one killed": one_of_two_apps_killed,
    "Postgres killed and restarted": postgres_killed_and_restarted,
    "database away": database_away,
    "database hangs": database_hangs,
    "SIGTERM (clean shutdown)": shut_down_cleanly,
}


def run_fault(scene: Scene, name: str, rescue: Rescue, *, outage_s: float) -> Outcome:
    """Let the fault happen to a run, bring the run to its end, and count."""
    act = Act(scene, scene.new_app(), scene.new_person(), outage_s)
    person = act.person
    with no_process_left_stopped(act.app):
        broken = FAULTS[name](act)
        if broken.is_rescued:
            rescue(scene, person)
        found_at = time.monotonic()
        kept = scene.pairs_of(person)
        # While the worker lives on, its calls are in flight and asked once.
        in_flight = (
            len(person.watch.asked) - person.run.processed_chunks if broken.is_rescued else 0
        )
        if broken.is_rescued:
            scene.survivor.proceed(person)
        person.watch.allow()
        # Generation may have ended already; what was in training never goes back.
        generates = person.run.status in (S.GENERATING, S.GENERATED)
        until(person, S.GENERATED if generates else S.COMPLETED)
        broken.afterwards()
    scene.give_back(act.app)
    after = round(found_at - broken.at, 1) if broken.is_rescued else None
    return counted(name, person, after, in_flight, kept, scene.pairs_of(person))


def counted(
    fault: str,
    person: Person,
    rescued_after_s: float | None,
    chunks_in_flight: int,
    kept: list[tuple[str, str]],
    pairs: list[tuple[str, str]],
) -> Outcome:
    """`kept` and `pairs`: what was stored when the run was found, and when it was done."""
    return Outcome(
        fault=fault,
        rescued_after_s=rescued_after_s,
        chunks_in_flight=chunks_in_flight,
        chunks_asked_twice=sum(times > 1 for times in person.watch.asked.values()),
        pairs_lost=len(set(kept) - set(pairs)),
        pairs_twice=len(pairs) - len({question.casefold() for _, question in pairs}),
        chunks_uncovered=CHUNKS - len({chunk_id for chunk_id, _ in pairs}),
    )


def until(person: Person, status: RunStatus) -> None:
    def arrived() -> bool:
        run = person.run
        assert not run.status.is_failed, run.error_message
        return run.status is status

    eventually(arrived, f"the run is {status}", DONE_S)


def model_of(person: Person) -> Path:
    """The file that search uses."""
    person.models.load(person.run)  # complete and readable
    [path] = person.model_files.glob(f"{person.run_id}.{person.run.attempt}.npz")
    return path


def answers(scene: Scene) -> bool:
    try:
        return bool(scene.service.rpc("run_moves"))
    except DatabaseUnavailable:
        return False


@contextmanager
def no_process_left_stopped(app: App) -> Iterator[None]:
    try:
        yield
    finally:
        if app.running.process.poll() is None:
            os.kill(app.pid, signal.SIGCONT)
