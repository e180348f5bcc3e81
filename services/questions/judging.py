"""What a person does to judge a test set: see what nobody judged, judge it, let a model help."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from services.deep_memory.measurement import at_most
from services.deep_memory.models import Models
from services.deep_memory.own_test_sets import OwnTestSets
from services.deep_memory.test_sets import answering_chunks
from services.errors import NotAllowed, NotFound
from services.generation.pricing import cost_usd
from services.models import Chunk
from services.pairs.rules import LONGEST_QUESTION, question_key
from services.person import Person
from services.questions.agreement import Agreement, agreement
from services.questions.counted import CountedJudgements
from services.questions.judgements import Judge, Judgement, JudgementStore, by_question
from services.questions.model_cost import Asked, estimated_usage
from services.questions.pool import (
    POOL_DEPTH,
    Judged,
    RankedQuestion,
    Unjudged,
    count_judged,
    unjudged,
)

if TYPE_CHECKING:
    from services.questions.model_judge import ModelJudge

MOST_PROPOSED = 50  # unjudged chunks that a model is asked about in one go
NO_MODEL = "No question model is set, so there is none to propose judgements."


@dataclass(frozen=True, slots=True)
class RankedSet:
    """A test set as both rankings answer it. It does not change while its chunks are judged."""

    name: str
    run_id: str
    questions: tuple[RankedQuestion, ...]
    positions: dict[str, tuple[str, int]]  # chunk id -> its document, and its position there
    left_out: int  # questions that were not ranked: there are too many, or they are too long


@dataclass(frozen=True, slots=True)
class ToJudge:
    """`chunks` nobody judged, the most worthwhile first; `judged` were, and `answering` answer."""

    chunks: list[Unjudged]
    judged: int
    answering: int


@dataclass(frozen=True, slots=True)
class SaidByModel:
    """`both` has what the person says, and the model's judgement, of chunks that both judged."""

    judged: int
    both: list[tuple[bool, Judgement]]
    agreement: Agreement
    counts: bool  # where the person has not judged


class Judging:
    """Judging by one person."""

    def __init__(self, person: Person, models: Models, test_sets: OwnTestSets) -> None:
        self._settings = person.studio.settings
        self._store = person.store
        self._backend = person.backend
        self._runs = person.runs
        self._models = models
        self._test_sets = test_sets
        self._judgements = JudgementStore(person.database, person.identity.user_id)
        self._counted = CountedJudgements(person.database, person.identity.user_id)

    def rank(self, test_set: str, run_id: str) -> RankedSet:
        """The first ten chunks of every question, without training and with the run's model.
        Questions that the documents do not answer, as somebody said, are not judged.

        Of too many questions, some are chosen at random, the same ones each time.

        Raises:
            NotFound: there is no such set, or no such run.
            NotAllowed: search cannot use this model.
            TrainingError: the model cannot be read.
            StoreUnavailable: DeepLake Cloud, where the model is, does not answer.
        """
        run = self._runs.get(run_id)
        self._models.require_usable(run)
        everything = [one for one in self._test_sets.questions(test_set) if not one.is_unanswerable]
        short = [one for one in everything if len(one.question) <= LONGEST_QUESTION]
        questions = [
            short[row] for row in at_most(np.arange(len(short)), self._backend.most_ranked)
        ]
        snapshot = self._store.snapshot()
        answers = answering_chunks(questions, snapshot)
        texts = [one.question for one in questions]
        lists = self._backend.rank_both(texts, run, POOL_DEPTH)
        ranked = tuple(
            RankedQuestion(one.question, tuple(without), tuple(with_), named)
            for one, (with_, without), named in zip(questions, lists, answers, strict=True)
        )
        used = {id_ for one in ranked for id_ in (*one.pool, *one.answers)}
        places = {
            chunk.id: (chunk.document_id, chunk.position)
            for chunk in snapshot.chunks
            if chunk.id in used
        }
        return RankedSet(test_set, run_id, ranked, places, len(everything) - len(questions))

    def to_judge(self, ranked: RankedSet, latest: str = "") -> ToJudge:
        """What is left for the person; first the chunks of `latest`, the question just read."""
        own = by_question(self._judgements.all())
        chunks = unjudged(ranked.questions, own, ranked.positions, latest)
        return ToJudge(chunks, *count_judged(ranked.questions, own))

    def judge(self, judgements: Sequence[tuple[str, str, bool]]) -> None:
        """Keep the person's judgements: question, chunk id, whether it answers.

        A newer one replaces the one before.

        Raises:
            NotFound: one of the chunks is not in the knowledge base; nothing was kept.
            NotAllowed: a question is empty or too long; nothing was kept.
        """
        known = self._chunks
        for question, chunk_id, _ in judgements:
            if chunk_id not in known:
                raise NotFound("There is no such chunk. Nothing was kept.")
            if not question.strip() or len(question) > LONGEST_QUESTION:
                raise NotAllowed(f"A question has 1 to {LONGEST_QUESTION:,} characters.")
        self._judgements.save([Judgement(*one) for one in judgements])

    def take_back(self, question: str, chunk_id: str) -> None:
        """Forget the person's judgement; it does not matter whether there was one."""
        self._judgements.take_back(question, chunk_id)

    def said_by_model(self, test_set: str) -> SaidByModel:
        """What a model said about the questions of this set, beside what the person says.

        Raises:
            NotFound: there is no such set.
        """
        keys, own = self._keys(test_set), by_question(self._judgements.all())
        said = [
            one for one in self._judgements.all([Judge.MODEL]) if question_key(one.question) in keys
        ]
        both = [
            (mine, one)
            for one in said
            if (mine := own.get(question_key(one.question), {}).get(one.chunk_id)) is not None
        ]
        return SaidByModel(
            len(said),
            both,
            agreement([(mine, one.answers) for mine, one in both]),
            self._counted.counts_model(test_set),
        )

    def let_model_count(self, test_set: str, counts: bool) -> None:
        """Have a model's judgements count in this set, or no longer.

        Raises:
            NotFound: there is no such set.
        """
        self._keys(test_set)
        self._counted.let_model_count(test_set, counts)

    @property
    def model(self) -> str | None:
        """The model that can be asked; None if none is set."""
        return None if self._settings.uses_offline_writer else self._settings.question_model

    def to_ask(self, ranked: RankedSet) -> list[Asked]:
        """What a model was not asked yet: the chunks that the person judged, for comparison, and
        the fifty most worthwhile of the others."""
        own, said = by_question(self._judgements.all()), self._of_model()
        compared = [
            (one.text, chunk_id) for one in ranked.questions for chunk_id in own.get(one.key, {})
        ]
        others = [
            (one.question, one.chunk_id)
            for one in unjudged(ranked.questions, own, ranked.positions)
            if one.chunk_id not in said.get(question_key(one.question), {})
        ]
        chunks = self._chunks
        return [
            (question, chunks[chunk_id])
            for question, chunk_id in compared + others[:MOST_PROPOSED]
            if chunk_id in chunks and chunk_id not in said.get(question_key(question), {})
        ]

    def cost_usd(self, asked: Sequence[Asked]) -> float | None:
        """What asking will cost, about; None if the model's price is not known."""
        usage = estimated_usage(asked, self._settings.question_model)
        return cost_usd(usage, self._settings.question_model, self._settings.model_prices)

    def ask(self, asked: Sequence[Asked]) -> int:
        """Have the model judge these chunks, and keep what it says; returns how many it judged.

        Safe to repeat, and to break off: what came back is kept.

        Raises:
            NotAllowed: no model is set.
            GenerationError: the model does not answer.
        """
        if self.model is None:
            raise NotAllowed(NO_MODEL, next_step="Set OPENAI_API_KEY, or judge by hand.")
        done, failure = self._model_judge.judge_all(asked)
        self._judgements.save(done)
        if failure:
            raise failure
        return len(done)

    @cached_property
    def _model_judge(self) -> ModelJudge:
        # Here, because importing openai takes a second, which the offline default is spared.
        from services.openai_api.client import make_openai_client
        from services.questions.model_judge import ModelJudge

        return ModelJudge(make_openai_client(self._settings), self._settings.question_model)

    @property
    def _chunks(self) -> dict[str, Chunk]:
        return {chunk.id: chunk for chunk in self._store.snapshot().chunks}

    def _of_model(self) -> Judged:
        return by_question(self._judgements.all([Judge.MODEL]))

    def _keys(self, test_set: str) -> set[str]:
        return {question_key(one.question) for one in self._test_sets.questions(test_set)}
