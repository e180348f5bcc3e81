"""Deep Memory and its peers on the same embeddings, training pairs and test questions, in one run.

    python3.11 -m venv PEERS && PEERS/bin/pip install -r benchmarks/requirements-peers.txt
    PEERS/bin/python -m benchmarks.peers DIR [--seeds N ...]

The peers train a linear map of the query embeddings. So does our dense method, which also sees the
chunks around each chunk:

- LlamaIndex, `EmbeddingAdapterFinetuneEngine`, unmodified, with its defaults (batches of 10, AdamW,
  learning rate 2e-5, linear warm-up and decay). "documented" is the linear adapter of its guide
  "Finetuning an Adapter on Top of any Black-Box Embedding Model", 4 epochs; the others use the 25
  epochs of the same guide's larger adapters.
- sentence-transformers, `SentenceTransformerTrainer` on a `Router` whose query side is the vectors
  and a `Dense` layer. "documented" is the trainer's defaults (3 epochs, batches of 8, learning rate
  5e-5) with the loss, MultipleNegativesRankingLoss, and the sampler that its guide pairs with it;
  the others use batches of 128, which suit that loss, and 25 epochs.

Both are also tried with larger learning rates, because the defaults are meant for whole language
models. "best" is the setting with the highest recall@10 *on the test questions*: a choice that no
user could make, in the peers' favour. Ours are trained once, as in the app. Vectors are made
beforehand and looked up, so that training times include no embedding. On a busy machine set
OMP_NUM_THREADS=1, which applies to both sides. No GPU is needed, but PyPI's torch for Linux does
not import without its CUDA packages (6 GB with everything).

The output is a table, and one JSON object as its last line. "ratios" divides ours by each peer's
best: the gain over plain cosine (null if the peer gains nothing) and the training time.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

# No downloads and no telemetry: set before the libraries read it.
os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", TQDM_DISABLE="1")

import llama_index.finetuning.embeddings.adapter_utils  # noqa: F401 - or its import is timed
import numpy as np
import torch
from datasets import Dataset
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.finetuning import EmbeddingAdapterFinetuneEngine, EmbeddingQAFinetuneDataset
from pydantic import PrivateAttr
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.losses import MultipleNegativesRankingLoss
from sentence_transformers.models import Dense, InputModule, Router
from sentence_transformers.training_args import BatchSamplers
from transformers import PrinterCallback

from benchmarks.beir import read_beir
from benchmarks.recall import METHODS, TRAINED_METHODS, Bench, Score, measure

# Ten rows by 256 are too small to share: with two threads the peers are slower on a busy machine.
torch.set_num_threads(1)

_RATIO_METRICS = ("recall@1", "recall@10", "mrr@10", "ndcg@10")
_LEARNING_RATES = (2e-5, 2e-4, 1e-3, 5e-3)

Embed = Callable[[Sequence[str]], np.ndarray]  # questions -> (n, width)


class PeerBench(Bench):
    """Also scores as the peers do; their methods are called "<peer> <setting>"."""

    def scorer(self, method: str, seed: int) -> Score:
        if method not in PEER_METHODS:
            return super().scorer(method, seed)
        embed_queries = PEER_METHODS[method](self, seed)
        return lambda _, texts: embed_queries(texts) @ self.chunks.T

    @cached_property
    def vector_of(self) -> dict[str, np.ndarray]:
        """Every text's vector, as the embedder made it."""
        texts = [*self.data.passages, *self.training.texts, *self.data.test.texts]
        vectors = np.concatenate([self.chunks, self.training_vectors, self.test_vectors])
        return dict(zip(texts, vectors, strict=True))

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


class LookedUp(BaseEmbedding):
    """LlamaIndex's embedding protocol over precomputed vectors."""

    _vectors: dict[str, np.ndarray] = PrivateAttr()  # a field would be written into every event

    def __init__(self, vectors: dict[str, np.ndarray]) -> None:
        super().__init__()
        self._vectors = vectors

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._vectors[text].tolist()


class LookedUpModule(InputModule):
    """The first module of a SentenceTransformer, over precomputed vectors."""

    def __init__(self, vectors: dict[str, np.ndarray]) -> None:
        super().__init__()
        self.vectors = vectors

    def preprocess(self, inputs: Sequence[str], **_: Any) -> dict[str, torch.Tensor]:
        return {"sentence_embedding": torch.from_numpy(np.stack([self.vectors[i] for i in inputs]))}

    def forward(self, features: dict[str, torch.Tensor], **_: Any) -> dict[str, torch.Tensor]:
        return features

    def save(self, *_: Any, **__: Any) -> None:
        """There is nothing to save: the vectors are the data set's."""


def fit_llamaindex(
    bench: PeerBench, seed: int, *, epochs: int, learning_rate: float | None = None
) -> Embed:
    torch.manual_seed(seed)
    pairs = bench.shuffled_pairs(seed)
    number_of = {passage: str(number) for number, passage in enumerate(bench.data.passages)}
    dataset = EmbeddingQAFinetuneDataset(
        queries={str(number): question for number, (question, _) in enumerate(pairs)},
        corpus={number: passage for passage, number in number_of.items()},
        relevant_docs={str(row): [number_of[passage]] for row, (_, passage) in enumerate(pairs)},
    )
    chosen = {} if learning_rate is None else {"optimizer_params": {"lr": learning_rate}}
    with tempfile.TemporaryDirectory() as folder:
        engine = EmbeddingAdapterFinetuneEngine(
            dataset,
            LookedUp(bench.vector_of),
            dim=bench.embedder.width,
            epochs=epochs,
            device="cpu",
            model_output_path=folder,
            show_progress_bar=False,
            **chosen,
        )
        engine.finetune()
        model = engine.get_finetuned_model(device="cpu")

    def embed(texts: Sequence[str]) -> np.ndarray:
        return np.array([model.get_query_embedding(text) for text in texts], np.float32)

    return embed


def fit_sentence_transformers(bench: PeerBench, seed: int, **chosen: Any) -> Embed:
    torch.manual_seed(seed)
    width, lookup = bench.embedder.width, LookedUpModule(bench.vector_of)
    adapter = Dense(
        width, width, bias=False, activation_function=None, init_weight=torch.eye(width)
    )
    router = Router.for_query_document(query_modules=[lookup, adapter], document_modules=[lookup])
    model = SentenceTransformer(modules=[router], device="cpu")
    questions, passages = zip(*bench.shuffled_pairs(seed), strict=True)
    with tempfile.TemporaryDirectory() as folder:
        trainer = SentenceTransformerTrainer(
            model=model,
            args=SentenceTransformerTrainingArguments(
                folder,
                seed=seed,
                batch_sampler=BatchSamplers.NO_DUPLICATES,
                router_mapping={"anchor": "query", "positive": "document"},
                use_cpu=True,
                disable_tqdm=True,
                report_to="none",
                save_strategy="no",
                logging_strategy="no",
                **chosen,
            ),
            train_dataset=Dataset.from_dict({"anchor": questions, "positive": passages}),
            loss=MultipleNegativesRankingLoss(model),
        )
        trainer.remove_callback(PrinterCallback)  # the last line of the output is ours
        trainer.train()
    return lambda texts: model.encode_query(list(texts), show_progress_bar=False)


def _peer_methods() -> dict[str, Callable[[PeerBench, int], Embed]]:
    methods: dict[str, Callable[[PeerBench, int], Embed]] = {
        "llamaindex documented": lambda bench, seed: fit_llamaindex(bench, seed, epochs=4),
        "sentence-transformers documented": fit_sentence_transformers,
    }
    for rate in _LEARNING_RATES:
        methods[f"llamaindex {rate:g}"] = partial(fit_llamaindex, epochs=25, learning_rate=rate)
        methods[f"sentence-transformers {rate:g}"] = partial(
            fit_sentence_transformers,
            num_train_epochs=25,
            per_device_train_batch_size=128,
            learning_rate=rate,
        )
    return dict(sorted(methods.items()))


PEER_METHODS = _peer_methods()
PEERS = ("llamaindex", "sentence-transformers")


def with_ratios(report: dict[str, Any]) -> dict[str, Any]:
    """Add each peer's best setting, and the ratio of ours to it."""
    methods, baseline = report["methods"], report["baseline"]
    best, ratios = {}, {}
    for peer in PEERS:
        settings = [method for method in methods if method.startswith(f"{peer} ")]
        best[peer] = max(settings, key=lambda method: methods[method]["metrics"]["recall@10"])
        ratios[peer] = {
            ours: {
                "gain": {
                    metric: _gain_ratio(methods[ours], methods[best[peer]], baseline, metric)
                    for metric in _RATIO_METRICS
                },
                "train_seconds": round(
                    methods[ours]["train_seconds"] / methods[best[peer]]["train_seconds"], 3
                ),
            }
            for ours in TRAINED_METHODS
        }
    return {**report, "best": best, "ratios": ratios}


def _gain_ratio(
    ours: dict[str, Any], peer: dict[str, Any], baseline: dict[str, float], metric: str
) -> float | None:
    gained = peer["metrics"][metric] - baseline[metric]
    if gained <= 0:
        return None
    return round((ours["metrics"][metric] - baseline[metric]) / gained, 2)


def table(report: dict[str, Any]) -> str:
    """The figures as a Markdown table; the best setting of each peer is marked."""
    columns = (*_RATIO_METRICS, "train s")
    lines = [
        f"| {report['dataset']} | " + " | ".join(columns) + " |",
        "|---|" + "---:|" * len(columns),
    ]
    for method, measured in report["methods"].items():
        figures = [f"{measured['metrics'][metric]:.3f}" for metric in _RATIO_METRICS]
        name = f"{method} (best)" if method in report["best"].values() else method
        lines.append(f"| {name} | {' | '.join(figures)} | {measured['train_seconds']:.1f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()
    data = read_beir(arguments.folder)
    report = measure(PeerBench(data, data.train), (*METHODS, *PEER_METHODS), arguments.seeds)
    report = with_ratios(report)
    print(table(report))
    print(json.dumps(report))


if __name__ == "__main__":
    main()
