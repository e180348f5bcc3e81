"""Reading in processes of their own: fair turns, processes that die, and an end that ends all.

The processes are real; what they run is a stand-in where a reader must misbehave.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from services.config import PROJECT_ROOT
from services.reading import readers as module
from services.reading.blocks import Reading
from services.reading.readers import GivenUp, Readers, ReadingProcess
from tests.processes import gone

LONG_S = 60.0

# What `python -m services.reading` is, with a reader that does what its file's text says.
STAND_IN = """
import os, signal, sys, time
sys.path.insert(0, {root!r})
from services.reading import __main__ as process
from services.reading import files, limits
from services.reading.blocks import Block, Reading

def read_file(name, content, on_progress):
    first = True
    for step in content.decode().split(";"):
        what, _, value = step.partition(" ")
        if what == "text":
            yield Reading(name, (Block("text", value),), ("a note",))
        elif what == "progress":
            on_progress(float(value))
        elif what == "sleep":
            time.sleep(float(value))
        elif what == "die":
            os.kill(os.getpid(), int(value))
        elif what == "exit":
            os._exit(int(value))
        elif what == "raise":
            raise ZeroDivisionError(value)
        elif what == "spin":
            until = time.process_time() + float(value)
            while time.process_time() < until:
                pass
        elif what == "eat":
            hold = [bytes(2**20) for _ in range(int(value))]
        elif what == "print":
            print(value, flush=True)
            os.write(1, b"and this\\n")
        elif what == "environment":
            yield Reading(name, (Block("text", ",".join(sorted(os.environ))),))
        elif what == "pid":
            yield Reading(name, (Block("text", str(os.getpid())),))

process.read_file = read_file
for limit in {limits!r}.items():
    setattr(process, *limit)
process.main()
"""


@pytest.fixture
def stand_in(monkeypatch, tmp_path) -> Callable[..., None]:
    """Lets every process that is started from now on run the stand-in."""
    real = module.subprocess.Popen

    def use(**limits: float) -> None:
        script = tmp_path / f"stand_in_{len(list(tmp_path.iterdir()))}.py"
        script.write_text(STAND_IN.format(root=str(PROJECT_ROOT), limits=limits))

        def start(command: list[str], **options: object) -> object:
            assert command[1:] == ["-m", "services.reading"]
            return real([command[0], str(script)], **options)

        monkeypatch.setattr(module.subprocess, "Popen", start)

    use()
    return use


@pytest.fixture
def readers() -> Iterator[Readers]:
    readers = Readers(processes=1)
    yield readers
    readers.stop()


@pytest.fixture
def a_file(tmp_path: Path) -> Callable[[str], Path]:
    def make(steps: str) -> Path:
        path = tmp_path / f"file-{time.monotonic_ns()}"
        path.write_text(steps)
        return path

    return make


def outcomes(readers: Readers, path: Path, progress: list[float] | None = None) -> list[str]:
    """The texts that were read, and why others were not."""
    said = []
    heard = progress if progress is not None else []
    for outcome in readers.read("a.txt", path, heard.append, threading.Event()):
        if isinstance(outcome, Reading):
            said.append(outcome.blocks[0].text)
        else:
            name, error = outcome
            assert name == "a.txt"
            assert error.next_step
            said.append(str(error))
    return said


def processes() -> set[int]:
    return {child.pid for child in psutil.Process().children()}


def eventually(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + LONG_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_real_file_is_read_by_a_process_without_the_keys_of_the_app(
    stand_in, readers, a_file, monkeypatch
):
    for name in ("OPENAI_API_KEY", "SUPABASE_SECRET_KEY", "DATA_DIR", "ACTIVELOOP_TOKEN"):
        monkeypatch.setenv(name, "secret")
    [names] = outcomes(readers, a_file("environment"))
    allowed = {*module._PASSED_ON, "LC_CTYPE", "PWD", "SHLVL", "_"}
    assert set(names.split(",")) <= allowed


def test_outcomes_and_progress_come_in_order_and_what_is_printed_is_no_answer(
    stand_in, readers, a_file
):
    progress: list[float] = []
    path = a_file("text one;progress 0.5;sleep 0.3;progress 0.25;print {};text two")
    assert outcomes(readers, path, progress) == ["one", "two"]
    assert progress == [0.0, 0.5, 0.5]  # it never goes back


@pytest.mark.parametrize(
    ("steps", "why"),
    [
        (f"die {signal.SIGKILL}", "makes its reader fail"),
        (f"die {signal.SIGSEGV}", "makes its reader fail"),
        ("exit 0", "makes its reader fail"),
        ("exit 3", "makes its reader fail"),
        ("raise x", "for a reason that is in the app's log"),
        ("eat 900", "too much memory"),
    ],
)
def test_a_reader_that_dies_refuses_its_file_in_words_and_the_next_is_read(
    stand_in, readers, a_file, steps, why
):
    [said] = outcomes(readers, a_file(steps))
    assert said.startswith("a.txt ") and why in said
    assert outcomes(readers, a_file("text fine")) == ["fine"]


def test_what_was_read_before_a_reader_died_is_kept(stand_in, readers, a_file):
    first, said = outcomes(readers, a_file("text one;die 9"))
    assert (first, "makes its reader fail" in said) == ("one", True)


def test_a_file_after_one_that_took_all_memory_is_asked_of_a_new_process(stand_in, readers, a_file):
    """The old one is ending, and may still take the request."""
    for _ in range(5):
        [said] = outcomes(readers, a_file("eat 900"))
        assert "memory" in said
        assert outcomes(readers, a_file("text fine")) == ["fine"]


def test_cpu_time_without_progress_ends_a_reader_and_with_progress_does_not(
    stand_in, readers, a_file
):
    stand_in(MAX_SILENT_S=1.0, MAX_FILE_S=6.0)
    [said] = outcomes(readers, a_file("spin 60"))
    assert "takes too long to read" in said
    steps = "".join(f"spin 0.6;progress {n / 5};" for n in range(1, 6))
    assert outcomes(readers, a_file(f"{steps}text fine")) == ["fine"]
    [said] = outcomes(
        readers, a_file("".join(f"spin 0.6;progress {n / 99};" for n in range(1, 99)))
    )
    assert "takes too long to read" in said  # however it goes on


def test_a_process_that_is_asked_nothing_ends_and_the_next_file_is_read(stand_in, readers, a_file):
    stand_in(MAX_IDLE_S=0.3)
    [pid] = outcomes(readers, a_file("pid"))
    eventually(lambda: gone(int(pid)))
    [other] = outcomes(readers, a_file("pid"))
    assert other != pid


def test_a_process_reads_one_file_after_the_other(stand_in, readers, a_file):
    [first] = outcomes(readers, a_file("pid"))
    [second] = outcomes(readers, a_file("pid"))
    assert first == second


def test_a_caller_that_is_lost_has_its_reader_ended_at_once(stand_in, readers, a_file):
    lost = threading.Event()
    reading = readers.read("a.txt", a_file("pid;sleep 60"), lambda share: None, lost)
    pid = int(next(reading).blocks[0].text)
    began = time.monotonic()
    lost.set()
    with pytest.raises(GivenUp):
        next(reading)
    assert time.monotonic() - began < 3
    assert gone(pid)
    assert outcomes(readers, a_file("text fine")) == ["fine"]


def test_a_caller_that_wants_no_more_of_a_file_frees_its_reader(stand_in, readers, a_file):
    reading = readers.read("a.txt", a_file("pid;sleep 60"), lambda share: None, threading.Event())
    pid = int(next(reading).blocks[0].text)
    reading.close()
    assert gone(pid)
    assert outcomes(readers, a_file("text fine")) == ["fine"]


def test_the_end_ends_all_at_once_whatever_they_do(stand_in, a_file):
    readers = Readers(processes=2)
    ended: list[object] = []
    pids: list[int] = []

    def ask() -> None:
        try:
            pids.extend(
                int(outcome.blocks[0].text)
                for outcome in readers.read(
                    "a.txt", a_file("pid;sleep 60"), lambda share: None, threading.Event()
                )
            )
        except GivenUp as error:
            ended.append(error)

    askers = [threading.Thread(target=ask) for _ in range(4)]  # two read, two wait
    for asker in askers:
        asker.start()
    eventually(lambda: len(pids) == 2)
    began = time.monotonic()
    readers.stop()
    for asker in askers:
        asker.join(LONG_S)
    assert time.monotonic() - began < 3
    assert len(ended) == 4
    assert all(gone(pid) for pid in pids)
    with pytest.raises(GivenUp):
        next(readers.read("a.txt", a_file("text x"), lambda share: None, threading.Event()))


def test_people_take_turns_file_by_file_in_the_order_of_waiting(stand_in, readers, a_file):
    """One with four files and one with two: nobody waits for all of the other's."""
    order: list[str] = []
    holds = threading.Event()
    files = {person: a_file("text x") for person in "abc"}

    def ask(person: str, count: int) -> None:
        for _ in range(count):
            for _outcome in readers.read(
                person, files[person], lambda share: None, threading.Event()
            ):
                order.append(person)
                holds.wait(LONG_S)

    first = threading.Thread(target=ask, args=("a", 4))
    first.start()
    eventually(lambda: order == ["a"])
    second = threading.Thread(target=ask, args=("b", 2))
    second.start()
    eventually(lambda: len(readers._waiting) == 1)
    third = threading.Thread(target=ask, args=("c", 1))
    third.start()
    eventually(lambda: len(readers._waiting) == 2)
    holds.set()
    for thread in (first, second, third):
        thread.join(LONG_S)
    assert order == ["a", "b", "c", "a", "b", "a", "a"]


def test_whoever_is_lost_while_waiting_leaves_the_queue(stand_in, readers, a_file):
    holding = readers.read(
        "a.txt", a_file("text x;sleep 60"), lambda share: None, threading.Event()
    )
    next(holding)
    lost = threading.Event()
    lost.set()
    with pytest.raises(GivenUp):
        next(readers.read("b.txt", a_file("text x"), lambda share: None, lost))
    assert not readers._waiting
    holding.close()
    assert outcomes(readers, a_file("text fine")) == ["fine"]


def test_a_file_that_cannot_be_opened_is_refused_in_words(stand_in, readers, tmp_path, a_file):
    [said] = outcomes(readers, tmp_path / "gone")
    assert "for a reason that is in the app's log" in said
    assert outcomes(readers, a_file("text fine")) == ["fine"]


def test_a_fault_of_a_reader_is_logged_by_its_place_and_never_with_the_text(
    stand_in, readers, a_file, caplog
):
    outcomes(readers, a_file("raise the quokka sleeps"))
    assert "ZeroDivisionError" in caplog.text
    assert "quokka" not in caplog.text


def test_a_process_that_ended_between_two_files_is_replaced(stand_in, readers, a_file):
    [pid] = outcomes(readers, a_file("pid"))
    os.kill(int(pid), signal.SIGKILL)
    assert outcomes(readers, a_file("text fine")) == ["fine"]


def test_no_process_is_started_after_the_end():
    process = ReadingProcess()
    process.kill()
    before = processes()
    with pytest.raises(GivenUp):
        next(process.read("a.txt", Path("a"), lambda share: None, threading.Event()))
    assert processes() == before
