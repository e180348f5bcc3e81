"""Measuring a training, wherever it ran: on which questions, and which results are kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from services.deep_memory.figures import Questions, Ranked, compared
from services.deep_memory.model_store import ModelStore
from services.deep_memory.run_questions import RunQuestions
from services.deep_memory.split import Split, split_by_document
from services.deep_memory.test_sets import OwnQuestion
from services.deep_memory.verdicts import FEWEST_TO_PROVE, Verdict, compare
from services.deep_memory.versions import versions
from services.errors import NotAllowed, TrainingError
from services.models import TrainingPair, TrainingRun
from services.pairs.rules import LONGEST_QUESTION, is_relevant, question_key
from services.retrieval.content import Snapshot
from services.retrieval.embeddings import Embedder
from services.runs.lease import RunLease

SEED = 0
_EMBEDDED_AT_ONCE = 1024
_RANK_CHANGES_IN_ROW = 20

Measure = Callable[[Questions], Ranked]
MeasureSet = Callable[[str, Sequence[OwnQuestion]], dict[str, Any]]
AskedPairs = list[tuple[TrainingPair, int]]  # of one question, each with its chunk's row


@dataclass(frozen=True, slots=True)
class Material:
    """The prepared pairs of a run: grouped by question, embedded, some of them held out."""

    snapshot: Snapshot
    asked: list[AskedPairs]
    questions: Questions  # one for each of `asked`
    split: Split
    left_out: Mapping[str, int]  # why pairs are left out -> how many
    taught: np.ndarray  # rows of the questions that people asked, all of them trained on

    @property
    def train(self) -> Questions:
        return self.questions.only(self.split.train)


@dataclass(frozen=True, slots=True)
class TrainingMetrics:
    """The results that are stored for a completed training."""

    held_out: Mapping[str, Any]  # `compared` on the held-out questions
    held_out_questions: int
    held_out_by: str  # "document" or "chunk"
    held_out_imported: int  # of the held-out questions, those that people brought
    trained_questions: int
    trained_chunks: int
    of_people: int  # of the trained questions, those that people asked
    left_out: Mapping[str, int]  # why pairs are left out -> how many
    train_seconds: float
    embedder: str
    model_hash: str | None = None  # SHA-256 of its file; None if it is in DeepLake Cloud
    kept_back: str = ""  # why search does not use the model by itself; empty if it does
    test_sets: Sequence[Mapping[str, Any]] = ()  # name, number of questions and `compared` of each
    service: Mapping[str, Any] | None = None  # DeepLake Cloud's own figures, if it trained
    map_alone: Mapping[str, Any] | None = None  # what an exported model does; see `map_alone`

    def as_json(self) -> dict[str, Any]:
        """The value of the run's column `metrics`, with all rank changes."""
        of_cloud = {} if self.service is None else {"trainer": "cloud", "service": self.service}
        of_map = {} if self.map_alone is None else {"map_alone": self.map_alone}
        return {
            **of_cloud,
            **of_map,
            **self.held_out,
            "held_out_questions": self.held_out_questions,
            "held_out_by": self.held_out_by,
            "held_out_imported": self.held_out_imported,
            "trained_questions": self.trained_questions,
            "trained_chunks": self.trained_chunks,
            "of_people": self.of_people,
            "left_out": dict(self.left_out),
            "train_seconds": round(self.train_seconds, 2),
            "embedder": self.embedder,
            "model_hash": self.model_hash,
            "versions": versions(),
            "kept_back": self.kept_back,
            "test_sets": [dict(kept) for kept in self.test_sets],
        }


def prepare(
    lease: RunLease, asked_of: RunQuestions, snapshot: Snapshot, embedder: Embedder
) -> Material:
    """Embed the questions and hold some out, but none of people's training questions.

    Raises:
        TrainingError: too few pairs, or none that can be trained on. The pairs are kept.
        RunLost: the run was stopped or handed on.
    """
    pairs = [*asked_of.of_people, *asked_of.pairs]
    usable, left_out = usable_pairs(pairs, snapshot, asked_of.tested())
    asked = pairs_by_question(usable, snapshot)
    keys = {question_key(pair.question_text) for pair in asked_of.of_people}
    taught = {
        row for row, [(pair, _), *_] in enumerate(asked)
        if question_key(pair.question_text) in keys
    }  # fmt: skip
    lease.note_training("Embedding the questions", 0.0)
    questions = _embedded(lease, asked, snapshot, embedder)
    split = split_by_document(
        questions.relevant,
        [chunk.document_id for chunk in snapshot.chunks],
        snapshot.embeddings,
        taught=taught,
        seed=SEED,
    )
    of_people = np.array(sorted(taught & set(split.train.tolist())), np.int64)
    return Material(snapshot, asked, questions, split, left_out, of_people)


def usable_pairs(
    pairs: Sequence[TrainingPair], snapshot: Snapshot, tested: Collection[str]
) -> tuple[list[TrainingPair], dict[str, int]]:
    """The pairs that can be trained on, and why the others are left out: how many by reason.

    `tested` holds the keys of test questions: what measures search must not teach it.
    """
    text_of = {chunk.id: chunk.text for chunk in snapshot.chunks}

    def reason(pair: TrainingPair) -> str:
        if pair.chunk_id not in text_of:
            return "chunk is gone"
        if not pair.question_text.strip():
            return "no question"
        if not text_of[pair.chunk_id].strip():
            return "empty chunk"
        if len(pair.question_text) > LONGEST_QUESTION:
            return "question is too long"
        return "test question" if question_key(pair.question_text) in tested else ""

    reasons = [reason(pair) for pair in pairs]
    usable = [pair for pair, why in zip(pairs, reasons, strict=True) if not why]
    return usable, dict(Counter(why for why in reasons if why))


def measured(
    material: Material,
    held_out: np.ndarray,
    measure: Measure,
    sets: Sequence[dict[str, Any]],
    embedder: Embedder,
    train_seconds: float,
    service: Mapping[str, Any] | None = None,
) -> TrainingMetrics:
    """Measure on the questions in rows `held_out`; `sets` are the figures of people's questions."""
    questions, split = material.questions.only(held_out), material.split
    groups = split.groups[held_out]
    ranked = measure(questions)
    figures = compared(questions, ranked, groups)
    return TrainingMetrics(
        figures,
        held_out_questions=len(held_out),
        held_out_by=split.by,
        held_out_imported=sum(
            any(pair.is_imported for pair, _ in material.asked[row]) for row in held_out
        ),
        trained_questions=len(split.train),
        trained_chunks=len(set().union(*material.train.relevant)),
        of_people=len(material.taught),
        left_out=material.left_out,
        train_seconds=train_seconds,
        embedder=embedder.name,
        kept_back=_why_kept_back(ranked, groups, sets),
        test_sets=sets,
        service=service,
    )


def on_test_sets(
    lease: RunLease, asked_of: RunQuestions, measure: MeasureSet
) -> list[dict[str, Any]]:
    """The figures of each test set of which the knowledge base answers a question."""
    found = []
    for name, questions in asked_of.test_sets.items():
        lease.check()
        lease.note_training(f"Measuring on: {name}", 0.97)
        try:
            found.append(measure(name, questions))
        except NotAllowed:  # none of its answers is in the knowledge base
            continue
    return found


def at_most(rows: np.ndarray, count: int) -> np.ndarray:
    """All rows, or a random `count` of them, the same ones each time."""
    if len(rows) <= count:
        return rows
    return np.sort(np.random.default_rng(SEED).choice(rows, count, replace=False))


def complete(
    lease: RunLease, run: TrainingRun, metrics: TrainingMetrics, models: ModelStore
) -> None:
    """Complete the run, and activate its model unless it is kept back.

    A file keeps all rank changes; the row has only the first, because screens poll it.
    """
    row = metrics.as_json()
    models.save_rank_changes(run, row, row["test_sets"])
    row = first_changes(row) | {"test_sets": [first_changes(kept) for kept in row["test_sets"]]}
    lease.finish_training(row, activate=not metrics.kept_back)


def first_changes(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Figures with the first wins and losses only, for a row that screens poll."""
    first = {side: figures[side][:_RANK_CHANGES_IN_ROW] for side in ("wins", "losses")}
    return {**figures, **first}


def _why_kept_back(
    ranked: Ranked,
    groups: np.ndarray,
    sets: Sequence[Mapping[str, Any]],
) -> str:
    """Why the model does not take the place of what search uses now; empty if it does. `ranked` is
    on the held-out questions; `sets` are the figures of people's.

    It has to be proven better on held-out questions than search without training and than the model
    in use, which is an advantage of the latter if it was trained on some of them; and not worse on
    any other set: of models that were trained on shuffled answers, most measure a little higher or
    lower by chance.
    """
    if len(groups) < FEWEST_TO_PROVE:
        return f"{len(groups)} held-out questions are too few to measure."
    if not compare(ranked.before, ranked.after, groups).is_improvement:
        return "It is not proven better than search without training."
    if ranked.in_use and not compare(ranked.in_use, ranked.after, groups).is_improvement:
        return "It is not proven better than the model in use."
    worse = [
        kept["name"]
        for kept in sets
        if Verdict.WORSE in (kept["verdicts"]["recall@10"], kept["verdicts"]["ndcg@10"])
    ]
    return f"It is worse on: {', '.join(worse)}." if worse else ""


def pairs_by_question(pairs: Sequence[TrainingPair], snapshot: Snapshot) -> list[AskedPairs]:
    """Pairs that `usable_pairs` found, each with its chunk's row, grouped by question: all chunks
    of a group are relevant to it.

    Raises:
        TrainingError: there are none.
    """
    row_of = {chunk.id: row for row, chunk in enumerate(snapshot.chunks)}
    asked: dict[str, AskedPairs] = {}
    for pair in pairs:
        if is_relevant(pair.relevance_score):
            same = asked.setdefault(question_key(pair.question_text), [])
            same.append((pair, row_of[pair.chunk_id]))
    if not asked:
        raise TrainingError(
            "None of the pairs can be trained on: none belongs to a document that is still in the "
            "knowledge base, with a question that is no test question.",
            next_step="Add the documents again and proceed, or remove this run.",
        )
    return list(asked.values())


def _embedded(
    lease: RunLease,
    asked: Sequence[AskedPairs],
    snapshot: Snapshot,
    embedder: Embedder,
) -> Questions:
    """Embed the question of each group of pairs; the chunks of the group are relevant."""
    texts = [pairs[0][0].question_text for pairs in asked]
    vectors = []
    for first in range(0, len(texts), _EMBEDDED_AT_ONCE):
        lease.check()
        batch = texts[first : first + _EMBEDDED_AT_ONCE]
        with lease.watching(embedder.waiting):
            vectors.append(embedder.embed(batch))
        lease.note_training("Embedding the questions", 0.2 * (first + len(batch)) / len(texts))
    return Questions(
        texts,
        np.concatenate(vectors),
        [{row for _, row in pairs} for pairs in asked],
        [chunk.id for chunk in snapshot.chunks],
    )
