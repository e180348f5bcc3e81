"""Deep Memory and its peers on the same embeddings, training pairs and test questions, in one run.

    python3.11 -m venv PEERS && PEERS/bin/pip install -r benchmarks/requirements-peers.txt
    PEERS/bin/python -m benchmarks.peers DIR [--seeds N ...]

Each trains a linear map of the query embeddings:

- ours: the map of a trained model, without its ranker. "in context" sees the chunks around each
  chunk, as in the app; "plain" is trained and searched over the same chunk vectors as the peers'.
- RAGLite's query adapter, in closed form, with the gap (how far apart right and wrong chunks are
  to be) that it has by default, "documented" (0.05), and with larger ones; see `raglite_adapter`.
- LlamaIndex, `EmbeddingAdapterFinetuneEngine`, unmodified, with its defaults (batches of 10, AdamW,
  learning rate 2e-5, linear warm-up and decay). "documented" is the linear adapter of its guide
  "Finetuning an Adapter on Top of any Black-Box Embedding Model", 4 epochs; the others use the 25
  epochs of the same guide's larger adapters.
- sentence-transformers, `SentenceTransformerTrainer` on a `Router` whose query side is the vectors
  and a `Dense` layer. "documented" is the trainer's defaults (3 epochs, batches of 8, learning rate
  5e-5) with the loss, MultipleNegativesRankingLoss, and the sampler that its guide pairs with it;
  the others use batches of 128, which suit that loss, and 25 epochs.

The last two are tried with larger learning rates, too, because the defaults are meant for whole
language models. "cosine" is no map at all, over plain chunks and over those in context.

Every map ranks alone and with the same words beside it (see `peer_bench`), so that maps are
compared with maps; it is trained once for both. bm25, untrained and hybrid are what
`benchmarks.recall` calls so: the words, and the app's ranker before and after training.

"best" is the setting with the highest recall@10 *on the test questions*: a choice that no user
could make, in the peers' favour. Ours are trained once, as in the app. Vectors are made beforehand
and looked up, so that training times include no embedding. On a busy machine set OMP_NUM_THREADS=1,
which applies to all. No GPU is needed, but PyPI's torch for Linux does not import without its CUDA
packages (6 GB with everything).

The output is a table, and one JSON object as its last line. "ratios" divides ours by each peer's
best: the gain over cosine of the same variant (null if the peer gains nothing) and the training
time.
"""

from __future__ import annotations

import argparse
import json
import logging
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.beir import read_beir
from benchmarks.peer_bench import (
    BASELINE,
    Embed,
    Map,
    PeerBench,
    measure_maps,
    table,
    with_ratios,
)
from benchmarks.peer_maps import fit_llamaindex, fit_sentence_transformers
from benchmarks.raglite_adapter import query_adapter
from services.deep_memory.local_trainer import fit_folds

_GAPS = (0.2, 0.5)
_LEARNING_RATES = (2e-5, 2e-4, 1e-3, 5e-3)


def no_map(bench: PeerBench, _: int) -> Embed:
    return bench.linear(np.eye(bench.embedder.width, dtype=np.float32))


def fit_ours(bench: PeerBench, seed: int, *, in_context: bool) -> Embed:
    chunks = bench.index.context if in_context else bench.index.plain
    fit = fit_folds(bench.training_vectors, chunks.vectors, bench.training.relevant, seed=seed)
    return bench.linear(fit.averaged())


def fit_raglite(bench: PeerBench, _: int, **chosen: float) -> Embed:
    adapter = query_adapter(
        bench.training_vectors, bench.index.plain, bench.training.relevant, **chosen
    )
    return bench.linear(adapter.T)


OURS = {
    "ours, in context": Map(partial(fit_ours, in_context=True), in_context=True),
    "ours, plain": Map(partial(fit_ours, in_context=False)),
}
PEERS = {
    "raglite": {
        "raglite documented": Map(fit_raglite, seeded=False),
        **{f"raglite {gap:g}": Map(partial(fit_raglite, gap=gap), seeded=False) for gap in _GAPS},
    },
    "llamaindex": {
        "llamaindex documented": Map(partial(fit_llamaindex, epochs=4)),
        **{
            f"llamaindex {rate:g}": Map(partial(fit_llamaindex, epochs=25, learning_rate=rate))
            for rate in _LEARNING_RATES
        },
    },
    "sentence-transformers": {
        "sentence-transformers documented": Map(fit_sentence_transformers),
        **{
            f"sentence-transformers {rate:g}": Map(
                partial(
                    fit_sentence_transformers,
                    num_train_epochs=25,
                    per_device_train_batch_size=128,
                    learning_rate=rate,
                )
            )
            for rate in _LEARNING_RATES
        },
    },
}
MAPS = {
    BASELINE: Map(no_map, seeded=False),
    f"{BASELINE}, in context": Map(no_map, in_context=True, seeded=False),
    **OURS,
    **{name: found for settings in PEERS.values() for name, found in settings.items()},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()
    logging.disable(logging.INFO)  # a peer's library sends the log to stdout
    data = read_beir(arguments.folder)
    report = measure_maps(PeerBench(data, data.train, MAPS), arguments.seeds)
    report = with_ratios(report, PEERS, OURS)
    print(table(report, MAPS))
    print(json.dumps(report))


if __name__ == "__main__":
    main()
