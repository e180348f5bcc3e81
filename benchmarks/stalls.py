"""External faults that hold up a run: what the person reads meanwhile, and that nothing is lost.

A rate limit of an hour at OpenAI, an unavailable database, a full disk. The disk is a small one in
memory, which only root can mount.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from services.config import Settings
from services.models import TrainingRun, Waiting
from services.runs.states import RunStatus
from services.studio import Studio
from services.workspace import Workspace
from tests.embedded import run_embedded, temporary_data_dir
from tests.fakes import wire
from tests.fakes.openai_server import FakeOpenAI, rate_limited
from tests.forwarder import Forwarder
from tests.small_disk import filled, small_disk

DOCUMENTS = 400
SHOWN_S = 120.0
# Server, fault, what the person reads, seconds until it was read, pairs kept, completed by Proceed.
Row = tuple[str, str, str, float, int, bool | None]


@dataclass(frozen=True)
class Scene:
    """The app on a database that can be cut off, or run out of room."""

    studio: Studio
    workspace: Workspace
    openai: FakeOpenAI
    network: Forwarder
    disk: Path

    def generating(self) -> str:
        """A run whose first chunks are stored."""
        run_id = self.workspace.runs.generate().id
        until(lambda: self.run(run_id).processed_chunks > 0)
        return run_id

    def run(self, run_id: str) -> TrainingRun:
        return self.workspace.runs.get(run_id)

    def completed(self, run_id: str) -> bool:
        until(lambda: not self.run(run_id).status.is_active)
        return self.run(run_id).status is RunStatus.GENERATED


def stalls() -> list[Row]:
    with scene() as at:
        rows = [an_hour(at), database_away(at), disk_full(at)]
    return rows


def an_hour(at: Scene) -> Row:
    """A person stops the run while it waits; Proceed does not have to wait for the hour."""
    limited, answered = rate_limited(3600), iter(range(DOCUMENTS // 3))

    def later(request: wire.Request, answer: wire.Answer) -> wire.Reply:
        passes = next(answered, None) is not None
        return answer(request) if passes else limited(request, answer)

    at.openai.fail(later, times=10 * DOCUMENTS)
    run_id = at.generating()
    words, seconds = waited_for(lambda: at.run(run_id).waiting)
    at.workspace.runs.stop(run_id)
    at.openai.forgive()
    pairs = at.run(run_id).pair_count
    at.workspace.runs.proceed(run_id)
    completed = at.completed(run_id)
    discard(at, run_id)
    return "OpenAI", "429, wait an hour", words, seconds, pairs, completed


def database_away(at: Scene) -> Row:
    """The screen notices through its own failing read; this is what the worker's process knows."""
    at.openai.fail(wire.slow(0.2), times=10 * DOCUMENTS)
    run_id = at.generating()
    at.network.cut()
    words, seconds = waited_for(lambda: at.studio.jobs.waiting(run_id))
    at.network.restore()
    return "database", "away", words, seconds, kept(at, run_id), None


def disk_full(at: Scene) -> Row:
    at.openai.fail(wire.slow(0.2), times=10 * DOCUMENTS)
    run_id = at.generating()
    with filled(at.disk):
        words, seconds = waited_for(lambda: at.run(run_id).waiting)
    return "database", "its disk is full", words, seconds, kept(at, run_id), None


def kept(at: Scene, run_id: str) -> int:
    """The pairs of a run that continues by itself to its end."""
    assert at.completed(run_id), at.run(run_id).error_message
    pairs = at.run(run_id).pair_count
    discard(at, run_id)
    return pairs


def discard(at: Scene, run_id: str) -> None:
    at.openai.forgive()
    at.workspace.runs.stop(run_id)
    at.workspace.runs.remove(run_id)


def waited_for(seen: Callable[[], Waiting | None]) -> tuple[str, float]:
    """What the person reads, and after how many seconds from now."""
    began = time.monotonic()
    until(lambda: seen() is not None)
    waiting = seen()
    assert waiting is not None
    end = f" until {waiting.until:%H:%M} UTC" if waiting.until else ""
    return f"Waiting for {waiting.what}{end}", round(time.monotonic() - began, 1)


def until(seen: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SHOWN_S
    while not seen():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@contextmanager
def scene() -> Iterator[Scene]:
    with (
        temporary_data_dir() as data_dir,
        small_disk(data_dir.parent / "disk", 400),
        FakeOpenAI() as openai,
    ):
        disk = data_dir.parent / "disk"
        (disk / "tools").symlink_to((data_dir / "tools").resolve(), target_is_directory=True)
        with run_embedded(disk) as stack:
            network = Forwarder(stack.url)
            settings = Settings(
                _env_file=None,
                data_dir=data_dir,
                supabase_url=network.url,
                supabase_publishable_key=stack.publishable_key,
                supabase_secret_key=stack.secret_key,
                openai_api_key=openai.key,
                openai_base_url=openai.base_url,
                embedding_model="wordllama",
            )
            studio = Studio(settings)
            user = studio.accounts.sign_up("stalls@example.com", "a long password")
            workspace = Workspace(studio, user)
            workspace.documents.add([document(number) for number in range(DOCUMENTS)])
            yield Scene(studio, workspace, openai, network, disk)
            studio.stop()


def document(number: int) -> tuple[str, bytes]:
    sentences = " ".join(f"quay{number}{x * 3} moors vessel{x}{number}." for x in "abcdef")
    return f"Quay {number}.txt", sentences.encode()
