"""How many planted answers judging finds: python -m benchmarks.judging DIR ... [--judgements 50]

DIR holds a data set in BEIR layout. Of its test questions with several answers, `--questions` are
drawn, all by default, and one answer of each of `--planted` is hidden, as if nobody had labelled
it. A person who knows all answers then judges in the order of the page, and in random order. Prints
the mean share of the hidden answers that were found over `--seeds` draws and the lowest, and the
share that is in the first ten of either ranking at all. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.beir import read_beir
from benchmarks.recall import Bench
from services.questions.pool import POOL_DEPTH, RankedQuestion, Unjudged, unjudged
from services.ranking.untrained import Untrained

Planted = dict[str, str]  # question key -> the hidden answer
Choose = Callable[[list[Unjudged]], Unjudged]


def ranked_questions(bench: Bench) -> list[RankedQuestion]:
    """The test questions with several answers, with their first ten chunks."""
    model, found = bench.train(bench.training_vectors, bench.training, 0), []
    test = bench.data.test
    for vector, text, relevant in zip(bench.test_vectors, test.texts, test.relevant, strict=True):
        if len(relevant) > 1:
            without, _ = Untrained.RANKER.search(vector, text, POOL_DEPTH, bench.index)
            with_, _ = model.search(vector, text, POOL_DEPTH, bench.index)
            found.append(
                RankedQuestion(text, _ids(without), _ids(with_), frozenset(_ids(relevant)))
            )
    return found


def _ids(rows: Iterable[int]) -> tuple[str, ...]:
    return tuple(str(row) for row in rows)


def planted(
    questions: Sequence[RankedQuestion], count: int, rng: random.Random
) -> tuple[list[RankedQuestion], Planted]:
    """The questions, `count` of them without one of their answers."""
    hidden = {one.key: rng.choice(sorted(one.answers)) for one in questions[:count]}
    without = [
        RankedQuestion(one.text, one.without, one.with_, one.answers - {hidden.get(one.key, "")})
        for one in questions
    ]
    return without, hidden


def found_by(
    questions: Sequence[RankedQuestion],
    hidden: Planted,
    places: dict[str, tuple[str, int]],
    judgements: int,
    choose: Choose,
) -> float:
    """The share of the hidden answers that so many judgements find."""
    judged: dict[str, dict[str, bool]] = {}
    keys = {one.text: one.key for one in questions}
    latest, hits = "", 0
    for _ in range(judgements):
        left = unjudged(questions, judged, places, latest)
        if not left:
            break
        one = choose(left)
        latest, key = one.question, keys[one.question]
        is_hit = hidden.get(key) == one.chunk_id
        judged.setdefault(key, {})[one.chunk_id] = is_hit
        hits += is_hit
    return hits / len(hidden)


def simulate(bench: Bench, chosen: argparse.Namespace) -> dict[str, Any]:
    everything = ranked_questions(bench)
    documents = bench.data.documents
    places = {str(row): (document, row) for row, document in enumerate(documents)}
    by_page, by_chance, within = [], [], []
    for seed in range(chosen.seeds):
        rng = random.Random(seed)
        drawn = rng.sample(everything, min(chosen.questions or len(everything), len(everything)))
        questions, hidden = planted(drawn, chosen.planted, rng)
        pools = {one.key: one.pool for one in questions}
        within.append(fmean(id_ in pools[key] for key, id_ in hidden.items()))
        shared = questions, hidden, places, chosen.judgements
        by_page.append(found_by(*shared, lambda order: order[0]))
        by_chance.append(found_by(*shared, rng.choice))
    return {
        "dataset": bench.data.name,
        "questions": len(questions),
        "planted": len(hidden),
        "judgements": chosen.judgements,
        "found": round(fmean(by_page), 3),
        "found, lowest": round(min(by_page), 3),
        "found in random order": round(fmean(by_chance), 3),
        "in the first ten": round(fmean(within), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+", metavar="DIR")
    parser.add_argument("--judgements", type=int, default=50)
    parser.add_argument("--planted", type=int, default=25)
    parser.add_argument("--questions", type=int, help="of each draw; all by default")
    parser.add_argument("--seeds", type=int, default=10)
    chosen = parser.parse_args()
    results = []
    for folder in chosen.folders:
        data = read_beir(folder)
        results.append(simulate(Bench(data, data.train), chosen))
        print(results[-1], flush=True)
    print(json.dumps(results))


if __name__ == "__main__":
    main()
