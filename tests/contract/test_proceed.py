"""Proceed, when the worker that a person stopped is in another process."""

from __future__ import annotations

import threading

from services.workspace import Workspace
from tests.behind_the_door import store_of
from tests.runs import Script


def test_proceed_waits_for_the_last_answers_of_a_worker_elsewhere(new_studio, user, service):
    workspace = Workspace(new_studio(), user)
    workspace.documents.add([("soup.txt", b"Soup on Fridays."), ("pay.txt", b"Pay monthly.")])
    chunks = [chunk.id for chunk in store_of(workspace).snapshot().chunks]
    script = Script(user, service).start(len(chunks))
    script.lease.begin_generation(chunks)
    script.store.stop(script.run.id, by="ann")

    def bring_and_leave() -> None:
        script.save(chunks[0])
        script.lease.leave()

    threading.Timer(0.5, bring_and_leave).start()
    _, message = workspace.runs.proceed(script.run.id)
    assert message == f"Resuming generation from chunk 1/{len(chunks)}"
