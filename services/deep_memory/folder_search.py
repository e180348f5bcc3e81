"""The `search.py` of an exported model: a folder that searches itself in ten lines of numpy."""

from __future__ import annotations

from services.retrieval.embeddings import WordLlamaEmbedder

_SEARCH = '''\
"""Search this folder: python search.py "your question". README.md says what it holds."""

import json
import sys
from pathlib import Path

import numpy as np
{load}

here = Path(__file__).parent
chunks = [json.loads(line) for line in (here / "chunks.jsonl").open(encoding="utf-8")]
vectors, query_map = np.load(here / "chunks.npy"), np.load(here / "map.npy")


def search(question, k=10):
    """The `k` best chunks, best first, each with its score: the cosine, from -1 to 1."""
    query = {embed} @ query_map
    scores = vectors @ (query / (np.linalg.norm(query) or 1))
    return [(float(scores[row]), chunks[row]) for row in np.argsort(-scores, kind="stable")[:k]]


if __name__ == "__main__":
    for score, chunk in search(" ".join(sys.argv[1:])):
        print(f"{{score:.3f}} {{chunk['document']}}: {{' '.join(chunk['text'].split())[:90]}}")
'''

_WORDLLAMA = {
    "load": """\
import wordllama  # the weights are in its wheel, so nothing is downloaded

weights = Path(wordllama.__file__).parent
embedder = wordllama.WordLlama.load(dim={width}, cache_dir=weights, disable_download=True)""",
    "embed": "embedder.embed([question.strip()])[0]",
}
# The key and the address are those of the environment: OPENAI_API_KEY and OPENAI_BASE_URL.
_OPENAI = {
    "load": """\
from openai import OpenAI

embeddings = OpenAI().embeddings""",
    "embed": """\
np.array(
        embeddings.create(model={name!r}, input=[question.strip()]).data[0].embedding, np.float32
    )""",
}


def search_py(embedder: str, width: int) -> str:
    """The source of `search.py` for questions that `embedder` embeds in vectors of `width`."""
    by = _WORDLLAMA if embedder == WordLlamaEmbedder.name else _OPENAI
    parts = {key: text.format(name=embedder, width=width) for key, text in by.items()}
    return _SEARCH.format(**parts)


def required(embedder: str) -> str:
    """What `pip install` needs for it, as one line."""
    return "numpy wordllama==0.4.0.post1" if embedder == WordLlamaEmbedder.name else "numpy openai"
