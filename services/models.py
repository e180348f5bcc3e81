"""The values that the services exchange, frozen. No I/O here."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from services.runs.states import RunStatus


@dataclass(frozen=True, slots=True)
class Chunk:
    """One passage of a document: the unit that is embedded, searched and asked about."""

    id: str
    document_id: str
    document: str  # the document's name, as the person knows it
    position: int  # 0 for the first chunk of its document
    text: str  # as it is shown; it begins with its own headings, as lines "# Heading"
    heading_path: tuple[str, ...] = ()  # the headings that it is below, the outermost first
    page: int | None = None  # the page, slide or sheet on which it begins, from 1

    @property
    def in_context(self) -> str:
        """What is embedded, searched by words and read by the question writers."""
        return _in_context(self.text, self.heading_path)


@dataclass(frozen=True, slots=True)
class Replaced:
    """What went when a document's text took the place of an earlier one."""

    at: datetime
    chunk_count: int
    pair_count: int  # of all runs, about those chunks


@dataclass(frozen=True, slots=True)
class Document:
    """One file of the knowledge base."""

    id: str
    name: str
    chunk_count: int
    characters: int
    content_hash: str  # SHA-256 of the extracted text, by which duplicates are recognised
    added_at: datetime
    notes: tuple[str, ...] = ()  # what was left out or is worth knowing, one clause each
    replaced: Replaced | None = None  # None while it has the text that it was added with

    @property
    def stored_at(self) -> datetime:
        """When its present text was stored."""
        return self.replaced.at if self.replaced else self.added_at


def _in_context(text: str, heading_path: tuple[str, ...]) -> str:
    """A text below the headings of its path that it does not itself begin with."""
    begins = text.split("\n\n", len(heading_path))
    own = {line.lstrip("#").strip() for line in begins if line.startswith("#")}
    above = [title for title in heading_path if title not in own]
    return f"{' > '.join(above)}\n\n{text}" if above else text


@dataclass(frozen=True, slots=True)
class SearchHit:
    """One line of a ranked list. `rank` starts at 1; a higher `score` is better."""

    chunk_id: str
    document: str
    text: str
    score: float
    rank: int
    heading_path: tuple[str, ...] = ()
    page: int | None = None

    @property
    def in_context(self) -> str:
        """What a reranker reads: the same as the chunk's."""
        return _in_context(self.text, self.heading_path)

    @classmethod
    def of(cls, chunk: Chunk, score: float, rank: int) -> SearchHit:
        return cls(
            chunk.id, chunk.document, chunk.text, score, rank, chunk.heading_path, chunk.page
        )


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Tokens that a question model charged for."""

    input_tokens: int = 0
    output_tokens: int = 0

    def __add__(self, other: TokenUsage) -> TokenUsage:
        return TokenUsage(
            self.input_tokens + other.input_tokens, self.output_tokens + other.output_tokens
        )


class Review(StrEnum):
    """What a person decided about a pair."""

    TO_REVIEW = "to_review"  # nothing yet: training uses it as it is
    KEPT = "kept"
    DROPPED = "dropped"  # training does not use it; it can come back


@dataclass(frozen=True, slots=True)
class TrainingPair:
    """A question and the chunk that answers it. `relevance_score` runs from 0 to 1."""

    id: str
    training_run_id: str
    question_text: str
    chunk_id: str
    chunk_preview: str
    relevance_score: float
    review: Review = Review.TO_REVIEW
    original_question: str | None = None  # None unless it was edited
    reviewed_at: str | None = None  # as the database wrote it: it changes with every decision
    flags: tuple[str, ...] = ()  # what the last check found doubtful, see pairs/quality.py
    is_imported: bool = False  # a person brought it; else the app wrote it


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a run waits for, worded to follow "Waiting for", and until when, if that is known."""

    what: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """One row of `deep_memory_training_runs`."""

    id: str
    user_id: str
    status: RunStatus
    total_chunks: int
    processed_chunks: int
    pair_count: int
    started_at: datetime
    created_at: datetime
    completed_at: datetime | None = None
    deeplake_job_id: str | None = None
    cloud_submission: dict[str, Any] | None = None  # read by cloud_jobs.Submission
    error_message: str | None = None
    metrics: dict[str, Any] = field(default_factory=dict)
    attempt: int = 0
    worker_id: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    usage: dict[str, Any] = field(default_factory=dict)
    waiting: Waiting | None = None  # why it makes no progress; None while it does

    @property
    def share_done(self) -> float:
        """Processed chunks as a share from 0 to 1; 0 while the total is not known."""
        return min(1.0, self.processed_chunks / self.total_chunks) if self.total_chunks else 0.0


@dataclass(frozen=True, slots=True)
class RunEvent:
    """One line of a run's timeline."""

    at: datetime
    phase: str
    kind: str
    message: str
    counts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RememberedBatch:
    """A batch of a run, waiting at OpenAI. Without an `openai_id` it may have been submitted."""

    batch_id: str
    openai_id: str | None
    intended_at: datetime


@dataclass(frozen=True, slots=True)
class DeepMemorySettings:
    """The settings response of the API contract."""

    enabled: bool
    last_trained_at: datetime | None
    last_training_run_id: str | None
    can_enable: bool
    total_chunks: int
    trained_chunk_count: int
    has_blocking_run: bool
    blocking_run_id: str | None
    blocking_run_status: str | None
    is_cloud: bool
    model_was_replaced: bool  # DeepLake Cloud no longer holds the trained model that was chosen
