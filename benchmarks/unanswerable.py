"""Does search notice that nothing answers? python -m benchmarks.unanswerable DATA FOREIGN...

DATA and each FOREIGN are data sets in BEIR layout, or "sample", whose hand-written questions are
then both: every other one trains. `--pairs offline` trains on what the offline writer asks. In turn
a part of the documents is left out of the index and of training. Then these are asked:

- answerable: test questions about the documents that are there; "refused" is the share of them that
  search calls unanswerable;
- left out: test questions about the documents that are not;
- foreign: FOREIGN's test questions;
- beside: the answerable ones, with their answers and the chunks next to them hidden. Some of them
  are answered elsewhere in the same document, so this is no clean measure.

Of each, the AUC against the answerable ones, mean over the parts, and the share that search calls
unanswerable, by one of these measures: what the app does ("score"), and the highest of a signal
over the candidates, or a logistic mixture of two fitted on the training questions against the same
with their document hidden, with a limit that 5% of the training questions stay below. The last line
is one JSON object.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from benchmarks.beir import DataSet, Questions, read_beir
from benchmarks.chunks import sample_chunks
from benchmarks.recall import Bench, offline_questions
from benchmarks.unseen import part_of
from services.deep_memory.local_trainer import fit_folds
from services.deep_memory.no_answer import REFUSED
from services.deep_memory.trained_model import DeepMemoryModel
from services.knowledge.sample import relevant_chunks, sample_questions
from services.ranking.signals import NAMES, candidates

SIGNALS = ("cosine", "cosine, trained", "cosine in context, trained", "covered", "near words")
MIXED = ("covered", "cosine in context, trained")
KINDS = ("left out", "foreign", "beside")
Rows = Collection[int]
Asked = dict[str, np.ndarray]  # kind of questions -> (n, signals) the highest of each signal


def sample() -> DataSet:
    """The sample knowledge base; every other question is for training."""
    chunks = sample_chunks()
    row_of = {chunk.id: row for row, chunk in enumerate(chunks)}
    questions = sample_questions()
    answers = [{row_of[id_] for id_ in relevant_chunks(one, chunks)} for one in questions]
    everything = Questions([one.question for one in questions], answers)
    texts, names = [chunk.in_context for chunk in chunks], [chunk.document for chunk in chunks]
    train, test = (part_of(everything, range(first, len(questions), 2)) for first in (0, 1))
    return DataSet("sample", texts, names, train, test)


def read(name: str) -> DataSet:
    return sample() if name == "sample" else read_beir(Path(name))


def without(data: DataSet, left_out: Collection[str]) -> tuple[DataSet, list[str]]:
    """The data set without some documents, and the test questions that only these answer."""
    kept = [row for row, name in enumerate(data.documents) if name not in left_out]
    place = {row: new for new, row in enumerate(kept)}

    def about_kept(asked: Questions) -> Questions:
        inside = [row for row, found in enumerate(asked.relevant) if found <= place.keys()]
        chosen = part_of(asked, inside)
        return Questions(chosen.texts, [{place[r] for r in found} for found in chosen.relevant])

    passages, documents = ([of[row] for row in kept] for of in (data.passages, data.documents))
    asked = zip(data.test.texts, data.test.relevant, strict=True)
    gone = [text for text, found in asked if found.isdisjoint(place)]
    rest = DataSet(data.name, passages, documents, about_kept(data.train), about_kept(data.test))
    return rest, gone


def highest(
    bench: Bench,
    texts: Sequence[str],
    maps: Sequence[np.ndarray],
    weights: np.ndarray,
    hidden: Sequence[Rows] | None = None,
) -> np.ndarray:
    """(n, signals + 1): the highest of each signal and of the score, without the rows `hidden`."""
    found = np.full((len(texts), len(NAMES) + 1), -1.0)
    for number, (text, query) in enumerate(zip(texts, bench.embedder.embed(texts), strict=True)):
        seen = candidates(text, query, maps[number], bench.index)
        there = ~np.isin(seen.rows, list(hidden[number]) if hidden else [])
        if there.any():
            signals = seen.signals[there]
            found[number] = np.append(signals.max(axis=0), (signals @ weights).max())
    return found


def asked_of(
    bench: Bench, model: DeepMemoryModel, gone: Sequence[str], foreign: Sequence[str]
) -> Asked:
    index, train, test = bench.index, bench.training, bench.data.test
    fit = fit_folds(bench.training_vectors, index.context.vectors, train.relevant)  # as the app's
    folded = fit.matrices[fit.fold_of]
    rows_of: dict[str, set[int]] = {}
    for row, name in enumerate(bench.data.documents):
        rows_of.setdefault(name, set()).add(row)
    documents = [
        set().union(*(rows_of[bench.data.documents[row]] for row in found))
        for found in train.relevant
    ]
    beside = [
        {*found, *np.concatenate(index.neighbours.beside(np.array(sorted(found)))).tolist()}
        for found in test.relevant
    ]

    def by_model(texts: Sequence[str], hidden: Sequence[Rows] | None = None) -> np.ndarray:
        return highest(bench, texts, [model.query_map.matrix] * len(texts), model.weights, hidden)

    return {
        "train": highest(bench, train.texts, folded, model.weights),
        "train, hidden": highest(bench, train.texts, folded, model.weights, documents),
        "answerable": by_model(test.texts),
        "left out": by_model(gone),
        "foreign": by_model(foreign),
        "beside": by_model(test.texts, beside),
    }


def mixture(right: np.ndarray, wrong: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """A logistic regression of (n, signals) by Newton's method, as a function of such."""
    both = np.concatenate([right, wrong])
    mean, spread = both.mean(axis=0), np.maximum(both.std(axis=0), 1e-6)
    is_right = np.repeat([1.0, 0.0], [len(right), len(wrong)])

    def inputs(signals: np.ndarray) -> np.ndarray:
        return np.column_stack([(signals - mean) / spread, np.ones(len(signals))])

    known = inputs(both)
    weights = np.zeros(known.shape[1])
    for _ in range(20):
        chance = 1 / (1 + np.exp(-known @ weights))
        curve = (known.T * (chance * (1 - chance))) @ known + np.eye(len(weights))
        weights -= np.linalg.solve(curve, known.T @ (chance - is_right) + weights)
    return lambda signals: inputs(signals) @ weights


def measures(asked: Asked, limit: float) -> dict[str, tuple[Mapping[str, np.ndarray], float]]:
    """Name -> its value for each question of each kind, and its limit."""
    columns = {name: NAMES.index(name) for name in SIGNALS}
    measured = {
        name: {kind: of[:, at] for kind, of in asked.items()} for name, at in columns.items()
    }
    two = [columns[name] for name in MIXED]
    mix = mixture(asked["train"][:, two], asked["train, hidden"][:, two])
    measured[" and ".join(MIXED)] = {kind: mix(of[:, two]) for kind, of in asked.items()}
    by = {name: (of, float(np.quantile(of["train"], REFUSED))) for name, of in measured.items()}
    return {"score": ({kind: of[:, -1] for kind, of in asked.items()}, limit), **by}


def auc(higher: np.ndarray, lower: np.ndarray) -> float:
    """The chance that one of `higher` is above one of `lower`; ties count half."""
    above = (higher[:, None] > lower).mean() + (higher[:, None] == lower).mean() / 2
    return float(above)


def measure(data: DataSet, foreign: Sequence[str], pairs: str, parts: int) -> dict[str, Any]:
    """Everything that the command prints."""
    names = np.random.default_rng(0).permutation(sorted(set(data.documents)))
    found: dict[str, dict[str, list[Any]]] = {}
    limits = []
    for part in range(parts):
        rest, gone = without(data, names[part::parts].tolist())
        bench = Bench(rest, rest.train if pairs == "train" else offline_questions(rest.passages))
        model = bench.train(bench.training_vectors, bench.training, 0)
        if model.lowest_score is None:
            raise SystemExit("There are too few training questions to learn a limit from.")
        limits.append(round(model.lowest_score, 2))
        asked = asked_of(bench, model, gone, foreign)
        for name, (values, limit) in measures(asked, model.lowest_score).items():
            of = found.setdefault(name, {})
            of.setdefault("refused", []).append(values["answerable"] < limit)
            for kind in KINDS:
                of.setdefault(f"said so, {kind}", []).append(values[kind] < limit)
                of.setdefault(f"AUC, {kind}", []).append(auc(values["answerable"], values[kind]))
    return {
        "dataset": data.name,
        "pairs": pairs,
        "parts": parts,
        "limits": limits,
        "measures": {
            name: {key: _mean(all_) for key, all_ in of.items()} for name, of in found.items()
        },
    }


def _mean(values: Sequence[Any]) -> float:
    return round(
        fmean(values) if isinstance(values[0], float) else float(np.concatenate(values).mean()), 3
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", metavar="DATA")
    parser.add_argument("foreign", nargs="+", metavar="FOREIGN")
    parser.add_argument("--pairs", choices=["train", "offline"], default="train")
    parser.add_argument("--parts", type=int, default=3, help="documents are left out in so many")
    chosen = parser.parse_args()
    foreign = [text for name in chosen.foreign for text in read(name).test.texts]
    report = measure(read(chosen.data), foreign, chosen.pairs, chosen.parts)
    for name, of in report["measures"].items():
        print(f"{name:42}", *(f"{key} {value:.2f}" for key, value in of.items()), sep="  ")
    print(json.dumps(report))


if __name__ == "__main__":
    main()
