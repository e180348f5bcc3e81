"""Maps as `python -m benchmarks.peers` compares them: with an equal chance, and RAGLite's algebra.

The peers' own libraries have an environment of their own, and are not imported here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.beir import DataSet, Questions
from benchmarks.peer_bench import (
    BASELINE,
    SEARCHES,
    Embed,
    Map,
    PeerBench,
    measure_maps,
    table,
    with_ratios,
)
from benchmarks.raglite_adapter import rotation
from services.ranking.untrained import Untrained

PASSAGES = [
    "Harbour pilots guide container ships past the breakwater.",
    "Trawlers land herring and mackerel at dawn.",
    "Sourdough ferments overnight before the oven is lit.",
    "Rye flour holds more water than wheat flour.",
    "Worker bees dance to tell where clover blooms.",
    "A queen lays eggs in wax cells all summer.",
]
DOCUMENTS = ["sea", "sea", "bread", "bread", "bees", "bees"]
QUESTIONS = Questions(
    [f"What of this: {text}" for text in PASSAGES], [{row} for row in range(len(PASSAGES))]
)
WITH_WORDS = f"{BASELINE} with words"


def unchanged(bench: PeerBench, _: int) -> Embed:
    return bench.linear(np.eye(bench.embedder.width, dtype=np.float32))


def backwards(bench: PeerBench, _: int) -> Embed:
    """The worst map there is."""
    return bench.linear(-np.eye(bench.embedder.width, dtype=np.float32))


def bench(**maps: Map) -> PeerBench:
    data = DataSet("small", PASSAGES, DOCUMENTS, QUESTIONS, QUESTIONS)
    return PeerBench(data, QUESTIONS, {BASELINE: Map(unchanged), **maps})


def first_rows(bench: PeerBench, method: str) -> list[list[int]]:
    search = bench.searcher(method, 0)
    pairs = zip(bench.test_vectors, bench.data.test.texts, strict=True)
    return [search(vector, text).tolist() for vector, text in pairs]


def test_a_map_that_changes_nothing_searches_as_cosine_and_with_words_as_cosine_and_bm25():
    small = bench()
    for method, app in (
        (BASELINE, Untrained.COSINE),
        (WITH_WORDS, Untrained.COSINE_AND_WORDS),
    ):
        expected = [
            app.search(vector, text, 10, small.index)[0].tolist()
            for vector, text in zip(small.test_vectors, QUESTIONS.texts, strict=True)
        ]
        assert first_rows(small, method) == expected


def test_a_map_in_context_searches_the_chunks_in_context():
    small = bench(context=Map(unchanged, in_context=True))
    expected = [small.index.context.top(vector, 10)[0].tolist() for vector in small.test_vectors]
    assert first_rows(small, "context") == expected


def test_the_length_of_a_mapped_question_does_not_weigh_against_the_words():
    def longer(bench: PeerBench, _: int) -> Embed:
        return bench.linear(100 * np.eye(bench.embedder.width, dtype=np.float32))

    small = bench(longer=Map(longer))
    assert first_rows(small, "longer with words") == first_rows(small, WITH_WORDS)


def test_a_map_is_trained_once_for_both_variants_and_once_if_it_has_no_seed():
    trained: list[tuple[str, int]] = []

    def counted(name: str):
        def train(bench: PeerBench, seed: int) -> Embed:
            trained.append((name, seed))
            return unchanged(bench, seed)

        return train

    small = bench(seeded=Map(counted("seeded")), closed=Map(counted("closed"), seeded=False))
    report = measure_maps(small, [0, 1])["methods"]
    assert sorted(trained) == [("closed", 0), ("seeded", 0), ("seeded", 1)]
    for name in ("seeded", "closed"):
        seconds = small.trained(name, 0)[1]
        assert report[name]["train_seconds"] == report[f"{name} with words"]["train_seconds"]
        assert report[name]["train_seconds"] == pytest.approx(seconds, abs=0.05)


def measured(recall: float, seconds: float = 1.0) -> dict[str, Any]:
    metrics = dict.fromkeys(("recall@1", "recall@10", "mrr@10", "ndcg@10"), recall)
    return {"metrics": metrics, "train_seconds": seconds}


@pytest.fixture
def report() -> dict[str, Any]:
    """Ours gains 0.3 alone and 0.1 with words; a peer 0.1 or 0.2 alone, and nothing with words."""
    figures = {"cosine": (0.5, 0.7), "ours": (0.8, 0.8), "peer a": (0.6, 0.7), "peer b": (0.7, 0.6)}
    methods = {name: measured(alone) for name, (alone, _) in figures.items()}
    methods |= {f"{name} with words": measured(both) for name, (_, both) in figures.items()}
    methods["peer b"]["train_seconds"] = 4.0
    methods |= {name: measured(0.75) for name in SEARCHES}
    report = {"dataset": "small", "methods": methods}
    return with_ratios(report, {"peer": ["peer a", "peer b"]}, ["ours"])


def test_ours_is_divided_by_the_best_setting_of_each_variant(report):
    assert report["best"] == {"alone": {"peer": "peer b"}, "with words": {"peer": "peer a"}}
    alone = report["ratios"]["alone"]["peer"]["ours"]
    assert alone["gain"]["recall@10"] == 1.5 and alone["train_seconds"] == 0.25
    assert report["ratios"]["with words"]["peer"]["ours"]["gain"]["ndcg@10"] is None


def test_the_table_has_a_map_in_one_line_and_the_best_setting_in_bold(report):
    lines = table(report, ["cosine", "peer a", "peer b"]).splitlines()
    assert lines[2] == f"| cosine | {'0.500 | ' * 3}{'0.700 | ' * 3}1.0 |"
    assert lines[3] == f"| peer a | {'0.600 | ' * 3}{'**0.700** | ' * 3}1.0 |"
    assert lines[4] == f"| peer b | {'**0.700** | ' * 3}{'0.600 | ' * 3}4.0 |"
    assert [line.split(" | ")[0] for line in lines[5:]] == [f"| {name}" for name in SEARCHES]
    assert len({line.count("|") for line in lines}) == 1


def test_raglites_adapter_is_the_rotation_that_brings_questions_to_their_targets():
    rng = np.random.default_rng(0)
    turned, _ = np.linalg.qr(rng.normal(size=(6, 6)))
    questions = rng.normal(size=(40, 6))
    found = rotation(questions, 3 * questions @ turned.T)
    assert found == pytest.approx(turned, abs=1e-6)


def test_raglites_adapter_leaves_alone_what_no_question_points_to():
    questions, targets = np.eye(4)[[0, 1]], np.eye(4)[[1, 0]]
    swapped = np.eye(4)[[1, 0, 2, 3]]
    assert rotation(questions, targets) == pytest.approx(swapped, abs=1e-6)
