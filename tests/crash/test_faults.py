"""After every fault the run is found, Proceed completes it, and nothing is lost, doubled or paid
for twice but what was in flight. Real processes and the real database; `python -m
benchmarks.crashes` does the same with the real waits."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.crash.faults import FAULTS, Person, run_fault
from tests.crash.scene import Scene
from tests.runs import let_lease_run_out


@pytest.fixture(scope="module")
def scene(supabase_stack) -> Iterator[Scene]:
    with Scene(supabase_stack) as scene:
        yield scene


def rescue_at_once(scene: Scene, person: Person) -> None:
    """What the sweep does when the lease has run out, without the wait for it."""
    if person.run.status.is_active:
        with scene.owner() as owner:
            let_lease_run_out(owner, person.run_id)
        scene.service.rpc("rescue_runs")
    assert person.run.status.is_failed


@pytest.mark.parametrize("fault", FAULTS)
def test_nothing_is_lost_doubled_or_paid_twice(scene, fault):
    outcome = run_fault(scene, fault, rescue_at_once, outage_s=3)
    assert outcome.pairs_lost == 0
    assert outcome.pairs_twice == 0
    assert outcome.chunks_uncovered == 0
    assert outcome.chunks_asked_twice == outcome.chunks_in_flight
