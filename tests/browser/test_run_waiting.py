"""A run that stands still says on its card and in its row what it waits for, and until when."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from playwright.sync_api import Page, expect

from services.config import Settings
from services.knowledge.knowledge_base import KnowledgeBase, KnownDocuments
from services.local_supabase.stack import LocalSupabase
from services.reading.blocks import Block, Reading
from services.retrieval.embeddings import WordLlamaEmbedder
from services.retrieval.stores import open_store
from tests.browser.screens import hosted_on, sign_up
from tests.embedded import temporary_data_dir
from tests.fakes.openai_server import FakeOpenAI, rate_limited
from tests.forwarder import Forwarder
from tests.running_app import RunningApp, run_app

LIMIT = re.compile(r"Waiting for 127\.0\.0\.1:\d+'s rate limit until (\d+ \w+, )?\d\d:\d\d")


@pytest.fixture(scope="module")
def openai() -> Iterator[FakeOpenAI]:
    with FakeOpenAI() as server:
        yield server


@pytest.fixture(scope="module")
def network(supabase_stack: LocalSupabase) -> Forwarder:
    """The way to the database, which a test may cut."""
    return Forwarder(supabase_stack.url)


@pytest.fixture(scope="module")
def data_dir() -> Iterator[Path]:
    with temporary_data_dir() as data_dir:
        yield data_dir


@pytest.fixture(scope="module")
def app(
    data_dir: Path, supabase_stack: LocalSupabase, network: Forwarder, openai: FakeOpenAI
) -> Iterator[RunningApp]:
    with run_app(
        data_dir,
        OPENAI_API_KEY=openai.key,
        OPENAI_BASE_URL=openai.base_url,
        EMBEDDING_MODEL="wordllama",
        **hosted_on(supabase_stack, network.url),
    ) as running:
        yield running


def add_documents(data_dir: Path, owner: psycopg.Connection, email: str) -> None:
    """Behind the screens, which have tests of their own for it."""
    row = owner.execute("select id from auth.users where email = %s", (email,)).fetchone()
    assert row is not None
    embedder = WordLlamaEmbedder()
    settings = Settings(_env_file=None, data_dir=data_dir)
    store = open_store(settings, str(row[0]), embedder.name, embedder.width)
    known = KnownDocuments([])
    blocks = [Block("text", f"Quay {n} moors vessels of {n} metres.") for n in range(6)]
    documents = [known.admit(Reading(f"{n}.txt", (block,))) for n, block in enumerate(blocks)]
    KnowledgeBase(store, embedder).store(documents, lambda count: None)


def test_a_limit_of_an_hour_and_a_database_that_is_away_are_said_and_passed(
    app: RunningApp,
    page: Page,
    openai: FakeOpenAI,
    network: Forwarder,
    data_dir: Path,
    owner: psycopg.Connection,
) -> None:
    email = sign_up(page, app.url)
    expect(page.get_by_role("link", name="Go to the knowledge base")).to_be_visible()
    add_documents(data_dir, owner, email)
    page.reload()
    openai.fail(rate_limited(3600), times=10_000)
    page.get_by_role("button", name="Generate Training Data").click()

    card, row = page.locator(".st-key-workflow"), page.locator(".st-key-history")
    expect(card.get_by_text(LIMIT)).to_be_visible()
    expect(row.get_by_text(LIMIT)).to_be_visible()

    network.cut()
    try:
        expect(card.get_by_text("Waiting for the database")).to_be_visible()
        expect(card.get_by_text("0 of ")).to_be_visible()
        page.get_by_role("link", name="Search").click()
        page.get_by_role("link", name="Deep Memory").click()
        expect(page.get_by_text("as last seen")).to_be_visible()
        expect(page.get_by_text("cannot be reached just now")).to_be_visible()
    finally:
        network.restore()

    expect(card.get_by_text(LIMIT)).to_be_visible()
    page.get_by_role("button", name="Stop generation").click()
    openai.forgive()
    expect(row.get_by_text("Generating failed")).to_be_visible()
    expect(page.get_by_text("Waiting for")).to_have_count(0)
    page.get_by_role("button", name="Show the run").click()
    page.get_by_role("button", name="Proceed").click()
    expect(page.get_by_role("button", name="Start Training")).to_be_visible(timeout=90_000)
