"""What each crash costs: `python -m benchmarks.crashes [--outage-s 60]`, about 8 minutes.

Real apps, the real database and the real waits: the sweep of another app finds a run when its lease
has expired. Prints a Markdown table and, last, one JSON object.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict

from tests.crash.faults import FAULTS, STORED, Outcome, counted, run_fault
from tests.crash.only_app import kill, only_app
from tests.crash.scene import (
    CONCURRENCY,
    Person,
    Scene,
    eventually,
    make_person,
    stored_pairs,
)
from tests.embedded import run_embedded, temporary_data_dir

LONGEST_RESCUE_S = 40.0
ONLY_APP = "kill -9 of the only app, embedded database and all; started again at once"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--outage-s", type=float, default=60.0)
    arguments.add_argument("--only", help="faults with this in their name")
    chosen = arguments.parse_args()
    outcomes = []
    with (
        temporary_data_dir() as data_dir,
        run_embedded(data_dir) as stack,
        Scene(stack) as scene,
    ):
        for name in FAULTS:
            if (chosen.only or "") in name:
                outcomes.append(
                    run_fault(scene, name, wait_for_the_sweep, outage_s=chosen.outage_s)
                )
                print(as_row(outcomes[-1]), flush=True)
    if (chosen.only or "") in ONLY_APP:
        outcomes.append(only_app_killed())
    print("\n" + as_table(outcomes))
    print(json.dumps({"outage_s": chosen.outage_s, "faults": [asdict(o) for o in outcomes]}))


def wait_for_the_sweep(scene: Scene, person: Person) -> None:
    eventually(lambda: person.run.status.is_failed, "the run is rescued", LONGEST_RESCUE_S)


def only_app_killed() -> Outcome:
    """No app is left to rescue the run, and the database is down, too, until the app restarts."""
    with temporary_data_dir() as data_dir, only_app(data_dir) as alone:
        with alone.running() as first:
            person = make_person(alone.accounts(first), alone.fake, alone.data_dir)
            person.watch.hold_after(STORED)
            first.generate(person)
            person.watch.wait_until_held(CONCURRENCY)
            eventually(lambda: person.processed(STORED), "12 chunks are stored")
            killed_at = kill(first)
        person.watch.allow()
        with alone.running() as second:
            eventually(lambda: alone.status_of(person.run_id) == "generating_failed", "rescued")
            after = round(time.monotonic() - killed_at, 1)
            with alone.owner() as owner:
                kept = stored_pairs(owner, person)
            second.proceed(person)
            eventually(lambda: alone.status_of(person.run_id) == "generated", "done")
            with alone.owner() as owner:
                pairs = stored_pairs(owner, person)
    return counted(ONLY_APP, person, after, CONCURRENCY, kept, pairs)


def as_table(outcomes: list[Outcome]) -> str:
    head = (
        "| fault | rescued after | chunks in flight | asked twice | pairs lost | pairs twice |"
        " chunks uncovered |"
    )
    return "\n".join([head, "|---|---|---|---|---|---|---|", *map(as_row, outcomes)])


def as_row(outcome: Outcome) -> str:
    after = outcome.rescued_after_s
    return (
        f"| {outcome.fault} | {'went on by itself' if after is None else f'{after} s'} "
        f"| {outcome.chunks_in_flight} | {outcome.chunks_asked_twice} | {outcome.pairs_lost} "
        f"| {outcome.pairs_twice} | {outcome.chunks_uncovered} |"
    )


if __name__ == "__main__":
    main()
