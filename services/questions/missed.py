"""The questions that search missed, those of a log among them, and where its rankings disagree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
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
    """What became of a log. `ranked`: as many of the most repeated questions were searched for."""

    questions: int
    with_answer: int  # the log names one
    not_in_documents: int  # of those, it is not in the knowledge base
    missed: int  # of those, it is not among the first ten
    ranked: int


@dataclass(frozen=True, slots=True)
class LogState:
    """How many questions of logs there are, and whether the model in use ranked them."""

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
        """Keep the questions of a file, and search for them with what search uses now. A question
        that is there from an earlier log is replaced. Answers that the file names word by word or
        by chunk become the person's judgements.

        Raises:
            DocumentRejected: the file is wrong; nothing was kept.
            AppError: the embedder or the knowledge base does not answer; nothing was kept.
        """
        return self._rank(read_log(file_name, data))

    def log(self) -> LogState:
        run = self._run_in_use()
        count = self._count_log()
        return LogState(count, count == self._count_log(run.id if run else None, of_run=True))

    def rank_log_again(self) -> AddedLog:
        """Search for the questions of all logs with what search uses now."""

        def page(first: int, last: int) -> list[Any]:
            return self._database.execute(
                lambda c: (
                    c.table(_SEARCHES)
                    .select("question, expected, times, asked_at")
                    .eq("source", Source.LOG.value)
                    .order("id")
                    .range(first, last)
                )
            ).data

        return self._rank(
            [
                LoggedQuestion(
                    row["question"],
                    tuple(Expected(**expected) for expected in row["expected"]),
                    row["times"],
                    datetime.fromisoformat(row["asked_at"]),
                )
                for row in every_row(page)
            ]
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
            if run_id is None:
                return rows.is_("training_run_id", "null")
            return rows.eq("training_run_id", run_id)

        return self._database.execute(query).count or 0

    def _run_in_use(self) -> TrainingRun | None:
        run = self._models.chosen().in_use
        return None if run is None or self._models.unusable([run]) else run

    def _rank(self, logged: Sequence[LoggedQuestion]) -> AddedLog:
        logged = sorted(logged, key=lambda asked: -asked.times)
        snapshot, run = self._store.snapshot(), self._run_in_use()
        answers = known_answers(logged, snapshot)
        ranked = logged[: self._backend.most_ranked] if snapshot.chunks else []
        found = self._backend.rank_both([asked.question for asked in ranked], run)
        found += [([], [])] * (len(logged) - len(ranked))
        rows = [
            _row(asked, used, other, answers, run, is_ranked=place < len(ranked))
            for place, (asked, (used, other)) in enumerate(zip(logged, found, strict=True))
        ]
        for first in range(0, len(rows), _SAVED_AT_ONCE):
            self._database.rpc("save_log", p_rows=rows[first : first + _SAVED_AT_ONCE])
        self._judgements.save(
            [
                Judgement(question, chunk_id, True, reason=FROM_LOG)
                for question, chunk_ids in answers.exact.items()
                for chunk_id in sorted(chunk_ids)
            ]
        )
        with_answer = [asked for asked in logged if asked.expected]
        return AddedLog(
            questions=len(logged),
            with_answer=len(with_answer),
            not_in_documents=sum(not answers.of(asked.question) for asked in with_answer),
            missed=sum(row["is_missed"] for row in rows),
            ranked=len(ranked),
        )


def _row(
    asked: LoggedQuestion,
    used: list[str],
    other: list[str],
    answers: KnownAnswers,
    run: TrainingRun | None,
    *,
    is_ranked: bool,
) -> dict[str, Any]:
    has_answer = bool(asked.expected)
    distance = round(rbo_distance(used, other), 4)
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
        "is_missed": is_ranked and has_answer and answers.of(asked.question).isdisjoint(used),
        "disagreement": distance if is_ranked and not has_answer else None,
    }
