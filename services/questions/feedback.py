"""What a person says about a question: what answers it, that nothing does, and what it is for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from services.accounts.database import storable
from services.errors import NotAllowed, NotFound
from services.pairs.rules import LONGEST_QUESTION
from services.person import Person
from services.questions.judgements import Judge
from services.questions.store import Origin, PersonsQuestion, Purpose, QuestionStore

MOST_VOTES = 200  # shown at once


@dataclass(frozen=True, slots=True)
class Marks:
    """What the person said about one question."""

    answers: dict[str, bool] = field(default_factory=dict)  # chunk id -> whether it answers
    nothing_answers: bool = False
    purpose: Purpose = Purpose.OPEN
    is_unanswerable: bool = False

    @property
    def has_answer(self) -> bool:
        return any(self.answers.values())


@dataclass(frozen=True, slots=True)
class Vote:
    """What a user of another application said; it counts for nothing until it is confirmed."""

    question: str
    chunk_id: str | None  # None: that nothing which was shown answers
    answers: bool
    said_at: datetime


class Feedback:
    """The marks of one person, and the votes that wait for this person's review.

    Every method takes a question as it is asked: case and white space make no difference. All of
    them raise NotAllowed for one that is empty or too long.
    """

    def __init__(self, person: Person) -> None:
        self._database = person.database
        self._store = person.store
        self._questions = QuestionStore(person.database, person.identity.user_id)

    def of(self, question: str) -> Marks:
        """What the person said about this question before."""
        row = self._database.rpc("marks_of", p_question=_askable(question))
        said = row["question"] or {}
        return Marks(
            row["answers"],
            said.get("found_nothing_by") == Judge.PERSON.value,
            Purpose(said.get("purpose", Purpose.OPEN.value)),
            bool(said.get("is_unanswerable")),
        )

    def questions(self, purpose: Purpose | None = None) -> list[PersonsQuestion]:
        """The questions about which something was said, or those with this purpose."""
        return self._questions.all(purpose)

    def judge(
        self,
        question: str,
        chunk_id: str,
        answers: bool | None,
        *,
        first_hit: str | None = None,
        judge: Judge = Judge.PERSON,
        origin: Origin = Origin.SEARCH,
    ) -> None:
        """Say whether a chunk answers a question; None takes it back.

        `first_hit` is the chunk that search showed first, if it is known. A question whose last
        answer is taken back is open again.

        Raises:
            NotFound: the chunk is not in the knowledge base.
        """
        if answers is not None:
            self._require_chunks([chunk_id])
        self._database.rpc(
            "judge_hit",
            p_question=_askable(question),
            p_chunk=storable(chunk_id),
            p_answers=answers,
            p_judge=judge.value,
            p_first_hit=first_hit,
            p_origin=origin.value,
        )

    def say_nothing_answers(
        self,
        question: str,
        is_so: bool,
        *,
        judge: Judge = Judge.PERSON,
        origin: Origin = Origin.SEARCH,
    ) -> None:
        """Say that nothing which search shows answers this question, or take that back."""
        self._database.rpc(
            "say_nothing_answers",
            p_question=_askable(question),
            p_is_so=is_so,
            p_judge=judge.value,
            p_origin=origin.value,
        )

    def decide(self, question: str, purpose: Purpose, origin: Origin = Origin.SEARCH) -> None:
        """Make it a test question or a training pair, never both; OPEN makes it neither.

        Raises:
            NotAllowed: nothing is marked as its answer.
        """
        if not self._database.rpc(
            "decide_purpose",
            p_question=_askable(question),
            p_purpose=purpose.value,
            p_origin=origin.value,
        ):
            raise NotAllowed(
                "This question has no answer yet.",
                next_step="Search for it, and mark a hit that answers it.",
            )

    def say_unanswerable(
        self, question: str, is_so: bool = True, origin: Origin = Origin.SEARCH
    ) -> None:
        """Say that the documents have no answer to it, or take that back.

        Raises:
            NotAllowed: the person marked an answer.
        """
        if not self._database.rpc(
            "say_unanswerable",
            p_question=_askable(question),
            p_is_so=is_so,
            p_origin=origin.value,
        ):
            raise NotAllowed(
                "You marked a passage that answers this question.",
                next_step="Take that mark back first.",
            )

    def dismiss(self, question: str, origin: Origin = Origin.SEARCH) -> None:
        """Leave the question out of the missed ones until it is marked again."""
        self._database.rpc("dismiss_question", p_question=_askable(question), p_origin=origin.value)

    def add(self, question: str, chunk_ids: Sequence[str], purpose: Purpose) -> None:
        """Keep a question that the person wrote, with the chunks that answer it.

        Raises:
            NotAllowed: no chunk is named.
            NotFound: one of them is not in the knowledge base. Nothing was kept.
        """
        if not chunk_ids:
            raise NotAllowed(
                "This question has no answer yet.", next_step="Choose a passage that answers it."
            )
        self._require_chunks(chunk_ids)
        for chunk_id in chunk_ids:
            self.judge(question, chunk_id, True, origin=Origin.FORM)
        self.decide(question, purpose, Origin.FORM)

    def votes(self, limit: int = MOST_VOTES) -> list[Vote]:
        """What another application's users said and nobody reviewed, the oldest first."""
        return [
            Vote(**row | {"said_at": datetime.fromisoformat(row["said_at"])})
            for row in self._database.rpc("application_votes", p_limit=limit)
        ]

    def review(self, question: str, chunk_id: str | None, answers: bool, confirmed: bool) -> None:
        """Make a vote the person's own judgement, or throw it away.

        Raises:
            NotFound: the chunk of a confirmed vote is not in the knowledge base any more.
        """
        judge, origin = (Judge.PERSON if confirmed else Judge.APPLICATION), Origin.APPLICATION
        if chunk_id is None:
            self.say_nothing_answers(question, confirmed, judge=judge, origin=origin)
        else:
            said = answers if confirmed else None
            self.judge(question, chunk_id, said, judge=judge, origin=origin)

    def _require_chunks(self, chunk_ids: Sequence[str]) -> None:
        known = {chunk.id for chunk in self._store.snapshot().chunks}
        if not known.issuperset(chunk_ids):
            raise NotFound("This chunk is not in the knowledge base.")


def _askable(question: str) -> str:
    text = storable(question.strip())
    if not text:
        raise NotAllowed("The question is empty.")
    if len(text) > LONGEST_QUESTION:
        raise NotAllowed(f"The question is longer than {LONGEST_QUESTION:,} characters.")
    return text
