"""How long an import will still take, by a clock that the test moves."""

from __future__ import annotations

import pytest

from services.knowledge.import_rows import ImportedFile
from services.knowledge.time_left import TimeLeft


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def a_file(name: str, size: int) -> ImportedFile:
    return ImportedFile(0, 0, name, "waiting", bytes=size)


class Told:
    """What was told at each moment of an import, by the seconds since it began."""

    def __init__(self, files: list[ImportedFile]) -> None:
        self.clock = Clock()
        self.left = TimeLeft(files, self.clock)
        self._at: list[tuple[float, float]] = []
        self.shares: list[float] = []

    def note(self) -> None:
        self._at.append((self.clock.now, self.left.seconds))
        self.shares.append(self.left.share)

    def read(self, file: ImportedFile, takes_s: float) -> None:
        for tenth in range(1, 11):
            self.clock.now += takes_s / 10
            self.left.reading(file, tenth / 10)
            self.note()
        self.left.has_read(file)

    def store(self, takes_s: float) -> None:
        self.left.storing(0.0)
        for tenth in range(1, 11):
            self.clock.now += takes_s / 10
            self.left.storing(tenth / 10)
            self.note()
        self.left.has_stored()

    @property
    def worst(self) -> float:
        """The largest factor between an estimate and the truth, from 15% of the time on and until
        the last tenth, which is rounded away."""
        begin, end = 1_000.0, self.clock.now
        factors = []
        for now, told in self._at:
            if 0.15 <= (now - begin) / (end - begin) <= 0.9:
                factors += [told / (end - now), (end - now) / told]
        return max(factors)


@pytest.mark.parametrize("times_slower", [0.5, 1.0, 4.0])
def test_one_manual_is_estimated_well_before_any_of_it_is_stored(times_slower):
    manual = a_file("manual.pdf", 4_700_000)
    told = Told([manual])
    told.read(manual, 12.6 * times_slower)
    told.store(2.5 * times_slower)
    assert told.worst < 2
    assert told.shares == sorted(told.shares)
    assert told.shares[-1] == 1.0


def test_an_embedder_that_takes_most_of_the_time_is_known_once_it_has_stored_something():
    files = [a_file(f"{number}.txt", 100_000) for number in range(40)]
    told = Told(files)
    for begin in range(0, 40, 4):
        for file in files[begin : begin + 4]:
            told.read(file, 0.02)
        told.store(12.0)
    assert told.worst < 2


@pytest.mark.parametrize("is_turned", [False, True])
def test_manuals_that_come_last_or_first_do_not_surprise(is_turned):
    texts = [(a_file(f"{number}.txt", 50_000), 0.006) for number in range(100)]
    manuals = [(a_file(f"{number}.pdf", 1_000_000), 3.2) for number in range(5)]
    told = Told([file for file, _ in texts + manuals])
    for file, takes_s in manuals + texts if is_turned else texts + manuals:
        told.read(file, takes_s)
        told.store(0.6 if file.name.endswith(".pdf") else 0.06)
    assert told.worst < 2


def test_nothing_to_do_takes_no_time():
    left = TimeLeft([], Clock())
    assert (left.share, left.seconds) == (0.0, 0.0)


def test_empty_files_take_a_moment():
    left = TimeLeft([a_file("a.txt", 0)], Clock())
    assert left.seconds < 1
    left.has_read(a_file("a.txt", 0))
    left.has_stored()
    assert left.share == 1.0
