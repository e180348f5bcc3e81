"""The model card of an exported model: what it is, on which data, how good, under which licence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from services.deep_memory.folder_search import required
from services.models import Chunk, TrainingRun
from services.retrieval.embeddings import WordLlamaEmbedder

_SHOWN = ("recall@1", "recall@10", "mrr@10", "ndcg@10")
_VERDICTS = {
    "better": "Better than plain cosine: the whole interval of recall@10 is above zero.",
    "worse": "Worse than plain cosine: the whole interval of recall@10 is below zero.",
    "no change": "At recall@10 it is the same as plain cosine.",
    "not proven": "That it is better or worse than plain cosine at recall@10 is not proven.",
}
_UNSEEN = {
    "document": "documents that were not used in training",
    "chunk": "chunks that were not used in training, though their documents were",
}

_CARD = """\
# A search model trained by Deep Memory Studio

A query map: a matrix that moves the vector of a question towards the chunks that answer it. It is
applied to questions only, so the vectors of the chunks are the same for every model.

| | |
|---|---|
| run | `{run_id}` |
| trained | {trained} |
| on | {data} |
| chunks in this folder | {chunks:,} of {documents:,} documents: those of the day of the export |
| embedder | `{embedder}`, {width:,} numbers for a text |
| licence of the embedder | {licence} |

## How good it is

{figures}

## What the folder holds

| file | what |
|---|---|
| `map.npy` | the map, ({width}, {width}) float32: a question's vector, as a row, times this |
| `chunks.npy` | ({chunks}, {width}) float32: each chunk with its neighbours mixed in, length 1 |
| `chunks.jsonl` | line i is the chunk of row i: id, document, page or null, heading_path, text |
| `search.py` | searches the folder: `python search.py "your question"` |

It needs `pip install {required}`. `chunks.jsonl` is the text of the documents: share this folder as
you would share them.

## What it does not hold

The words. In the app the trained ranking also uses signals made of words, such as BM25. They are
not in this folder, which ranks by the map and the vectors alone, so its order differs from the
app's. For the whole ranking ask the app over HTTP (`POST /v1/api/search`). Neither does it hold the
questions of the training, nor names of people who use the app.
"""


def model_card(run: TrainingRun, embedder: str, width: int, chunks: Sequence[Chunk]) -> str:
    """The README.md of the model of a completed run, exported with these chunks."""
    return _CARD.format(
        run_id=run.id,
        trained=f"{run.completed_at:%Y-%m-%d}" if run.completed_at else "unknown",
        data=_data(run),
        documents=len({chunk.document_id for chunk in chunks}),
        chunks=len(chunks),
        embedder=embedder,
        width=width,
        licence=_licence(embedder),
        figures=_figures(run.metrics),
        required=required(embedder),
    )


def _data(run: TrainingRun) -> str:
    pairs = f"{run.pair_count:,} pairs of a question and the chunk that answers it"
    if "trained_questions" not in run.metrics:
        return pairs
    return (
        f"{pairs}: {run.metrics['trained_questions']:,} questions about "
        f"{run.metrics['trained_chunks']:,} chunks trained it, and "
        f"{run.metrics['held_out_questions']:,} were held out"
    )


def _licence(embedder: str) -> str:
    if embedder == WordLlamaEmbedder.name:
        return (
            "WordLlama 0.4.0.post1, MIT. Its README says that it was trained from token embeddings "
            "of models such as LLaMA 2"
        )
    if embedder.startswith("text-embedding-"):
        return "none: a service of OpenAI, used under its terms; the model is not given out"
    return "not known to the app: look where you have the model from"


def _figures(metrics: Mapping[str, Any]) -> str:
    alone = metrics.get("map_alone")
    if alone is None:
        return (
            "Not measured: the version of the app that trained it did not measure the map alone. "
            "Train again for figures."
        )
    by, questions = metrics["held_out_by"], metrics["held_out_questions"]
    in_app = ", ".join(f"{name} {metrics['after'][name]:.3f}" for name in _SHOWN)
    return (
        f"Measured after the training on {questions:,} held-out questions about {_UNSEEN[by]}. "
        '"This folder" is what `search.py` does; "plain cosine" is the embedder without the map '
        "and without context.\n\n"
        f"{_table(alone)}\n\n"
        f"{_VERDICTS[alone['verdict']]} Intervals are over whole {by}s (a cluster bootstrap).\n\n"
        f"In the app, where words rank too, the same questions had {in_app}. Those are not this "
        "folder's figures."
    )


def _table(figures: Mapping[str, Any]) -> str:
    rows = ["| | plain cosine | this folder | gain, 95% interval |", "|---|---|---|---|"]
    for name in _SHOWN:
        before, after = figures["before"][name], figures["after"][name]
        low, high = figures["intervals"][name]
        gain = f"{after - before:+.3f} [{low:+.3f}, {high:+.3f}]"
        rows.append(f"| {name} | {before:.3f} | {after:.3f} | {gain} |")
    return "\n".join(rows)
