"""What `python -m benchmarks.recall` prints, on a data set small enough to work out by hand."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks import recall
from benchmarks.beir import read_beir
from benchmarks.soak import growth
from services.deep_memory.verdicts import Verdict

PASSAGES = {
    "sea-0": "Harbour pilots guide container ships past the breakwater.",
    "sea-1": "Trawlers land herring and mackerel at dawn.",
    "sea-2": "A lighthouse lamp turns once every ten seconds.",
    "bread-0": "Sourdough ferments overnight before the oven is lit.",
    "bread-1": "Rye flour holds more water than wheat flour.",
    "bees-0": "Worker bees dance to tell where clover blooms.",
    "bees-1": "A queen lays eggs in wax cells all summer.",
    "law-0": "The tenant pays the deposit within fourteen days.",
    "law-1": "The tenant pays the deposit within fourteen days, says the lease.",
    "ice-0": "Glaciers carve valleys and leave moraines behind.",
    "ice-1": "Cores of polar ice record ancient volcanic ash.",
    "chess-0": "A knight forks the rook and the bishop.",
}
TEST_QUESTIONS = {  # each asks in the words of one passage, which cosine must therefore put first
    "found": (PASSAGES["sea-2"], {"sea-2": 1}),
    "two-answers": (PASSAGES["law-0"], {"law-0": 1, "law-1": 2, "chess-0": 0, "lost-9": 1}),
    "second-place": (PASSAGES["law-1"], {"law-0": 1}),
    "nothing-relevant": (PASSAGES["bees-0"], {"bees-0": 0}),
}
BASELINE = {
    "recall@1": (1 + 1 / 2 + 0) / 3,
    "recall@3": 1.0,
    "recall@5": 1.0,
    "recall@10": 1.0,
    "mrr@10": (1 + 1 + 1 / 2) / 3,
    "ndcg@10": (1 + 1 + 0.63093) / 3,  # 1 / log2(3) for the one in second place
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder in BEIR layout, which has no dev split."""
    train = {f"train-{id}": (f"What of this: {text}", {id: 1}) for id, text in PASSAGES.items()}
    write_lines(
        tmp_path / "corpus.jsonl",
        ({"_id": id, "title": "", "text": text} for id, text in PASSAGES.items()),
    )
    write_lines(
        tmp_path / "queries.jsonl",
        ({"_id": id, "text": text} for id, (text, _) in (train | TEST_QUESTIONS).items()),
    )
    for split, questions in (("train", train), ("test", TEST_QUESTIONS)):
        path = tmp_path / "qrels" / f"{split}.tsv"
        path.parent.mkdir(exist_ok=True)
        rows = [
            f"{question}\t{passage}\t{score}"
            for question, (_, judged) in questions.items()
            for passage, score in judged.items()
        ]
        path.write_text("\n".join(["query-id\tcorpus-id\tscore", *rows]) + "\n", encoding="utf-8")
    return tmp_path


def write_lines(path: Path, rows: Iterator[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture
def run_recall(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., dict[str, Any]]:
    """Run the command on the folder; the JSON object that it prints last."""

    def run(*arguments: str) -> dict[str, Any]:
        monkeypatch.setattr(sys, "argv", ["recall", str(folder), *arguments])
        recall.main()
        return json.loads(capsys.readouterr().out.splitlines()[-1])

    return run


def test_the_recall_command_prints_what_was_asked_of_it(
    run_recall: Callable[..., dict[str, Any]], folder: Path
) -> None:
    printed = run_recall("--seeds", "0", "1")
    assert printed["baseline"] == pytest.approx(BASELINE, abs=1e-4)
    assert printed["methods"]["cosine"]["metrics"] == printed["baseline"]
    assert (printed["dataset"], printed["embedder"]) == (folder.name, "wordllama-256")
    assert (printed["passages"], printed["documents"]) == (12, 6)
    assert (printed["train_questions"], printed["test_questions"]) == (12, 3)
    assert (printed["pairs"], printed["seeds"]) == ("train", [0, 1])
    assert printed["trained"] == printed["methods"]["hybrid"]["metrics"]
    assert printed["train_seconds"] > 0 and printed["search_ms_p50"] > 0
    assert list(printed["methods"]) == list(recall.METHODS)
    for measured in printed["methods"].values():
        assert measured["metrics"].keys() == BASELINE.keys()
        for name, over in measured["over"].items():
            assert over["gain"].keys() == over["95%"].keys() == BASELINE.keys()
            for figure, gain in over["gain"].items():
                was = printed["methods"][name]["metrics"][figure]
                assert gain == pytest.approx(measured["metrics"][figure] - was, abs=2e-4)
            assert over["verdict"] in set(Verdict)
            assert over["wins"] + over["losses"] <= 3
    assert printed["untrained"] == printed["methods"]["untrained"]["metrics"]
    assert set(printed["methods"]["hybrid"]["over"]) == {"cosine", "minmax", "untrained"}


def test_what_one_search_gains_over_another_the_other_loses(
    run_recall: Callable[..., dict[str, Any]],
) -> None:
    printed = run_recall("--method", "cosine", "untrained")["methods"]
    assert "cosine" not in printed["cosine"]["over"]  # nothing is compared with itself
    gained, lost = printed["untrained"]["over"]["cosine"], printed["cosine"]["over"]["untrained"]
    assert gained["wins"] == lost["losses"]
    assert gained["gain"]["ndcg@10"] == -lost["gain"]["ndcg@10"]


def test_judgements_of_zero_and_of_passages_that_are_not_there_do_not_count(folder: Path) -> None:
    data = read_beir(folder)
    row = list(PASSAGES).index
    assert data.test.relevant == [{row("sea-2")}, {row("law-0"), row("law-1")}, {row("law-0")}]


def test_a_folder_without_its_test_split_is_refused_by_name(folder: Path) -> None:
    (folder / "qrels" / "test.tsv").unlink()
    with pytest.raises(SystemExit, match=r"not a data set in BEIR layout.*test\.tsv"):
        read_beir(folder)


def test_a_soak_tells_steady_growth_from_what_goes_up_and_down() -> None:
    times, warming_up = [2.0 * number for number in range(120)], [50.0] * 30
    leaking = growth(times, warming_up + [100 + number / 2 for number in range(90)])
    assert (leaking["first_third"], leaking["last_third"]) == (107.2, 137.2)
    assert leaking["per_hour"] == 900.0  # half a megabyte in two seconds
    assert growth(times, warming_up + [100.0, 130.0] * 45)["per_hour"] == 0.0
