"""What training does to questions that it had no part in: python -m benchmarks.unseen DIR [FOREIGN]

DIR and FOREIGN hold data sets in BEIR layout. Prints nDCG@10 without training, and what training
adds to it in points with a 95% interval over documents, for

- trained: test questions about documents with training questions, trained on half of the documents;
- left out: test questions about the other half of the documents;
- foreign: FOREIGN's test questions, searched with a model that was trained on DIR; "believed" is as
  if the model did not leave documents that it was not trained for to search without training;

and of `--shuffled N` models that are trained on the answers of other questions, how many would have
taken over search by themselves. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.beir import Questions, read_beir
from benchmarks.recall import DEPTH, Bench
from services.deep_memory.evaluation import Evaluation
from services.deep_memory.split import answering_groups
from services.deep_memory.trained_model import DeepMemoryModel
from services.deep_memory.verdicts import compare
from services.ranking.ranker import Ranker


def part_of(questions: Questions, rows: Sequence[int]) -> Questions:
    return Questions(
        [questions.texts[row] for row in rows], [questions.relevant[row] for row in rows]
    )


def trained_on(bench: Bench, questions: Questions, seed: int = 0) -> DeepMemoryModel:
    return bench.train(bench.embedder.embed(questions.texts), questions, seed)


def evaluated(bench: Bench, search: Callable[..., Any], asked: Questions) -> Evaluation:
    return bench.evaluate_on(
        lambda vector, text: search(vector, text, DEPTH, bench.index)[0],
        bench.embedder.embed(asked.texts),
        asked,
    )


def gain(bench: Bench, model: DeepMemoryModel, asked: Questions) -> dict[str, Any]:
    """What `model` adds to search without training."""
    before = evaluated(bench, Ranker.untrained(bench.index).search, asked)
    after = evaluated(bench, model.search, asked)
    groups = answering_groups(asked.relevant, bench.data.documents)
    found = compare(before, after, groups)
    return {
        "questions": len(asked.texts),
        "untrained": round(before.as_metrics()["ndcg@10"], 4),
        "gain": round(100 * float((after.ndcg - before.ndcg).mean()), 2),
        "95%": [round(100 * bound, 2) for bound in found.intervals["ndcg@10"]],
    }


def halves(bench: Bench, seed: int = 0) -> tuple[DeepMemoryModel, Questions, Questions]:
    """A model of the training questions about half of the documents, and the test questions about
    those and about the others."""
    documents = np.array(bench.data.documents)
    names = np.random.default_rng(seed).permutation(sorted(set(bench.data.documents)))
    chosen = set(names[: len(names) // 2].tolist())

    def about(questions: Questions, inside: bool) -> Questions:
        of = [documents[min(found)] in chosen for found in questions.relevant]
        return part_of(questions, [row for row, is_in in enumerate(of) if is_in == inside])

    model = replace(
        trained_on(bench, about(bench.data.train, True), seed), documents=frozenset(chosen)
    )
    return model, about(bench.data.test, True), about(bench.data.test, False)


def taken_over(bench: Bench, models: int) -> int:
    """How many models that learned nothing true are proven better on held-out questions."""
    train, count = bench.data.train, 0
    for seed in range(models):
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(train.texts))
        held_out, kept = order[: len(order) // 5], order[len(order) // 5 :]
        others = rng.permutation(kept)
        wrong = Questions(
            [train.texts[row] for row in kept], [train.relevant[row] for row in others]
        )
        asked = part_of(train, held_out.tolist())
        model = trained_on(bench, wrong, seed)
        before = evaluated(bench, Ranker.untrained(bench.index).search, asked)
        groups = answering_groups(asked.relevant, bench.data.documents)
        found = compare(before, evaluated(bench, model.search, asked), groups)
        count += found.is_improvement
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("foreign", type=Path, nargs="?", metavar="FOREIGN")
    parser.add_argument("--shuffled", type=int, default=0)
    chosen = parser.parse_args()
    data = read_beir(chosen.folder)
    bench = Bench(data, data.train)
    model, trained, left_out = halves(bench)
    result: dict[str, Any] = {
        "dataset": data.name,
        "trained": gain(bench, model, trained),
        "left out": gain(bench, model, left_out),
    }
    if chosen.foreign:
        other = read_beir(chosen.foreign)
        elsewhere = replace(bench, data=other, training=other.train)
        of_all = trained_on(bench, data.train)
        careful = replace(of_all, documents=frozenset(data.documents))
        result["foreign"] = gain(elsewhere, careful, other.test) | {"dataset": other.name}
        result["foreign, believed"] = gain(elsewhere, of_all, other.test)
    if chosen.shuffled:
        taken = taken_over(bench, chosen.shuffled)
        result["shuffled"] = {"models": chosen.shuffled, "took over": taken}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
