"""What a run keeps of a comparison on the same questions: figures, a verdict, wins and losses."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np

from services.deep_memory.evaluation import Evaluation
from services.deep_memory.verdicts import Measure, compare
from services.ranking.untrained import Untrained

_MOST_RANK_CHANGES = 1000  # wins, and as many losses; 160 kB


@dataclass(frozen=True, slots=True)
class Questions:
    """Questions with the rows of the snapshot that answer them. `vectors` is (n, width).

    `sources[row]` is the id of the chunk, or the name of the document, that the row stands for.
    """

    texts: list[str]
    vectors: np.ndarray
    relevant: list[set[int]]
    sources: Sequence[str]

    @property
    def hash(self) -> str:
        """SHA-256 of the questions with what answers them, whatever their order."""
        answered = sorted(
            [text, sorted(self.sources[row] for row in rows)]
            for text, rows in zip(self.texts, self.relevant, strict=True)
        )
        return sha256(json.dumps(answered, ensure_ascii=False).encode()).hexdigest()

    def only(self, rows: np.ndarray) -> Questions:
        return Questions(
            [self.texts[row] for row in rows],
            self.vectors[rows],
            [self.relevant[row] for row in rows],
            self.sources,
        )


@dataclass(frozen=True, slots=True)
class Ranked:
    """Evaluations of search on the same questions: without training, and with the trained model.

    `steps` says apart what search without training is made of; the last of them is `before`.
    """

    steps: Mapping[Untrained, Evaluation]
    after: Evaluation
    in_use: Evaluation | None = None  # with the model that search uses now, if it is another

    @property
    def baseline(self) -> Untrained:
        return list(self.steps)[-1]

    @property
    def before(self) -> Evaluation:
        return self.steps[self.baseline]


def compared(questions: Questions, ranked: Ranked, groups: np.ndarray) -> dict[str, Any]:
    """What a run stores of a comparison on the same questions, as JSON.

    `groups` (n,) names the document or chunk of each question; see `verdicts.compare`.

    "verdict" is that on recall@10, "verdicts" has one for each measure.
    "ranks": [rank before, rank after, number of questions], None for a rank beyond the first ten.
    "steps": the metrics of each way to search without training, and its name; the last is that of
    "before".
    """
    before, after = ranked.before, ranked.after
    result = compare(before, after, groups)
    ranks = [(_rank(was), _rank(is_)) for was, is_ in zip(before.mrr, after.mrr, strict=True)]

    def rank_changes(rows: Sequence[int]) -> list[dict[str, Any]]:
        return [
            {
                "question": questions.texts[row],
                "before": ranks[row][0],
                "after": ranks[row][1],
                "relevant": sorted(questions.sources[found] for found in questions.relevant[row]),
            }
            for row in rows[:_MOST_RANK_CHANGES]
        ]

    return {
        "hash": questions.hash,
        "steps": [
            {"search": step.value, **found.as_metrics()} for step, found in ranked.steps.items()
        ],
        "before": before.as_metrics(),
        "after": after.as_metrics(),
        "verdict": result.verdicts[Measure.RECALL_10].value,
        "verdicts": {name: verdict.value for name, verdict in result.verdicts.items()},
        "more_questions": result.more_questions,
        "intervals": {name: list(interval) for name, interval in result.intervals.items()},
        "win_count": len(result.wins),
        "loss_count": len(result.losses),
        "wins": rank_changes(result.wins),
        "losses": rank_changes(result.losses),
        "ranks": [[*pair, count] for pair, count in Counter(ranks).most_common()],
    }


def _rank(reciprocal: float) -> int | None:
    """The rank of the first relevant chunk; None beyond the first ten."""
    return round(1 / reciprocal) if reciprocal > 0 else None
