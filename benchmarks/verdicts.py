"""How often chance is called better or worse: simulated sets of questions, thousands of each kind.

    python -m benchmarks.verdicts

Each set is drawn from a world in which the truth is known: no effect (a question is as likely to
rise as to fall), ties (hardly any question changes), a small loss and a small gain. Questions of
one document share their fate in part. Printed per kind: the share of sets that are called better,
worse, no change and not proven. Where there is no effect, better and worse are each to be at most
2.5%; with a loss, better is; with a gain, worse is.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from services.deep_memory.evaluation import RECALL_DEPTHS, Evaluation
from services.deep_memory.verdicts import Measure, Verdict, compare

_SHARED = 0.3  # of the questions of a document, those that go its way
_RANKS = np.arange(1, 12)  # 11 stands for beyond ten


@dataclass(frozen=True, slots=True)
class World:
    """`changed`: the share of questions whose rank changes; `effect`: of all, more up than down."""

    name: str
    questions: int
    a_document: int  # questions about each
    changed: float
    effect: float

    def draw(self, rng: np.random.Generator) -> tuple[Evaluation, Evaluation, np.ndarray]:
        """Two evaluations of the same questions, and the document of each."""
        documents = np.arange(self.questions) // self.a_document
        fate = rng.random(self.questions)
        if self.a_document > 1:
            of_document = rng.random(documents.max() + 1)[documents]
            fate = np.where(rng.random(self.questions) < _SHARED, of_document, fate)
        up, down = (self.changed + self.effect) / 2, (self.changed - self.effect) / 2
        better = rng.choice(_RANKS[:5], self.questions)
        worse = rng.choice(_RANKS[5:], self.questions)
        stays = rng.choice(_RANKS, self.questions)
        before = np.where(fate < up, worse, np.where(fate < up + down, better, stays))
        after = np.where(fate < up, better, np.where(fate < up + down, worse, stays))
        return _evaluation(before), _evaluation(after), documents


def _evaluation(ranks: np.ndarray) -> Evaluation:
    """Of questions with one relevant chunk at these ranks."""
    found = ranks <= 10
    return Evaluation(
        {depth: (ranks <= depth).astype(float) for depth in RECALL_DEPTHS},
        np.where(found, 1 / ranks, 0.0),
        np.where(found, 1 / np.log2(ranks + 1), 0.0),
    )


def worlds() -> Iterator[World]:
    for questions, a_document in ((20, 1), (40, 1), (60, 5), (127, 3), (400, 8)):
        yield World("no effect", questions, a_document, 0.2, 0.0)
        yield World("no effect", questions, a_document, 0.5, 0.0)
        yield World("tie", questions, a_document, 0.02, 0.0)
        yield World("small loss", questions, a_document, 0.2, -0.02)
        yield World("small gain", questions, a_document, 0.2, 0.02)


def verdicts_of(world: World, sets: int, seed: int = 0) -> dict[Measure, Counter[Verdict]]:
    """How often each verdict is given, on each measure."""
    rng = np.random.default_rng(seed)
    counts: dict[Measure, Counter[Verdict]] = {measure: Counter() for measure in Measure}
    for number in range(sets):
        found = compare(*world.draw(rng), seed=number)
        for measure in Measure:
            counts[measure][found.verdicts[measure]] += 1
    return counts


def false_shares(world: World, counts: Counter[Verdict]) -> dict[str, float]:
    """The shares of the verdicts that are false in this world."""
    total = counts.total()
    false = {}
    if world.effect <= 0:
        false["better"] = counts[Verdict.BETTER] / total
    if world.effect >= 0:
        false["worse"] = counts[Verdict.WORSE] / total
    return false


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", type=int, default=2000, help="of each kind")
    sets = parser.parse_args().sets
    highest: dict[tuple[str, Measure], tuple[float, World]] = {}
    print("world, questions, changed | recall@10: better, no change, not proven, worse")
    for world in worlds():
        counts = verdicts_of(world, sets)
        shares = [counts[Measure.RECALL_10][verdict] / sets for verdict in Verdict]
        named = f"{world.name:10} {world.questions:4} {world.changed:4.0%}"
        print(named, "|", *(f"{share:6.1%}" for share in shares), flush=True)
        for measure in Measure:
            for said, share in false_shares(world, counts[measure]).items():
                at = (said, measure)
                highest[at] = max(highest.get(at, (0.0, world)), (share, world), key=lambda x: x[0])
    for (said, measure), (share, world) in sorted(highest.items()):
        print(
            f"false {said:6} of {measure:9} at most {share:.1%} "
            f"({world.name}, {world.questions} questions)"
        )


if __name__ == "__main__":
    main()
