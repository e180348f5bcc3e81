"""The maps that LlamaIndex and sentence-transformers train, over vectors made beforehand."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
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

from benchmarks.peer_bench import Embed, PeerBench

# Ten rows by 256 are too small to share: with two threads the peers are slower on a busy machine.
torch.set_num_threads(1)


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
