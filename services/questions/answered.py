"""People's questions with the chunks that answer them, as a person judged."""

from __future__ import annotations

from dataclasses import dataclass

from services.accounts.database import Database
from services.pairs.rules import question_key
from services.questions.judgements import JudgementStore, by_question
from services.questions.store import Purpose, QuestionStore


@dataclass(frozen=True, slots=True)
class AnsweredQuestion:
    question: str
    chunk_ids: tuple[str, ...]  # in order; none if the documents have no answer


def answered(database: Database, user_id: str, purpose: Purpose) -> list[AnsweredQuestion]:
    """The questions with this purpose of which a person said what answers them, or that nothing
    does, in the order of the store."""
    asked = QuestionStore(database, user_id).all(purpose)
    if not asked:
        return []
    judged = by_question(JudgementStore(database, user_id).all())
    found = []
    for one in asked:
        chunks = judged.get(question_key(one.question), {})
        ids = sorted(chunk_id for chunk_id, answers in chunks.items() if answers)
        if one.is_unanswerable:
            found.append(AnsweredQuestion(one.question, ()))
        elif ids:
            found.append(AnsweredQuestion(one.question, tuple(ids)))
    return found
