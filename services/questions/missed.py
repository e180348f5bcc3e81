"""The questions that search missed, those of a log among them, and where its rankings disagree."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from itertools import takewhile
from typing import Any

from services.accounts.database import CountMethod, every_row, storable
from services.deep_memory.models import Models
from services.deep_memory.test_sets import Expected
from services.errors import EmbedderUnavailable
from services.models import TrainingRun
from services.pairs.checking import RememberingEmbedder
from services.person import Person
from services.questions.disagreement import rbo_distance
from services.questions.judgements import Judgement, JudgementStore
from services.questions.kept_searches import Source
from services.questions.known_answers import KnownAnswers, known_answers
from services.questions.near import near_groups
from services.questions.question_log import LoggedQuestion, read_log

_SEARCHES = "deep_memory_searches"
_SAVED_AT_ONCE = 1_000
MOST_MISSED = 500  # shown and grouped
SEARCHES_S = 60.0  # a log is searched for as long; a question takes 40 to 70 ms at 10,000 chunks
FROM_LOG = "Named in the log of questions."


class Why(StrEnum):
    """Why a question is among the missed ones."""

    NOTHING_ANSWERS = "nothing answers"  # the person said so
    FIRST_HIT_IS_WRONG = "first hit is wrong"  # the person said so
    ANSWER_NOT_FOUND = "answer not found"  # what the log names is not among the first ten
    RANKINGS_DISAGREE = "rankings disagree"  # and nobody has judged anything


@dataclass(frozen=True, slots=True)
class MissedQuestion:
    question: str
    why: Why
    times: int
    last_asked: datetime
    has_answer: bool  # the person marked a chunk that answers it
    disagreement: float | None = None  # of a log: from 0, the same order, to 1


@dataclass(frozen=True, slots=True)
class MissedGroup:
    """Questions that ask nearly the same, the most repeated first."""

    questions: tuple[MissedQuestion, ...]

    @property
    def times(self) -> int:
        return sum(asked.times for asked in self.questions)

    @property
    def last_asked(self) -> datetime:
        return max(asked.last_asked for asked in self.questions)


@dataclass(frozen=True, slots=True)
class AddedLog:
    """What became of a log. `ranked`: as many questions were searched for, as the time allowed."""

    questions: int
    with_answer: int  # the log names one
    not_in_documents: int  # of those, it is not in the knowledge base
    missed: int  # of those, it is not among the first ten
    ranked: int


@dataclass(frozen=True, slots=True)
class LogState:
    """How many questions of logs there are, and whether what search uses now ranked them all."""

    questions: int
    is_current: bool


class Missed:
    """The missed questions of one person."""

    def __init__(self, person: Person, models: Models) -> None:
        self._database = person.database
        self._store = person.store
        self._backend = person.backend
        self._models = models
        self._judgements = JudgementStore(person.database, person.identity.user_id)
        self._embedder = RememberingEmbedder(person.studio.places.embedder)

    def groups(self) -> list[MissedGroup]:
        """The missed questions, near ones together, the most repeated group first; of the 500 most
        repeated. If the embedder does not answer, each is by itself."""
        asked = self._rows(disagreeing=False)
        try:
            vectors = self._embedder.embed([missed.question for missed in asked])
            rows = near_groups(vectors)
        except EmbedderUnavailable:
            rows = [[row] for row in range(len(asked))]
        groups = [MissedGroup(tuple(asked[row] for row in group)) for group in rows]
        return sorted(groups, key=lambda group: -group.times)

    def disagreements(self) -> list[MissedQuestion]:
        """Questions of a log that nobody has judged, and of which the rankings disagree, the most
        first: there a judgement says the most about which ranking is better. At most 500."""
        return self._rows(disagreeing=True)

    def _rows(self, *, disagreeing: bool) -> list[MissedQuestion]:
        rows = self._database.rpc(
            "missed_questions", p_disagreeing=disagreeing, p_limit=MOST_MISSED
        )
        return [
            MissedQuestion(
                row["question"],
                Why(row["why"]),
                row["times"],
                datetime.fromisoformat(row["last_asked"]),
                row["has_answer"],
                row["disagreement"],
            )
            for row in rows
        ]

    # Logs

    def add_log(self, file_name: str, data: bytes) -> AddedLog:
        """Keep the questions of a file, and search for them with what search uses now, the most
        repeated first, for a minute at most. A question of an earlier log is replaced. Answers that
        the file names word by word or by chunk become the person's judgements.

        Raises:
            DocumentRejected: the file is wrong; nothing was kept.
            AppError: the embedder or the knowledge base does not answer; nothing was kept.
        """
        logged = read_log(file_name, data)
        return self._rank(sorted(logged, key=lambda asked: -asked.times), are_new=True)

    def log(self) -> LogState:
        run = self._run_in_use()
        count = self._count_log()
        return LogState(count, count == self._count_log(run.id if run else None, of_run=True))

    def rank_log_again(self) -> AddedLog:
        """Search for the questions of all logs with what search uses now, for a minute at most:
        first for those that it has not searched for yet."""
        run = self._run_in_use()
        run_id = run.id if run else None

        def page(first: int, last: int) -> list[Any]:
            return self._database.execute(
                lambda c: (
                    c.table(_SEARCHES)
                    .select("question, expected, times, asked_at, shown, training_run_id")
                    .eq("source", Source.LOG.value)
                    .order("id")
                    .range(first, last)
                )
            ).data

        def is_current(row: dict[str, Any]) -> bool:
            return bool(row["shown"]) and row["training_run_id"] == run_id

        rows = sorted(every_row(page), key=lambda row: (is_current(row), -row["times"]))
        return self._rank(
            [
                LoggedQuestion(
                    row["question"],
                    tuple(Expected(**expected) for expected in row["expected"]),
                    row["times"],
                    datetime.fromisoformat(row["asked_at"]),
                )
                for row in rows
            ],
            are_new=False,
        )

    def remove_log(self) -> int:
        """Delete the questions of all logs; returns how many. What was said about them stays."""
        deleted = self._database.execute(
            lambda c: (
                c.table(_SEARCHES).delete(count=CountMethod.exact).eq("source", Source.LOG.value)
            )
        )
        return deleted.count or 0

    def _count_log(self, run_id: str | None = None, *, of_run: bool = False) -> int:
        def query(c: Any) -> Any:
            rows = c.table(_SEARCHES).select("id", count=CountMethod.exact, head=True)
            rows = rows.eq("source", Source.LOG.value)
            if not of_run:
                return rows
            rows = rows.neq("shown", "[]")
            if run_id is None:
                return rows.is_("training_run_id", "null")
            return rows.eq("training_run_id", run_id)

        return self._database.execute(query).count or 0

    def _run_in_use(self) -> TrainingRun | None:
        run = self._models.chosen().in_use
        return None if run is None or self._models.unusable([run]) else run

    def _rank(self, logged: Sequence[LoggedQuestion], *, are_new: bool) -> AddedLog:
        snapshot, run = self._store.snapshot(), self._run_in_use()
        answers = known_answers(logged, snapshot)
        ranked: list[tuple[list[str], list[str]]] = []
        if snapshot.chunks:
            until = time.monotonic() + SEARCHES_S
            texts = [asked.question for asked in logged]
            both = self._backend.rank_both(texts, run)
            ranked = list(takewhile(lambda _: time.monotonic() < until, both))
        rows = [
            _row(asked, lists, answers, run) for asked, lists in zip(logged, ranked, strict=False)
        ]
        if are_new:
            rows += [_row(asked, None, answers, run) for asked in logged[len(ranked) :]]
            self._keep_judgements(answers)
        for first in range(0, len(rows), _SAVED_AT_ONCE):
            self._database.rpc("save_log", p_rows=rows[first : first + _SAVED_AT_ONCE])
        with_answer = [asked for asked in logged if asked.expected]
        return AddedLog(
            questions=len(logged),
            with_answer=len(with_answer),
            not_in_documents=sum(not answers.of(asked.question) for asked in with_answer),
            missed=sum(row["is_missed"] for row in rows),
            ranked=len(ranked),
        )

    def _keep_judgements(self, answers: KnownAnswers) -> None:
        """What the person said on the search page counts more than the log."""
        judgements = [
            Judgement(question, chunk_id, True, reason=FROM_LOG)
            for question, chunk_ids in answers.exact.items()
            for chunk_id in sorted(chunk_ids)
        ]
        self._judgements.save(judgements, replaces_earlier=False)


def _row(
    asked: LoggedQuestion,
    lists: tuple[list[str], list[str]] | None,
    answers: KnownAnswers,
    run: TrainingRun | None,
) -> dict[str, Any]:
    """A row of the log; `lists` are the two rankings of the question, None if there was no time."""
    used, other = lists or ([], [])
    has_answer = bool(asked.expected)
    is_missed = bool(lists) and has_answer and answers.of(asked.question).isdisjoint(used)
    distance = round(rbo_distance(used, other), 4) if lists and not has_answer else None
    return {
        "question": storable(asked.question),
        "shown": used,
        "training_run_id": run.id if run else None,
        "asked_at": asked.asked_at.isoformat() if asked.asked_at else None,
        "times": asked.times,
        "expected": [
            {name: storable(text) for name, text in asdict(expected).items()}
            for expected in asked.expected
        ],
        "is_missed": is_missed,
        "disagreement": distance,
    }
