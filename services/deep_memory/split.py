"""A fair split: which questions to train on, and which to hold out and measure on."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from services.deep_memory.evaluation import NEAR_DUPLICATE
from services.errors import TrainingError

_HELD_OUT_SHARE = 0.2
_LARGEST_HELD_OUT_SHARE = 0.5
_FEWEST_QUESTIONS = 4
_FEWEST_DOCUMENTS = 3  # whether two agree says next to nothing about others
_BLOCK_SCORES = 16_000_000  # scores held at once: 64 MB of float32


@dataclass(frozen=True, slots=True)
class Split:
    """Indices of the questions to train on and of those held out; some may be in neither.

    `groups` (all questions,) names the document, or the chunk, by which each was assigned.
    """

    train: np.ndarray
    held_out: np.ndarray
    by: Literal["document", "chunk"]
    groups: np.ndarray


def split_by_document(
    relevant: Sequence[Collection[int]],
    documents: Sequence[Any],
    chunks: np.ndarray,
    *,
    taught: Collection[int] = (),
    seed: int = 0,
) -> Split:
    """Hold out the questions of some documents, so that the figures are about unseen text.

    `relevant[i]` holds the chunk indices that answer question i, `documents[c]` names the document
    of chunk c, and `chunks` (m, width) are the normalised embeddings. A training question whose
    chunk is a near-duplicate of a held-out chunk is in neither part. A fifth of the questions is
    held out; if whole documents yield less than half of that, or fewer than three documents are
    held out, the questions are held out by chunk. Documents and chunks of the questions `taught`
    are never held out, unless all are. The same arguments give the same split.

    Raises:
        TrainingError: there are too few questions or chunks to hold any out.
    """
    chunks_of_taught = set().union(*(relevant[question] for question in taught))
    kept = {q for q, found in enumerate(relevant) if not chunks_of_taught.isdisjoint(found)}
    if len(relevant) >= _FEWEST_QUESTIONS:
        by_document = _split(relevant, documents, chunks, "document", kept, seed)
        if _is_usable(by_document) and _is_enough(by_document):
            return by_document
        by_chunk = _split(relevant, range(len(documents)), chunks, "chunk", kept, seed)
        for split in (by_chunk, by_document):
            if _is_usable(split):
                return split
        if taught:
            return split_by_document(relevant, documents, chunks, seed=seed)
    raise TrainingError(
        f"{len(relevant)} questions over these chunks are too few to train on and to measure.",
        next_step="Remove this run, and generate questions for more chunks.",
    )


def answering_groups(relevant: Sequence[Collection[int]], documents: Sequence[Any]) -> np.ndarray:
    """The group (n,) of each test question: the document that answers it.

    If there are fewer than three documents, the chunk that does. Of several, the first one.
    """
    by_document = _first_of(relevant, documents)
    if len(np.unique(by_document)) >= _FEWEST_DOCUMENTS:
        return by_document
    return _first_of(relevant, range(len(documents)))


def _first_of(relevant: Sequence[Collection[int]], names: Sequence[Any]) -> np.ndarray:
    return np.array([names[min(found)] for found in relevant])


def _is_usable(split: Split) -> bool:
    return bool(len(split.held_out)) and len(split.train) >= len(split.groups) // 4


def _is_enough(split: Split) -> bool:
    """Whether enough is held out to prove something."""
    groups = len(np.unique(split.groups[split.held_out]))
    return 2 * len(split.held_out) >= _wanted(len(split.groups)) and groups >= _FEWEST_DOCUMENTS


def _wanted(questions: int) -> int:
    return max(1, round(_HELD_OUT_SHARE * questions))


def _split(
    relevant: Sequence[Collection[int]],
    names: Sequence[Any],
    chunks: np.ndarray,
    by: Literal["document", "chunk"],
    kept: Collection[int],
    seed: int,
) -> Split:
    """Hold out groups in random order until the share is reached, skipping those too large, and
    those with a question that is to be `kept` for training.

    `names[c]` is the group of chunk c.
    """
    members: dict[Any, set[int]] = {}
    for question, found in enumerate(relevant):
        for chunk in found:
            members.setdefault(names[chunk], set()).add(question)
    order = sorted(members, key=str)
    largest = int(_LARGEST_HELD_OUT_SHARE * len(relevant))
    held_out: set[int] = set()
    for position in np.random.default_rng(seed).permutation(len(order)):
        grown = held_out | members[order[position]]
        if len(grown) <= largest and grown.isdisjoint(kept):
            held_out = grown
        if len(held_out) >= _wanted(len(relevant)):
            break
    train = [question for question in range(len(relevant)) if question not in held_out]
    split = Split(_indices(train), _indices(sorted(held_out)), by, _first_of(relevant, names))
    return _without_near_duplicates(split, relevant, chunks)


def _without_near_duplicates(
    split: Split, relevant: Sequence[Collection[int]], chunks: np.ndarray
) -> Split:
    """Drop the training questions whose chunks, or near-duplicates of them, are held out."""
    held_out = sorted({chunk for question in split.held_out for chunk in relevant[question]})
    if not held_out:
        return split
    candidates = sorted({chunk for question in split.train for chunk in relevant[question]})
    known: set[int] = set()
    step = max(1, _BLOCK_SCORES // len(held_out))
    for start in range(0, len(candidates), step):
        block = candidates[start : start + step]
        nearest = (chunks[block] @ chunks[held_out].T).max(axis=1)
        known.update(np.array(block)[nearest >= NEAR_DUPLICATE].tolist())
    kept = [question for question in split.train if known.isdisjoint(relevant[question])]
    return replace(split, train=_indices(kept))


def _indices(questions: Sequence[int]) -> np.ndarray:
    return np.array(questions, dtype=np.int64)
