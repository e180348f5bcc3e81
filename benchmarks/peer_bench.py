"""Maps of the query, each alone and with the same words beside it, and the report about them.

Alone, a map ranks the chunks by their cosine with the mapped query. With words it ranks them by
that cosine plus `WORD_WEIGHT` times BM25, so that what the words bring is the same for all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import Any

import numpy as np

from benchmarks.recall import Bench, Search, measure
from services.ranking.signals import WORD_WEIGHT
from services.retrieval.embeddings import normalised
from services.retrieval.nearest import best_rows

Embed = Callable[[Sequence[str]], np.ndarray]  # questions -> (n, width), of any length
Train = Callable[["PeerBench", int], Embed]  # with a seed

BASELINE = "cosine"  # the map that changes nothing
VARIANTS = {"alone": "", "with words": " with words"}  # -> what it adds to the name of a map
SEARCHES = ("bm25", "untrained", "hybrid")  # of benchmarks.recall: more than a map and words
_DEPTH = 10
_LEAST_SECONDS = 0.01  # of training, to divide by
_SHOWN = ("recall@1", "recall@10", "ndcg@10")
_RATIO_METRICS = ("recall@1", "recall@10", "mrr@10", "ndcg@10")


@dataclass(frozen=True, slots=True)
class Map:
    train: Train
    in_context: bool = False  # whether it searches chunks with what is around them
    seeded: bool = True  # else every seed gives the same


@dataclass(frozen=True)
class PeerBench(Bench):
    """Also searches through `maps`; "<name>" and "<name> with words" are methods of it."""

    maps: Mapping[str, Map]

    def searcher(self, method: str, seed: int) -> Search:
        name = method.removesuffix(VARIANTS["with words"])
        if name not in self.maps:
            return super().searcher(method, seed)
        index = self.index
        chunks = index.context if self.maps[name].in_context else index.plain
        embed, _ = self.trained(name, seed)

        def search(_: np.ndarray, text: str) -> np.ndarray:
            mapped = normalised(embed([text]))[0]
            if method == name:
                return chunks.top(mapped, _DEPTH)[0]
            return best_rows(chunks.vectors @ mapped + WORD_WEIGHT * index.bm25(text), _DEPTH)

        return search

    def trained(self, name: str, seed: int) -> tuple[Embed, float]:
        """The map and the seconds that its training took; trained once for both variants."""
        key = name, seed if self.maps[name].seeded else 0
        if key not in self._trained:
            began = time.perf_counter()
            embed = self.maps[name].train(self, seed)
            self._trained[key] = embed, time.perf_counter() - began
        return self._trained[key]

    @cached_property
    def _trained(self) -> dict[tuple[str, int], tuple[Embed, float]]:
        return {}

    @cached_property
    def vector_of(self) -> dict[str, np.ndarray]:
        """Every text's vector, as the embedder made it."""
        texts = [*self.data.passages, *self.training.texts, *self.data.test.texts]
        vectors = np.concatenate([self.chunks, self.training_vectors, self.test_vectors])
        return dict(zip(texts, vectors, strict=True))

    def linear(self, matrix: np.ndarray) -> Embed:
        """Embeds questions as `vector @ matrix`."""
        return lambda texts: np.stack([self.vector_of[text] for text in texts]) @ matrix

    def shuffled_pairs(self, seed: int) -> list[tuple[str, str]]:
        """Every question with every passage that answers it.

        Shuffled, because LlamaIndex takes its batches in the given order, and another passage of
        the same question in the same batch would count as a wrong answer.
        """
        passages = self.data.passages
        pairs = [
            (text, passages[row])
            for text, rows in zip(self.training.texts, self.training.relevant, strict=True)
            for row in sorted(rows)
        ]
        order = np.random.default_rng(seed).permutation(len(pairs))
        return [pairs[position] for position in order]


def measure_maps(bench: PeerBench, seeds: Sequence[int]) -> dict[str, Any]:
    """The report of `benchmarks.recall` about every map in both variants, and a few searches."""
    _ = bench.test_vectors, bench.vector_of  # not part of the training time
    both = [name + suffix for name in bench.maps for suffix in VARIANTS.values()]
    report = measure(bench, [*both, *SEARCHES], seeds)
    for name in bench.maps:
        seconds = round(fmean(bench.trained(name, seed)[1] for seed in seeds), 2)
        for suffix in VARIANTS.values():
            report["methods"][name + suffix]["train_seconds"] = seconds
    return report


def with_ratios(
    report: dict[str, Any], peers: Mapping[str, Collection[str]], ours: Iterable[str]
) -> dict[str, Any]:
    """Add each peer's best setting, and the ratio of ours to it, for each variant.

    `peers` has the names of each peer's maps, `ours` those of ours. A ratio divides the gains over
    plain cosine of the same variant (None where the peer gains nothing), and the training times.
    """
    methods = report["methods"]
    best: dict[str, dict[str, str]] = {}
    ratios: dict[str, dict[str, Any]] = {}
    for variant, suffix in VARIANTS.items():
        recall = {
            name: methods[name + suffix]["metrics"]["recall@10"]
            for maps in peers.values()
            for name in maps
        }
        baseline = methods[BASELINE + suffix]["metrics"]
        best[variant] = {peer: max(maps, key=recall.__getitem__) for peer, maps in peers.items()}
        ratios[variant] = {
            peer: {
                name: _ratios(methods[name + suffix], methods[chosen + suffix], baseline)
                for name in ours
            }
            for peer, chosen in best[variant].items()
        }
    return {**report, "best": best, "ratios": ratios}


def _ratios(
    ours: Mapping[str, Any], peer: Mapping[str, Any], baseline: Mapping[str, float]
) -> dict[str, Any]:
    gains: dict[str, float | None] = {}
    for metric in _RATIO_METRICS:
        gained = peer["metrics"][metric] - baseline[metric]
        our_gain = ours["metrics"][metric] - baseline[metric]
        gains[metric] = round(our_gain / gained, 2) if gained > 0 else None
    seconds = ours["train_seconds"] / max(peer["train_seconds"], _LEAST_SECONDS)
    return {"gain": gains, "train_seconds": round(seconds, 3)}


def table(report: Mapping[str, Any], maps: Iterable[str]) -> str:
    """The figures as a Markdown table, a peer's best setting in bold for each variant."""
    columns = [*_SHOWN, *(f"{metric}, with words" for metric in _SHOWN), "train s"]
    lines = [f"| {report['dataset']} | {' | '.join(columns)} |", "|---|" + "---:|" * len(columns)]
    for name in maps:
        cells = []
        for variant, suffix in VARIANTS.items():
            mark = "**" if name in report["best"][variant].values() else ""
            cells += [f"{mark}{figure}{mark}" for figure in _figures(report, name + suffix)]
        lines.append(_line(name, cells, report["methods"][name]))
    for name in SEARCHES:
        cells = [*[""] * len(_SHOWN), *_figures(report, name)]
        lines.append(_line(name, cells, report["methods"][name]))
    return "\n".join(lines)


def _figures(report: Mapping[str, Any], method: str) -> list[str]:
    metrics = report["methods"][method]["metrics"]
    return [f"{metrics[metric]:.3f}" for metric in _SHOWN]


def _line(name: str, cells: Sequence[str], measured: Mapping[str, Any]) -> str:
    return f"| {name} | {' | '.join(cells)} | {measured['train_seconds']:.1f} |"
