"""Measure from which cosine on two questions ask nearly the same.

    python -m benchmarks.near_questions [--embedder wordllama|minilm]

Takes 25 of the sample's hand-written questions, each reworded twice by hand as another person
would ask it, among all of the sample's questions, which ask different things. For each threshold:
how many of the rewordings join their question, and how many groups mix different ones. The last
line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from services.config import Settings
from services.knowledge.sample import sample_questions
from services.questions.near import NEAR_QUESTION, near_groups
from services.retrieval.embedders import make_embedder

REWORDED = Path(__file__).with_name("reworded_questions.json")
THRESHOLDS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)


def measure(
    vectors: np.ndarray, asks: list[str], rewordings: int, threshold: float
) -> dict[str, float]:
    """The figures of one threshold; row i of `vectors` asks what `asks[i]` names, and the last
    `rewordings` rows are rewordings of earlier ones."""
    groups = near_groups(vectors, threshold)
    joined = sum(
        any(other < row and asks[other] == asks[row] for other in group)
        for group in groups
        for row in group
        if row >= len(asks) - rewordings
    )
    mixed = sum(len({asks[row] for row in group}) > 1 for group in groups)
    return {
        "threshold": threshold,
        "joined": round(joined / rewordings, 3),
        "mixed_groups": mixed,
        "groups": len(groups),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--embedder", default="wordllama")
    embedder = make_embedder(Settings(_env_file=None, embedding_model=parser.parse_args().embedder))
    reworded = json.loads(REWORDED.read_text(encoding="utf-8"))
    texts, asks = [], []
    for question in sample_questions():
        texts.append(question.question)
        asks.append(question.question)
    for question, others in reworded.items():
        texts += others
        asks += [question] * len(others)
    rewordings = sum(map(len, reworded.values()))
    vectors = embedder.embed(texts)
    rows = [measure(vectors, asks, rewordings, threshold) for threshold in THRESHOLDS]
    for row in rows:
        print(row)
    print(json.dumps({"embedder": embedder.name, "chosen": NEAR_QUESTION, "thresholds": rows}))


if __name__ == "__main__":
    main()
