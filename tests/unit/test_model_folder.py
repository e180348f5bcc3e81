"""An exported model: a folder with the map, the chunks and a card, that searches itself."""

from __future__ import annotations

import io
import json
import os
import runpy
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from services.config import PROJECT_ROOT
from services.deep_memory.model_folder import FOLDER, write_model_folder
from services.deep_memory.query_map import QueryMap
from services.models import Chunk, TrainingRun
from services.ranking.context import in_context
from services.retrieval.content import Snapshot
from services.retrieval.embeddings import WordLlamaEmbedder
from services.retrieval.nearest import best_rows
from services.runs.states import RunStatus
from tests.fakes.openai_server import FakeOpenAI, embedding_of

WIDTH = WordLlamaEmbedder.width
ON = datetime(2026, 11, 20, 9, tzinfo=UTC)
SHOWN = ("recall@1", "recall@10", "mrr@10", "ndcg@10")
METRICS = {
    "held_out_questions": 40,
    "held_out_by": "document",
    "trained_questions": 160,
    "trained_chunks": 80,
    "before": dict.fromkeys(SHOWN, 0.111),
    "after": dict.fromkeys(SHOWN, 0.999),
    "map_alone": {
        "before": {"recall@1": 0.2, "recall@10": 0.5, "mrr@10": 0.3, "ndcg@10": 0.4},
        "after": {"recall@1": 0.25, "recall@10": 0.625, "mrr@10": 0.35, "ndcg@10": 0.45},
        "intervals": dict.fromkeys(SHOWN, (0.02, 0.23)),
        "verdict": "better",
    },
}
RUN = TrainingRun("run-1", "ann", RunStatus.COMPLETED, 4, 4, 200, ON, ON, ON, metrics=METRICS)
TEXTS = {
    "port.txt": [
        "Ships pay harbour dues when they berth.",
        "The pilot boards a vessel two miles from port.\u2028A ladder hangs on the lee side.",
    ],
    "soup.txt": ["The canteen serves soup on Fridays.", "The cook comes from Marseille — naïve."],
}
CHUNKS = tuple(
    Chunk(f"{name}-{position}", name, name, position, text, ("Handbook",), position or None)
    for name, texts in TEXTS.items()
    for position, text in enumerate(texts)
)
MAP = QueryMap(np.random.default_rng(0).normal(size=(WIDTH, WIDTH)).astype(np.float32))


def snapshot(chunks: tuple[Chunk, ...] = CHUNKS) -> Snapshot:
    texts = [chunk.in_context for chunk in chunks]
    return Snapshot(chunks, WordLlamaEmbedder().embed(texts), "v1")


def packed(run: TrainingRun = RUN, embedder: str = "wordllama-256", trained=MAP, of=None) -> bytes:
    file = io.BytesIO()
    write_model_folder(file, run, embedder, trained, of or snapshot())
    return file.getvalue()


@pytest.fixture
def unpack(tmp_path) -> Callable[[bytes], Path]:
    def unpack(content: bytes) -> Path:
        zipfile.ZipFile(io.BytesIO(content)).extractall(tmp_path)
        return tmp_path / FOLDER

    return unpack


def test_it_holds_the_map_the_chunks_in_context_their_texts_a_search_and_a_card(unpack):
    folder, of = unpack(packed()), snapshot()
    names = {"README.md", "search.py", "map.npy", "chunks.npy", "chunks.jsonl"}
    assert {path.name for path in folder.iterdir()} == names
    stored, vectors = np.load(folder / "map.npy"), np.load(folder / "chunks.npy")
    assert (stored.dtype, vectors.dtype) == (np.float32, np.float32)
    np.testing.assert_array_equal(stored, MAP.matrix)
    in_order = in_context(of.embeddings, [chunk.document_id for chunk in CHUNKS])
    np.testing.assert_array_equal(vectors, in_order)
    lines = (folder / "chunks.jsonl").read_text(encoding="utf-8").split("\n")[:-1]
    assert [json.loads(line) for line in lines] == [
        {
            "id": chunk.id,
            "document": chunk.document,
            "page": chunk.page,
            "heading_path": ["Handbook"],
            "text": chunk.text,
        }
        for chunk in CHUNKS
    ]


def test_same_model_and_chunks_give_the_same_bytes():
    content = packed()
    assert packed() == content
    entries = zipfile.ZipFile(io.BytesIO(content)).infolist()
    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
    assert {entry.create_system for entry in entries} == {3}


def test_card_says_what_it_is_and_shows_the_figures_of_the_map_alone(unpack):
    card = (unpack(packed()) / "README.md").read_text(encoding="utf-8")
    for said in (
        "`run-1`",
        "2026-11-20",
        "200 pairs",
        "160 questions about 80 chunks trained it, and 40 were held out",
        "4 of 2 documents",
        "`wordllama-256`, 256 numbers",
        "MIT",
        "documents that were not used in training",
        "| recall@10 | 0.500 | 0.625 | +0.125 [+0.020, +0.230] |",
        "Better than plain cosine",
        "Intervals are over whole documents",
        "What it does not hold",
        "BM25",
    ):
        assert said in card, said
    of_app = [line for line in card.splitlines() if "0.999" in line]
    assert len(of_app) == 1 and of_app[0].startswith("In the app")
    assert "0.111" not in card


@pytest.mark.parametrize(
    ("verdict", "said"),
    [("worse", "Worse than plain cosine"), ("no change", "the same"), ("not proven", "not proven")],
)
def test_card_claims_no_more_than_was_proven(unpack, verdict, said):
    alone = {**METRICS["map_alone"], "verdict": verdict}
    run = replace(RUN, metrics={**METRICS, "map_alone": alone})
    card = (unpack(packed(run)) / "README.md").read_text(encoding="utf-8")
    assert said in card and "Better than" not in card


def test_card_of_a_model_that_was_not_measured_alone_has_no_figures(unpack):
    """Trained by an earlier version: the figures of the whole ranking are not the folder's."""
    old = {name: value for name, value in METRICS.items() if name != "map_alone"}
    card = (unpack(packed(replace(RUN, metrics=old))) / "README.md").read_text(encoding="utf-8")
    assert "Not measured" in card
    assert "0.999" not in card and "0.111" not in card


@pytest.mark.parametrize(
    ("embedder", "licence"),
    [
        ("text-embedding-3-small", "a service of OpenAI"),
        ("nomic-embed-text", "not known to the app"),
    ],
)
def test_card_says_what_is_known_of_the_licence_of_the_embedder(unpack, embedder, licence):
    card = (unpack(packed(embedder=embedder)) / "README.md").read_text(encoding="utf-8")
    assert licence in card and "MIT" not in card


QUESTIONS = ["Who pays harbour dues?", " where does the cook come from\n", "soup", "qqqqq"]


def test_its_own_search_ranks_as_the_map_does_over_chunks_in_context(unpack):
    folder = unpack(packed())
    search = runpy.run_path(str(folder / "search.py"))["search"]
    vectors = in_context(snapshot().embeddings, [chunk.document_id for chunk in CHUNKS])
    for question in QUESTIONS:
        scores = vectors @ MAP.apply(WordLlamaEmbedder().embed([question.strip()]))[0]
        found = search(question, k=3)
        assert [chunk["id"] for _, chunk in found] == [
            CHUNKS[row].id for row in best_rows(scores, 3)
        ]
        np.testing.assert_allclose([score for score, _ in found], sorted(scores)[:0:-1], atol=1e-5)


def test_its_search_is_a_command_that_needs_nothing_of_the_app(unpack, tmp_path):
    folder = unpack(packed(trained=QueryMap(np.eye(WIDTH, dtype=np.float32))))
    command = [sys.executable, str(folder / "search.py"), "Who pays", "harbour dues?"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[0].endswith("port.txt: Ships pay harbour dues when they berth.")
    assert len(run.stdout.splitlines()) == len(CHUNKS)


def test_its_search_is_ten_lines(unpack):
    source = (unpack(packed()) / "search.py").read_text(encoding="utf-8")
    lines = map(str.strip, source.partition("if __name__")[0].splitlines())
    assert sum(not line.startswith(('"""', "import", "from")) for line in lines if line) <= 10


def test_docs_show_the_search_as_it_is_shipped(unpack):
    source = (unpack(packed()) / "search.py").read_text(encoding="utf-8")
    _, _, code = source.partition('"""\n\n')
    shown = (PROJECT_ROOT / "docs" / "integrations.md").read_text(encoding="utf-8")
    assert f"```python\n{code.partition('if __name__')[0].strip()}\n```" in shown


def test_search_of_a_model_for_another_embedder_asks_its_server(unpack, monkeypatch):
    name = "text-embedding-3-small"
    with FakeOpenAI(widths={name: WIDTH}) as server:
        monkeypatch.setitem(os.environ, "OPENAI_BASE_URL", server.base_url)
        monkeypatch.setitem(os.environ, "OPENAI_API_KEY", server.key)
        folder = unpack(packed(embedder=name))
        found = runpy.run_path(str(folder / "search.py"))["search"]("Who pays?", k=1)
    scores = np.load(folder / "chunks.npy") @ MAP.apply(embedding_of("Who pays?", WIDTH)[None])[0]
    assert found[0][1]["id"] == CHUNKS[int(scores.argmax())].id
    assert found[0][0] == pytest.approx(scores.max(), abs=1e-5)


def test_an_empty_knowledge_base_gives_an_empty_folder(unpack):
    folder = unpack(packed(of=Snapshot((), np.zeros((0, WIDTH), np.float32), "empty")))
    assert np.load(folder / "chunks.npy").shape == (0, WIDTH)
    assert runpy.run_path(str(folder / "search.py"))["search"]("soup") == []
