"""A report of a run to hand on: what was measured, on what, and with which result."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from services.deep_memory.judged_measures import JUDGED_NAMES
from services.deep_memory.measured_sets import MeasuredSet, headline, measured_sets
from services.deep_memory.verdicts import MEASURE_NAMES, Measure, verdict_on
from services.errors import NotAllowed
from services.models import Chunk, TrainingRun
from services.person import Person

_ANSWER_CHARACTERS = 300
_SETTINGS = ("question_model", "questions_per_chunk", "embedding_model", "trainer")
_FIGURES = ("before", "after", "intervals", "steps", "more_questions", "hash", "knowledge_base")
_TEMPLATE = Path(__file__).with_name("report.html")


class Reports:
    """Reports of one person's completed runs. The same run and documents give the same report."""

    def __init__(self, person: Person) -> None:
        self._store = person.store
        self._models = person.models

    def as_json(self, run: TrainingRun, measure: Measure = Measure.RECALL_10) -> bytes:
        """The report as JSON, with the verdict on a measure.

        Raises:
            NotAllowed: the run has no figures.
        """
        return json.dumps(self._of(run, measure), indent=1, ensure_ascii=False).encode()

    def as_page(self, run: TrainingRun, measure: Measure = Measure.RECALL_10) -> bytes:
        """One HTML page that needs nothing else and prints well. Raises the same error."""
        environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
        template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
        names = {"names": MEASURE_NAMES, "judged_names": JUDGED_NAMES}
        return template.render(**self._of(run, measure), **names).encode()

    def _of(self, run: TrainingRun, measure: Measure = Measure.RECALL_10) -> dict[str, Any]:
        sets = measured_sets(run.metrics)
        if not sets:
            raise NotAllowed("There are no figures for this run.")
        chunks = {chunk.id: chunk for chunk in self._store.snapshot().chunks}
        changes = self._models.rank_changes(run)
        first = headline(sets)
        metrics = run.metrics
        return {
            "run": run.id,
            "completed_at": run.completed_at.isoformat() if run.completed_at else None,
            "measure": measure.value,
            "verdict": _verdict(first, measure),
            "on": first.described,
            "sets": [_set(one, measure, changes.get(one.name, {}), chunks) for one in sets],
            "trained_questions": metrics["trained_questions"],
            "trained_chunks": metrics["trained_chunks"],
            "held_out_by": metrics.get("held_out_by"),
            "left_out": metrics.get("left_out", {}),
            "kept_back": metrics.get("kept_back", ""),
            "settings": {key: run.settings[key] for key in _SETTINGS if key in run.settings}
            | {"embedder": metrics.get("embedder")},
            "versions": metrics.get("versions", {}),
            "model_hash": metrics.get("model_hash"),
        }


def _set(
    found: MeasuredSet, measure: str, changes: Mapping[str, Any], chunks: Mapping[str, Chunk]
) -> dict[str, Any]:
    figures = found.figures
    return {
        "name": found.name,
        "questions": found.questions,
        "by": "people" if found.is_by_people else "the app",
        "is_enough": found.is_enough,
        "verdict": _verdict(found, measure),
        "verdicts": {name.value: verdict_on(figures, name).value for name in Measure},
        **{name: figures[name] for name in _FIGURES if name in figures},
        "win_count": figures["win_count"],
        "loss_count": figures["loss_count"],
        "wins": _told(changes.get("wins", figures["wins"]), chunks),
        "losses": _told(changes.get("losses", figures["losses"]), chunks),
    }


def _verdict(found: MeasuredSet, measure: str) -> str:
    return verdict_on(found.figures, measure).value if found.is_enough else "too few to measure"


def _told(
    changes: Sequence[Mapping[str, Any]], chunks: Mapping[str, Chunk]
) -> list[dict[str, Any]]:
    """Rank changes with the texts that answer, as far as they are still there."""
    return [
        {
            "question": change["question"],
            "before": change["before"],
            "after": change["after"],
            "answers": [_answer(source, chunks) for source in change.get("relevant", [])],
        }
        for change in changes
    ]


def _answer(source: str, chunks: Mapping[str, Chunk]) -> dict[str, str | None]:
    """`source` is a chunk's id, or a document's name if the set is measured by document."""
    chunk = chunks.get(source)
    if chunk is None:
        return {"source": source, "document": None, "text": None}
    return {"source": source, "document": chunk.document, "text": chunk.text[:_ANSWER_CHARACTERS]}
