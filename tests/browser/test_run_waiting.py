"""A run that stands still says on its card and in its row what it waits for, and until when."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from services.local_supabase.stack import LocalSupabase
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
def app(
    supabase_stack: LocalSupabase, network: Forwarder, openai: FakeOpenAI
) -> Iterator[RunningApp]:
    with (
        temporary_data_dir() as data_dir,
        run_app(
            data_dir,
            OPENAI_API_KEY=openai.key,
            OPENAI_BASE_URL=openai.base_url,
            EMBEDDING_MODEL="wordllama",
            **hosted_on(supabase_stack, network.url),
        ) as running,
    ):
        yield running


def test_a_limit_of_an_hour_and_a_database_that_is_away_are_said_and_passed(
    app: RunningApp, page: Page, openai: FakeOpenAI, network: Forwarder
) -> None:
    sign_up(page, app.url)
    page.get_by_role("link", name="Go to the knowledge base").click()
    page.get_by_role("button", name="Load the sample knowledge base").click()
    page.get_by_role("link", name="Next: train Deep Memory on them").click()
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
        expect(page.get_by_text("can not be reached just now")).to_be_visible()
    finally:
        network.restore()

    expect(card.get_by_text(LIMIT)).to_be_visible()
    page.get_by_role("button", name="Stop generation").click()
    openai.forgive()
    page.get_by_role("button", name="Proceed").click()
    expect(page.get_by_role("button", name="Start Training")).to_be_visible(timeout=90_000)
    expect(page.get_by_text("Waiting for")).to_have_count(0)
